"""A short type sketch of a JSON Schema, as it is written into a prompt.

The sketch is for a model to read, not for a validator: it is total on any JSON value, bounded in
depth and size, deterministic, and keeps the order of the schema's properties.

    {name:string /*full name*/,age:integer(0..120)?,size:"small"|"large",tags:[string]}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

MAX_DEPTH = 10
MAX_DESCRIPTION = 60
MAX_PATTERN = 40
MAX_INDEX_DIGITS = 6
MAX_STRUCTURED = 16
MAX_NUMBER_BITS = 128
ELLIPSIS = "…"

Schema: TypeAlias = Mapping[str, object] | bool

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*\Z")
_BOUNDS = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
_NUMERIC_BOUNDS = (("minimum", "maximum"), ("exclusiveMinimum", "exclusiveMaximum"))
_OBJECT_KEYS = ("properties", "required", "additionalProperties", "patternProperties")
_ARRAY_KEYS = ("items", "prefixItems")


def outline(schema: Schema, *, max_characters: int = 1600) -> str:
    """Return a type sketch of the schema, at most max_characters long (cut with an ellipsis)."""
    sketch = _Sketch(schema, max_characters)
    pieces: list[str] = []
    length = 0
    for piece in sketch.write(schema, 0):
        pieces.append(piece)
        length += len(piece)
        if length > max_characters:
            return "".join(pieces)[: max(0, max_characters - 1)] + ELLIPSIS
    return "".join(pieces)


@dataclass
class _Sketch:
    """Walks one schema; yields text piece by piece so that the caller can stop at its budget."""

    root: object
    budget: int
    named: set[str] = field(default_factory=set)

    def write(self, schema: object, depth: int) -> Iterator[str]:
        """Yield the sketch of one schema position."""
        if not isinstance(schema, Mapping):
            yield "never" if schema is False else "any"
        elif depth > MAX_DEPTH:
            yield ELLIPSIS
        elif isinstance(schema.get("$ref"), str):
            yield from self._reference(schema["$ref"], depth)
        elif "const" in schema:
            yield self._literal(schema["const"])
        elif isinstance(schema.get("enum"), list) and schema["enum"]:
            yield from self._joined((iter((self._literal(v),)) for v in schema["enum"]), "|")
        else:
            yield from self._combined(schema, depth)

    def _reference(self, reference: str, depth: int) -> Iterator[str]:
        """Write the target the first time, and only its name from then on."""
        name = reference.rstrip("/").rsplit("/", 1)[-1] or "self"
        if reference in self.named:
            yield f"@{name[:MAX_PATTERN]}"
            return
        self.named.add(reference)
        target = self._resolve(reference)
        if target is None:
            yield f"@{name[:MAX_PATTERN]}"
            return
        yield from self.write(target, depth + 1)

    def _resolve(self, reference: str) -> Mapping[str, object] | None:
        """Find a local JSON pointer's target, or None."""
        node: object = self.root
        if not reference.startswith("#"):
            return None
        for part in reference[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping):
                node = node.get(key)
            elif isinstance(node, list) and _is_index(key, len(node)):
                node = node[int(key)]
            else:
                return None
        return node if isinstance(node, Mapping) else None

    def _combined(self, schema: Mapping[str, object], depth: int) -> Iterator[str]:
        """Write the schema's own type joined with its anyOf, oneOf and allOf branches."""
        groups = [iter(self._typed(schema, depth))] if _has_own_type(schema) else []
        for keyword, mark in (("allOf", "&"), ("anyOf", "|"), ("oneOf", "|")):
            branches = schema.get(keyword)
            if isinstance(branches, list) and branches:
                groups.append(self._joined((self.write(b, depth + 1) for b in branches), mark))
        if groups:
            yield from self._joined(iter(groups), "&")
        else:
            yield "any"

    def _typed(self, schema: Mapping[str, object], depth: int) -> Iterator[str]:
        """Write the schema's type or union of types."""
        kinds = schema.get("type")
        if isinstance(kinds, str):
            yield from self._one_type(kinds, schema, depth)
        elif isinstance(kinds, list) and kinds:
            yield from self._joined((self._one_type(k, schema, depth) for k in kinds), "|")
        elif any(key in schema for key in _OBJECT_KEYS):
            yield from self._object(schema, depth)
        elif any(key in schema for key in _ARRAY_KEYS):
            yield from self._array(schema, depth)
        else:
            yield from self._scalar("string", schema)

    def _one_type(self, kind: object, schema: Mapping[str, object], depth: int) -> Iterator[str]:
        if kind == "object":
            yield from self._object(schema, depth)
        elif kind == "array":
            yield from self._array(schema, depth)
        else:
            yield from self._scalar(str(kind)[:MAX_PATTERN], schema)

    def _scalar(self, kind: str, schema: Mapping[str, object]) -> Iterator[str]:
        yield kind
        if kind == "string":
            pattern, format_name = schema.get("pattern"), schema.get("format")
            if isinstance(format_name, str):
                yield f"<{format_name[:MAX_PATTERN]}>"
            elif isinstance(pattern, str):
                yield f"</{pattern[:MAX_PATTERN]}/>"
        yield _bounds(kind, schema)

    def _object(self, schema: Mapping[str, object], depth: int) -> Iterator[str]:
        yield "{"
        yield from self._joined(self._members(schema, depth), ",")
        yield "}"
        yield _bounds("object", schema)

    def _members(self, schema: Mapping[str, object], depth: int) -> Iterator[Iterator[str]]:
        """Yield one iterator of pieces per property, then per pattern, then for the rest."""
        properties, required = schema.get("properties"), schema.get("required")
        needed = (
            {k for k in required if isinstance(k, str)} if isinstance(required, list) else set()
        )
        if isinstance(properties, Mapping):
            for key, child in properties.items():
                yield self._member(_key(str(key)), child, "" if key in needed else "?", depth)
        patterns = schema.get("patternProperties")
        if isinstance(patterns, Mapping):
            for pattern, child in patterns.items():
                yield self._member(f"/{str(pattern)[:MAX_PATTERN]}/", child, "", depth)
        rest = schema.get("additionalProperties")
        if isinstance(rest, Mapping) or (rest is not False and not properties and not patterns):
            yield self._member("*", rest if isinstance(rest, Mapping) else True, "", depth)

    def _member(self, key: str, child: object, mark: str, depth: int) -> Iterator[str]:
        yield f"{key}:"
        yield from self.write(child, depth + 1)
        yield mark
        yield _description(child)

    def _array(self, schema: Mapping[str, object], depth: int) -> Iterator[str]:
        """Write `[item]`, or `[first,second,...rest]` for a tuple."""
        prefix, items = schema.get("prefixItems"), schema.get("items")
        yield "["
        if isinstance(prefix, list) and prefix:
            yield from self._joined((self.write(p, depth + 1) for p in prefix), ",")
            if items is not False:
                yield ",..."
                yield from self.write(True if items is None else items, depth + 1)
        elif isinstance(items, list):
            yield from self._joined((self.write(i, depth + 1) for i in items), ",")
        else:
            yield from self.write(True if items is None else items, depth + 1)
        yield "]"
        yield _bounds("array", schema)

    def _literal(self, value: object) -> str:
        """Write a constant as compact JSON, without spending more than the budget on it."""
        if isinstance(value, str):
            return json.dumps(value[: self.budget + 1], ensure_ascii=False)
        if isinstance(value, Mapping | list):
            return _shallow(value)
        return json.dumps(value) if _is_short(value) else "number"

    @staticmethod
    def _joined(parts: Iterator[Iterator[str]], mark: str) -> Iterator[str]:
        for index, part in enumerate(parts):
            if index:
                yield mark
            yield from part


def _has_own_type(schema: Mapping[str, object]) -> bool:
    """Tell whether the schema says something besides its branches."""
    keys = ("type", "pattern", "format", *_OBJECT_KEYS, *_ARRAY_KEYS)
    return any(key in schema for key in keys)


def _bounds(kind: str, schema: Mapping[str, object]) -> str:
    """Write `(low..high)` where the schema bounds this type; an open side is empty."""
    if kind in {"integer", "number"}:
        for low_key, high_key in _NUMERIC_BOUNDS:
            low, high = _number(schema.get(low_key)), _number(schema.get(high_key))
            if low or high:
                return f"({low}..{high})"
        return ""
    low_key, high_key = _BOUNDS.get(kind, ("", ""))
    low, high = _number(schema.get(low_key)), _number(schema.get(high_key))
    return f"({low}..{high})" if low or high else ""


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_short(value):
        return ""
    return json.dumps(value)


def _key(name: str) -> str:
    """Write a property name bare when it is an identifier, else as a JSON string."""
    return name if _IDENTIFIER.match(name) else json.dumps(name[:200], ensure_ascii=False)


def _description(schema: object) -> str:
    """Write the first words of a description as a comment, or nothing."""
    text = schema.get("description") if isinstance(schema, Mapping) else None
    if not isinstance(text, str):
        return ""
    words = " ".join(text[: 4 * MAX_DESCRIPTION].replace("*/", "").split())
    if not words:
        return ""
    if len(words) > MAX_DESCRIPTION:
        words = words[: MAX_DESCRIPTION - 1].rstrip() + ELLIPSIS
    return f" /*{words}*/"


def _shallow(value: Mapping[str, object] | Sequence[object]) -> str:
    """Write a structured constant when it is small, else a mark."""
    if len(value) > MAX_STRUCTURED or _nested(value):
        return "[…]" if isinstance(value, list) else "{…}"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))[:200]


def _nested(value: Mapping[str, object] | Sequence[object]) -> bool:
    children = value.values() if isinstance(value, Mapping) else value
    return any(isinstance(child, Mapping | list) or not _is_short(child) for child in children)


def _is_short(value: object) -> bool:
    """Tell whether a plain value takes little room; a huge integer cannot even be printed."""
    if isinstance(value, int):
        return value.bit_length() <= MAX_NUMBER_BITS
    return not isinstance(value, str) or len(value) <= MAX_DESCRIPTION


def _is_index(text: str, length: int) -> bool:
    """Tell whether a pointer's part is an index into a list of this length."""
    return text.isdecimal() and len(text) <= MAX_INDEX_DIGITS and int(text) < length
