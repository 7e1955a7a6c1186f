"""Reading the text of a JSON Schema without trusting it."""

import json
import math
from typing import Any

from formwork_engine import Budget, MalformedError, TooLargeError

JsonValue = Any  # None, bool, int, float, str, list or dict: mypy has no recursive plain type


def parse_schema(text: str, budget: Budget | None = None) -> JsonValue:
    """Return the schema of a JSON text, the order of keys kept.

    Raises:
        MalformedError: Not JSON (RFC 8259): also NaN, numbers that no double holds, keys given
            twice, lone surrogates; or neither an object nor a boolean.
        TooLargeError: Too many bytes or values, or nested too deeply.
    """
    budget = budget or Budget()
    check_size(text, budget)
    schema = _parse(text, budget)
    if not isinstance(schema, dict | bool):
        raise MalformedError("a JSON Schema is an object or a boolean")
    _check_shape(schema, budget)
    return schema


def check_size(text: str, budget: Budget) -> None:
    """Raise what is wrong with the length or the characters of a text.

    Raises:
        MalformedError: It has lone surrogates.
        TooLargeError: Too many bytes.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise MalformedError("the text has a lone surrogate") from error
    if size > budget.max_bytes:
        raise TooLargeError("max_bytes", budget.max_bytes, size)


def _parse(text: str, budget: Budget) -> JsonValue:
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
    except RecursionError as error:
        raise TooLargeError("max_depth", budget.max_depth, budget.max_depth + 1) from error
    except ValueError as error:  # also integers of thousands of digits
        raise MalformedError(f"not JSON: {error}") from error


def _unique_keys(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value] # add returns None on purpose
        raise MalformedError(f"the key {twice[:100]!r} is given twice in one object")
    return values


def _refuse_constant(name: str) -> None:
    raise MalformedError(f"{name} is not JSON")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise MalformedError(f"the number {text[:40]} is not a finite double")
    return value


def _check_shape(schema: JsonValue, budget: Budget) -> None:
    """Count values and levels without recursion, and look at every string."""
    nodes, depth, level = 0, 0, [schema]
    while level:
        nodes, depth = nodes + len(level), depth + 1
        if depth > budget.max_depth:
            raise TooLargeError("max_depth", budget.max_depth, depth)
        if nodes > budget.max_nodes:
            raise TooLargeError("max_nodes", budget.max_nodes, nodes)
        level = [child for value in level for child in _children(value)]


def _children(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        for key in value:
            _check_string(key)
        return list(value.values())
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        _check_string(value)
    return []


def _check_string(text: str) -> None:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise MalformedError("a string has a lone surrogate")
