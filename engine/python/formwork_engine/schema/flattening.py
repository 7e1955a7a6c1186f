"""Taking apart what a schema combines: references, `allOf`, and the choices that remain.

A value that a schema constrains is constrained by a row of *pieces*, in the order of the text:
schemas whose own keywords apply, and choices of which one option applies. What cannot be enforced
is refused here, by pointer and keyword.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from formwork_engine.errors import UnsupportedError
from formwork_engine.schema.keywords import Holds, held_by
from formwork_engine.schema.references import Document, Node, Subschema
from formwork_engine.schema.wellformed import check_keywords

_CONTAINERS: Final = frozenset(
    {
        "$defs",
        "definitions",
        "$schema",
        "$id",
        "id",
        "$anchor",
        "$dynamicAnchor",
        "$recursiveAnchor",
    }
)
_COMBINING: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
_REFUSED: Final = {
    "contains": "is not enforced",
    "unevaluatedItems": "is not enforced beside keywords that combine schemas",
    "unevaluatedProperties": "is not enforced beside keywords that combine schemas",
    "$dynamicRef": "is not enforced",
    "$recursiveRef": "is not enforced",
}


@dataclass(frozen=True)
class Own:
    """The keywords of one schema that apply by themselves."""

    node: Node


@dataclass(frozen=True)
class Never:
    """Nothing fits: the schema `false`."""


@dataclass(frozen=True)
class Option:
    """One of several: exactly one for `oneOf`."""

    node: Node
    keyword: str
    options: tuple[Subschema, ...]

    @property
    def is_exclusive(self) -> bool:
        """No value may fit two options."""
        return self.keyword == "oneOf"


Piece = Own | Never | Option


@dataclass(frozen=True)
class _Walk:
    """The schemas that a walk is inside of, and those it has been through."""

    open: set[int]
    done: set[int]


class Flattener:
    """Takes the schemas of one document apart.

    Args:
        document: The document.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._made_up: dict[tuple[int, str], dict[str, Any]] = {}

    def pieces(self, schema: Subschema) -> list[Piece]:
        """Return the pieces of a schema.

        Raises:
            UnsupportedError: It has something that cannot be enforced.
            MalformedError: A keyword has a value of the wrong kind.
        """
        return list(self._pieces(schema, _Walk(set(), set())))

    def _pieces(self, schema: Subschema, walk: _Walk) -> Iterator[Piece]:
        if isinstance(schema, bool):
            if not schema:
                yield Never()
            return
        key = id(schema.schema)
        if key in walk.open:
            raise UnsupportedError(schema.pointer, "$ref", "leads to itself")
        if key in walk.done:  # what applies twice applies once; this also keeps the walk linear
            return
        check_keywords(schema, self._document.draft)
        walk.open.add(key)
        yield from self._pieces_of_keywords(schema, walk)
        walk.open.remove(key)
        walk.done.add(key)

    def _pieces_of_keywords(self, node: Node, walk: _Walk) -> Iterator[Piece]:
        is_own_due = any(_applies(keyword) for keyword in node.schema)
        for keyword, value in node.schema.items():
            _refuse(node, keyword, value)
            if keyword == "properties" and is_own_due:
                yield Own(node)
                is_own_due = False
            yield from self._combined(node, keyword, value, walk)
        if is_own_due:
            yield Own(node)

    def _combined(
        self,
        node: Node,
        keyword: str,
        value: Any,  # noqa: ANN401 - JSON
        walk: _Walk,
    ) -> Iterator[Piece]:
        match keyword:
            case "$ref":
                yield from self._pieces(self._document.follow(node, value), walk)
            case "allOf":
                for place, child in enumerate(value):
                    yield from self._pieces(self.child(node, child, keyword, str(place)), walk)
            case "anyOf" | "oneOf":
                options = (
                    self.child(node, child, keyword, str(place))
                    for place, child in enumerate(value)
                )
                yield Option(node, keyword, tuple(options))
            case "dependentRequired" | "dependentSchemas" | "dependencies":
                for name, wanted in value.items():
                    yield self._dependency(node, keyword, name, wanted)
            case "not" if value in (True, {}):
                yield Never()

    def child(self, node: Node, schema: Any, *path: str) -> Subschema:  # noqa: ANN401 - JSON
        """Return the schema that stands under a keyword of a node."""
        return schema if isinstance(schema, bool) else self._document.node(schema, node, path)

    def make_up(self, node: Node, label: str, schema: dict[str, Any]) -> Node:
        """Return a schema that a keyword of a node stands for: the same one for a label."""
        kept = self._made_up.setdefault((id(node.schema), label), schema)
        return self._document.node(kept, node, ())

    def _dependency(self, node: Node, keyword: str, name: str, wanted: Any) -> Option:  # noqa: ANN401 - JSON
        """Return the choice between the name being absent and what its presence asks for."""
        label = f"{keyword}\0{name}"
        absent = self.make_up(node, f"{label}\0absent", {"properties": {name: False}})
        if isinstance(wanted, list):
            present = {"required": [name, *(other for other in wanted if other != name)]}
        else:
            present = {"required": [name], "allOf": [wanted]}
        return Option(node, keyword, (absent, self.make_up(node, f"{label}\0present", present)))


def is_unconstraining(schema: Subschema) -> bool:
    """Return whether a schema has no keyword that matters."""
    if isinstance(schema, bool):
        return schema
    return not any(_applies(keyword) or keyword in _COMBINING for keyword in schema.schema)


def _applies(keyword: str) -> bool:
    return (
        held_by(keyword) is not Holds.NOTHING
        and keyword not in _CONTAINERS
        and keyword not in _COMBINING
    )


def _refuse(node: Node, keyword: str, value: Any) -> None:  # noqa: ANN401 - JSON
    reason = _reason_against(node, keyword, value)
    if reason:
        raise UnsupportedError(node.pointer, keyword, reason)


def _reason_against(node: Node, keyword: str, value: Any) -> str | None:  # noqa: ANN401 - JSON
    schema = node.schema
    match keyword:
        case "not":
            return None if isinstance(value, bool) or value == {} else "is not enforced"
        case "if":
            return "is not enforced" if schema.keys() & {"then", "else"} else None
        case "contains":
            return (
                None
                if schema.get("minContains") == 0 and "maxContains" not in schema
                else _REFUSED[keyword]
            )
        case "uniqueItems":
            is_plain = value is False or schema.get("maxItems", 2) <= 1
            return None if is_plain else "is not enforced"
        case "unevaluatedProperties" | "unevaluatedItems":
            is_plain = value in (True, {}) or not schema.keys() & {
                *_COMBINING,
                "dependentSchemas",
                "if",
            }
            return None if is_plain else _REFUSED[keyword]
    return _REFUSED.get(keyword)
