"""The last check: a structured answer that claims to be complete fits its schema, or is a fault."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from hashlib import sha256
from typing import Any, Protocol

import jsonschema_rs

from gateway.config import GatewayConfig
from gateway.response_format import FormatKind, ResponseFormat
from mesh.errors import SchemaRefusedError

# All compiled patterns of a schema together: building them holds the interpreter, about 10 ms a
# mebibyte. None of 1,700 public schemas needs more than 2 MiB.
_PATTERN_BYTES = 16 * 1024 * 1024

_DIALECTS = frozenset(
    uri + end
    for end in ("", "#")
    for uri in (
        "http://json-schema.org/draft-04/schema",
        "http://json-schema.org/draft-06/schema",
        "http://json-schema.org/draft-07/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
    )
)


class AnswerValidator(Protocol):
    """Tells whether an answer's text is what was promised."""

    async def is_valid(self, text: str) -> bool:
        """Return whether the text is JSON, without repeated keys, that fits."""


class _Fits(Protocol):
    def is_valid(self, instance: Any) -> bool: ...  # noqa: ANN401 - any JSON value


class _AnyObject:
    """JSON mode's schema."""

    def is_valid(self, instance: object) -> bool:
        return isinstance(instance, dict)


class _ThreadedValidator:
    def __init__(self, fits: _Fits, pool: ThreadPoolExecutor) -> None:
        self._fits = fits
        self._pool = pool

    async def is_valid(self, text: str) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._check, text)

    def _check(self, text: str) -> bool:
        try:
            value = json.loads(
                text,
                parse_float=Decimal,  # exact, as the digits stand
                parse_constant=_refuse_constant,
                object_pairs_hook=_without_duplicates,
            )
            return bool(self._fits.is_valid(value))
        except (ValueError, RecursionError):
            return False


class Validators:
    """Validators by schema text, a bounded number of them, built and run in threads.

    Formats are asserted, patterns run on the linear-time engine, references stay inside the schema.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self._maximum = config.validator_memory
        self._pool = ThreadPoolExecutor(config.validation_threads, thread_name_prefix="validation")
        self._built: OrderedDict[bytes, AnswerValidator] = OrderedDict()

    async def of(self, form: ResponseFormat) -> AnswerValidator:
        """Return the validator of a structured response format.

        Raises:
            SchemaRefusedError: The schema cannot be validated with, so nothing could be promised.
        """
        key = sha256(f"{form.kind}\0{form.schema_text}".encode()).digest()
        validator = self._built.get(key)
        if validator is None:
            validator = _ThreadedValidator(await self._in_thread(lambda: _build(form)), self._pool)
            self._built[key] = validator
        self._built.move_to_end(key)
        while len(self._built) > self._maximum:
            self._built.popitem(last=False)
        return validator

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], _Fits]) -> _Fits:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _build(form: ResponseFormat) -> _Fits:
    if form.kind is FormatKind.JSON_OBJECT:
        return _AnyObject()
    try:
        return _build_from(form.schema)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        reason = str(error).split("\n", 1)[0][:300]
        raise SchemaRefusedError(f"The schema cannot be validated with: {reason}") from error


def _build_from(schema: dict[str, Any]) -> _Fits:
    dialect = schema.get("$schema")
    if not (isinstance(dialect, str) and dialect in _DIALECTS):
        # A dialect that nobody knows is read as the newest one, as the compiler does.
        schema = {key: value for key, value in schema.items() if key != "$schema"}
    return jsonschema_rs.validator_for(
        schema,
        validate_formats=True,
        pattern_options=jsonschema_rs.RegexOptions(
            size_limit=_PATTERN_BYTES // max(1, count_patterns(schema))
        ),
        offline=True,
    )


def count_patterns(schema: object) -> int:
    """Return how many regular expressions a schema has at most."""
    waiting, count = [schema], 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            count += isinstance(value.get("pattern"), str)
            named = value.get("patternProperties")
            count += len(named) if isinstance(named, dict) else 0
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return count


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice")
    return fields


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
