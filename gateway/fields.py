"""Strict readers of JSON values: the value as its type, or an error in OpenAI's words.

Each takes the value and its path (`messages[0].role`). `null` is handled by the caller: an optional
parameter that is null is absent.
"""

import re
from collections.abc import Collection
from typing import Any, NoReturn

from gateway.errors import RequestError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KINDS = {
    bool: "a boolean",
    str: "a string",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def refuse_type(value: object, path: str, wanted: str) -> NoReturn:
    """Raise OpenAI's error for a value of the wrong type."""
    got = _KINDS.get(type(value), "something else")
    raise RequestError(
        f"Invalid type for '{path}': expected {wanted}, but got {got} instead.",
        path,
        "invalid_type",
    )


def read_boolean(value: object, path: str) -> bool:
    """Return a boolean."""
    if not isinstance(value, bool):
        refuse_type(value, path, "a boolean")
    return value


def read_string(value: object, path: str, *, maximum: int | None = None) -> str:
    """Return a string of at most `maximum` characters."""
    if not isinstance(value, str):
        refuse_type(value, path, "a string")
    if maximum is not None and len(value) > maximum:
        raise RequestError(
            f"Invalid '{path}': string too long. Expected a string with maximum length {maximum}, "
            f"but got a string with length {len(value)} instead.",
            path,
            "string_above_max_length",
        )
    return value


def read_name(value: object, path: str) -> str:
    """Return the name of a schema or a tool."""
    name = read_string(value, path, maximum=64)
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"Invalid '{path}': string does not match pattern. Expected a string that matches the "
            "pattern '^[a-zA-Z0-9_-]+$'.",
            path,
            "invalid_value",
        )
    return name


def check_schema_size(text: str, path: str, maximum: int) -> None:
    """Refuse the text of a schema that has more bytes than that."""
    size = len(text.encode())
    if size > maximum:
        raise RequestError(
            f"Invalid '{path}': too large. Expected at most {maximum} bytes, but got {size} bytes "
            "instead.",
            path,
            "schema_too_large",
        )


def read_choice(value: object, path: str, supported: Collection[str]) -> str:
    """Return a string that is one of those supported."""
    text = read_string(value, path)
    if text not in supported:
        raise RequestError(
            f"Invalid value: '{text[:64]}'. Supported values are: {_listed(supported)}.",
            path,
            "invalid_value",
        )
    return text


def read_integer(value: object, path: str, minimum: int, maximum: int) -> int:
    """Return an integer between both bounds, which are inclusive."""
    if not isinstance(value, int) or isinstance(value, bool):
        refuse_type(value, path, "an integer")
    _check_range(value, path, "integer", minimum, maximum)
    return value


def read_decimal(value: object, path: str, minimum: float, maximum: float) -> float:
    """Return a number between both bounds, which are inclusive."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        refuse_type(value, path, "a decimal")
    _check_range(value, path, "decimal", minimum, maximum)
    return float(value)


def read_array(value: object, path: str, minimum: int, maximum: int) -> list[Any]:
    """Return an array whose length lies between both bounds."""
    if not isinstance(value, list):
        refuse_type(value, path, "an array")
    if len(value) < minimum:
        raise RequestError(
            f"Invalid '{path}': empty array. Expected an array with minimum length {minimum}, but "
            "got an empty array instead.",
            path,
            "empty_array",
        )
    if len(value) > maximum:
        raise RequestError(
            f"Invalid '{path}': array too long. Expected an array with maximum length {maximum}, "
            f"but got an array with length {len(value)} instead.",
            path,
            "array_above_max_length",
        )
    return value


def read_members(
    value: object, path: str, known: Collection[str], inner: tuple[str, Collection[str]] = ("", ())
) -> dict[str, Any]:
    """Return an object without its null members, refusing members that nobody knows.

    Args:
        value: The parameter.
        path: Its own.
        known: Names of its members.
        inner: One of these, and members of that one: the Responses API has them here already, so
            the error says where they belong.
    """
    if not isinstance(value, dict):
        refuse_type(value, path, "an object")
    for key in value:
        if key not in known:
            hint = f" Put it into '{path}.{inner[0]}'." if key in inner[1] else ""
            raise RequestError(
                f"Unknown parameter: '{path}.{key[:64]}'.{hint}",
                f"{path}.{key[:64]}",
                "unknown_parameter",
            )
    return {key: member for key, member in value.items() if member is not None}


def read_arguments(value: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return a body's members without those that are null, refusing what nobody knows."""
    for key in value:
        if key not in known:
            name = key[:64]
            raise RequestError(
                f"Unrecognized request argument supplied: {name}", name, "unknown_parameter"
            )
    return {key: member for key, member in value.items() if member is not None}


def require(members: dict[str, Any], key: str, path: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return a member that must be there."""
    where = f"{path}.{key}" if path else key
    if members.get(key) is None:
        raise RequestError(
            f"Missing required parameter: '{where}'.", where, "missing_required_parameter"
        )
    return members[key]


def _check_range(value: float, path: str, kind: str, minimum: float, maximum: float) -> None:
    # Written so that NaN, which compares false, is refused too.
    if not value >= minimum:
        raise RequestError(
            f"Invalid '{path}': {kind} below minimum value. Expected a value >= {minimum:g}, but "
            f"got {_shown(value)} instead.",
            path,
            f"{kind}_below_min_value",
        )
    if not value <= maximum:
        raise RequestError(
            f"Invalid '{path}': {kind} above maximum value. Expected a value <= {_shown(maximum)}, "
            f"but got {_shown(value)} instead.",
            path,
            f"{kind}_above_max_value",
        )


def _shown(value: float) -> str:
    return str(value)[:40] if isinstance(value, int) else f"{value:g}"


def _listed(values: Collection[str]) -> str:
    quoted = [f"'{value}'" for value in values]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])}, and {quoted[-1]}"
