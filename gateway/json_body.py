"""Reads a JSON body without losing anything: no key twice, exact numbers, the text of a part."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

_Span = tuple[int, int]


@dataclass(frozen=True)
class Source:
    """The text of a JSON object, and where in it the values of its members stand."""

    text: str
    members: Mapping[str, _Span]
    items: Mapping[str, Sequence[_Span]]
    """Of members that are arrays."""

    def text_at(self, path: Sequence[str]) -> str:
        """Return the text of the value at a path of keys, which there is, exactly as it stands."""
        start, end = self.members[path[0]]
        member = self.text[start:end]
        return text_at(member, path[1:]) if path[1:] else member

    def items_of(self, key: str) -> list[str]:
        """Return the texts of the items of a member that is an array."""
        return [self.text[start:end] for start, end in self.items[key]]


def read_object(body: bytes) -> tuple[dict[str, Any], Source]:
    """Return the JSON object in a body, and the text that it was read from.

    orjson is the gate (UTF-8, no NaN, no lone surrogates, bounded depth and numbers); the standard
    library then reads exact integers and sees keys that stand twice, once over the text.

    Raises:
        RequestError: Not JSON, not an object, or a key stands twice in an object.
    """
    try:
        if not isinstance(orjson.loads(body), dict):
            raise RequestError("The JSON body must be an object.", None, "invalid_type")
        return _read_members(body.decode())
    except _DuplicateKeyError as error:
        key = str(error)[:64]
        raise RequestError(
            f"Duplicate key in the JSON body: '{key}'.", None, "duplicate_key"
        ) from None
    except (ValueError, RecursionError) as error:
        raise _bad_json(error) from None


def _read_members(text: str) -> tuple[dict[str, Any], Source]:
    """Return the object in a text that is valid JSON, read member by member."""
    pairs: list[tuple[str, Any]] = []
    members: dict[str, _Span] = {}
    items: dict[str, list[_Span]] = {}
    position = _skip(text, _skip(text, 0) + 1)
    while text[position] != "}":
        key, start = _read_key(text, position)
        if text[start] == "[":
            value, items[key], end = _read_items(text, start)
        else:
            value, end = _DECODER.raw_decode(text, start)
        pairs.append((key, value))
        members[key] = start, end
        position = _next(text, end)
    return _without_duplicates(pairs), Source(text, members, items)


def _read_items(text: str, start: int) -> tuple[list[Any], list[_Span], int]:
    """Return the array that starts there, where its items stand, and where it ends."""
    values: list[Any] = []
    spans: list[_Span] = []
    position = _skip(text, start + 1)
    while text[position] != "]":
        value, end = _DECODER.raw_decode(text, position)
        values.append(value)
        spans.append((position, end))
        position = _next(text, end)
    return values, spans, position + 1


def text_at(text: str, path: Sequence[str]) -> str:
    """Return the text of the value at a path of keys, exactly as it stands in a JSON text.

    The text must have been read by `read_object` and hold the path.
    """
    start = _skip(text, 0)
    for key in path:
        start = _value_start(text, start, key)
    return text[start : _end_at(text, start)]


def _value_start(text: str, position: int, key: str) -> int:
    """Return where the value of `key` starts in the object that starts at `position`."""
    position = _skip(text, position + 1)
    while text[position] == '"':
        name, start = _read_key(text, position)
        if name == key:
            return start
        position = _next(text, _end_at(text, start))
    raise KeyError(key)


def _read_key(text: str, position: int) -> tuple[str, int]:
    """Return the key that starts there, and where its value does."""
    name, position = scanstring(text, position + 1)
    return name, _skip(text, _skip(text, position) + 1)


def _next(text: str, end: int) -> int:
    """Return where the next member or item starts behind one, or the bracket stands."""
    position = _skip(text, end)
    return _skip(text, position + 1) if text[position] == "," else position


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
