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
from formwork_engine.schema.references import Document, Node
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
    options: tuple[Node | bool, ...]

    @property
    def is_exclusive(self) -> bool:
        """No value may fit two options."""
        return self.keyword == "oneOf"


Piece = Own | Never | Option


class Flattener:
    """Takes the schemas of one document apart.

    Args:
        document: The document.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._made_up: dict[tuple[int, str], dict[str, Any]] = {}

    def pieces(self, schema: Node | bool) -> list[Piece]:
        """Return the pieces of a schema.

        Raises:
            UnsupportedError: It has something that cannot be enforced.
            MalformedError: A keyword has a value of the wrong kind.
        """
        return list(self._pieces(schema, frozenset()))

    def _pieces(self, schema: Node | bool, trail: frozenset[int]) -> Iterator[Piece]:
        if isinstance(schema, bool):
            if not schema:
                yield Never()
            return
        if id(schema.schema) in trail:
            raise UnsupportedError(schema.pointer, "$ref", "leads to itself")
        check_keywords(schema, self._document.draft)
        trail |= {id(schema.schema)}
        is_own_due = any(_applies(keyword) for keyword in schema.schema)
        for keyword, value in schema.schema.items():
            _refuse(schema, keyword, value)
            if keyword == "properties" and is_own_due:
                yield Own(schema)
                is_own_due = False
            yield from self._combined(schema, keyword, value, trail)
        if is_own_due:
            yield Own(schema)

    def _combined(
        self,
        node: Node,
        keyword: str,
        value: Any,
        trail: frozenset[int],
    ) -> Iterator[Piece]:
        match keyword:
            case "$ref":
                yield from self._pieces(self._document.follow(node, value), trail)
            case "allOf":
                for place, child in enumerate(value):
                    yield from self._pieces(self.child(node, child, keyword, str(place)), trail)
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

    def child(self, node: Node, schema: Any, *path: str) -> Node | bool:  # noqa: ANN401 - JSON
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


def is_unconstraining(schema: Node | bool) -> bool:
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
