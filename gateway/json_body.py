"""Reads a JSON body without losing anything: no key twice, exact numbers, the text of a part."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined] # missing in typeshed
from typing import Any

import orjson

from gateway.errors import RequestError

MOST_MARKS = 200_000
"""Commas and opening brackets of a body, outside of strings: about as many as it has values."""
_MOST_ITEMS = 256
"""Of an array whose items' places are kept: more than there may be tools."""
_MOST_MEMBERS = 256
"""Of a body whose members' places are kept: more than there are parameters."""
_STRING = re.compile(
    rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL
)  # to the end where it is not closed
_WHITESPACE = re.compile(r"[ \t\n\r]*")
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
    """Of members that are arrays and not long."""

    def text_at(self, path: Sequence[str]) -> str:
        """Return the text of the value at a path of keys, which there is, exactly as it stands."""
        start, end = self.members[path[0]]
        member = self.text[start:end]
        return text_at(member, path[1:]) if path[1:] else member

    def items_of(self, key: str) -> list[str]:
        """Return the texts of the items of a member that is an array."""
        return [self.text[start:end] for start, end in self.items[key]]


def read_object(body: bytes, *, most_marks: int = MOST_MARKS) -> tuple[dict[str, Any], Source]:
    """Return the JSON object in a body, and the text that it was read from.

    orjson is the gate (UTF-8, no NaN, no lone surrogates, bounded depth and numbers); the standard
    library then reads exact integers and sees keys that stand twice, once over the text.

    Raises:
        RequestError: Not JSON, no object, of too many parts, or a key stands twice in an object.
    """
    _check_marks(body, most_marks)
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


def _check_marks(body: bytes, most: int) -> None:
    """Refuse what would keep the interpreter busy for seconds: a million empty arrays are 4 MB."""
    if _count_marks(body, 0, len(body)) > most and _has_more_marks(body, most):
        message = f"The JSON body has more than {most} commas and brackets outside of its strings."
        raise RequestError(message, None, "limit_exceeded")


def _has_more_marks(body: bytes, most: int) -> bool:
    marks = end = 0
    for strings, string in enumerate(_STRING.finditer(body)):
        marks += _count_marks(body, end, string.start())
        end = string.end()
        if marks > most or strings > 2 * most:  # a key and a value each
            return True
    return marks + _count_marks(body, end, len(body)) > most


def _count_marks(text: bytes, start: int, end: int) -> int:
    return sum(text.count(mark, start, end) for mark in (b",", b"[", b"{"))


def _read_members(text: str) -> tuple[dict[str, Any], Source]:
    """Return the object in a text that is valid JSON, read member by member if they are few."""
    pairs: list[tuple[str, Any]] = []
    members: dict[str, _Span] = {}
    items: dict[str, list[_Span]] = {}
    body = _skip(text, 0)
    position = _skip(text, body + 1)
    while text[position] != "}":
        if len(pairs) == _MOST_MEMBERS:  # some are unknown: nobody asks where others stand
            return _DECODER.raw_decode(text, body)[0], Source(text, {}, {})
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
    """Return the array that starts there, where its items stand if they are few, and its end.

    A long one is read at once: a million small items, one by one, would take seconds.
    """
    values: list[Any] = []
    spans: list[_Span] = []
    position = _skip(text, start + 1)
    while text[position] != "]":
        if len(spans) == _MOST_ITEMS:
            values, end = _DECODER.raw_decode(text, start)
            return values, [], end
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
    """Return where the next character that is no whitespace stands."""
    found = _WHITESPACE.match(text, position)
    return position if found is None else found.end()


def _bad_json(error: Exception) -> RequestError:
    return RequestError(_BAD_JSON.format(reason=_first_line(error)), None, "invalid_json")


def _first_line(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error).split("\n", 1)[0][:200]
