"""Reads a JSON body without losing anything: no key twice, exact numbers, the text of a part."""

import json
from collections.abc import Sequence
from json.decoder import scanstring  # type: ignore[attr-defined] # missing in typeshed
from typing import Any

import orjson

from gateway.errors import RequestError

_WHITESPACE = " \t\n\r"
_BAD_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
    "your HTTP library correctly. The API expects a JSON payload, but what was sent was not valid "
    "JSON: {reason}.)"
)


class _DuplicateKeyError(ValueError):
    pass


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DuplicateKeyError(key)
            seen.add(key)
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates)


def read_object(body: bytes) -> tuple[dict[str, Any], str]:
    """Return the JSON object in a body, and the body's text.

    orjson is the gate (UTF-8, no NaN, no lone surrogates, bounded depth and numbers); the standard
    library then reads exact integers and sees keys that stand twice.

    Raises:
        RequestError: Not JSON, not an object, or a key stands twice in an object.
    """
    try:
        orjson.loads(body)
        text = body.decode()
        value = _DECODER.decode(text)
    except _DuplicateKeyError as error:
        key = str(error)[:64]
        raise RequestError(
            f"Duplicate key in the JSON body: '{key}'.", None, "duplicate_key"
        ) from None
    except (ValueError, RecursionError) as error:
        raise _bad_json(error) from None
    if not isinstance(value, dict):
        raise RequestError("The JSON body must be an object.", None, "invalid_type")
    return value, text


def text_at(text: str, path: Sequence[str]) -> str:
    """Return the text of the value at a path of keys, exactly as it stands in a JSON text.

    The text must have been read by `read_object` and hold the path.
    """
    start = _start_at(text, path)
    return text[start : _end_at(text, start)]


def items_at(text: str, path: Sequence[str]) -> list[str]:
    """Return the texts of the items of the array at a path of keys, in one pass.

    The text must have been read by `read_object` and hold the path.
    """
    position = _start_at(text, path)
    items: list[str] = []
    position = _skip(text, position + 1)
    while text[position] != "]":
        end = _end_at(text, position)
        items.append(text[position:end])
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return items


def _start_at(text: str, path: Sequence[str]) -> int:
    start = _skip(text, 0)
    for key in path:
        start = _value_start(text, start, key)
    return start


def _value_start(text: str, position: int, key: str) -> int:
    """Return where the value of `key` starts in the object that starts at `position`."""
    position = _skip(text, position + 1)
    while text[position] == '"':
        name, position = scanstring(text, position + 1)
        position = _skip(text, _skip(text, position) + 1)
        if name == key:
            return position
        position = _skip(text, _skip(text, _end_at(text, position)) + 1)
    raise KeyError(key)


def _end_at(text: str, start: int) -> int:
    """Return where the value ends that starts at `start`."""
    try:
        _, end = _DECODER.raw_decode(text, start)
    except RecursionError as error:  # the stack was not as high where the body was read
        raise _bad_json(error) from None
    return end


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _WHITESPACE:
        position += 1
    return position


def _bad_json(error: Exception) -> RequestError:
    return RequestError(_BAD_JSON.format(reason=_first_line(error)), None, "invalid_json")


def _first_line(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error).split("\n", 1)[0][:200]
