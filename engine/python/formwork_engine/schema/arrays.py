"""Arrays: all keywords of all schemas at a position, taken together."""

from collections.abc import Sequence
from typing import Any, Protocol

from formwork_engine.schema.disjointness import IsEmpty
from formwork_engine.schema.flattening import Flattener
from formwork_engine.schema.references import Document, Node, Subschema
from formwork_engine.schema.shapes import ArrayShape, PositionId

_DRAFT_OF_PREFIX_ITEMS = 2020


class Positions(Protocol):
    """Gives places inside a value their positions."""

    document: Document
    flattener: Flattener
    is_empty: IsEmpty

    def position(self, schemas: Sequence[Subschema]) -> PositionId:
        """Return the position that all of these schemas constrain."""


def array_shape(owners: Sequence[Node], positions: Positions) -> ArrayShape:
    """Return the arrays that fit every schema."""
    own = [_Elements(owner, positions) for owner in owners]
    length = max(len(elements.prefix) for elements in own)
    prefix = [
        positions.position([schema for elements in own for schema in elements.at(place)])
        for place in range(length)
    ]
    rest = positions.position([schema for elements in own for schema in elements.at(length)])
    maxima = [int(o.schema["maxItems"]) for o in owners if "maxItems" in o.schema]
    return ArrayShape(
        prefix=tuple(prefix),
        rest=rest,
        min_items=max(int(owner.schema.get("minItems", 0)) for owner in owners),
        max_items=min(maxima, default=None),
    )


class _Elements:
    """What one schema says about the elements of an array."""

    def __init__(self, owner: Node, positions: Positions) -> None:
        schema, child = owner.schema, positions.flattener.child
        items: Any = schema.get("items", True)
        rest: Any = schema.get("unevaluatedItems", True) if "items" not in schema else items
        rest_name = "items" if "items" in schema else "unevaluatedItems"
        prefix, prefix_name = schema.get("prefixItems", []), "prefixItems"
        if isinstance(items, list):
            prefix, prefix_name = items, "items"
            rest, rest_name = schema.get("additionalItems", True), "additionalItems"
        self.prefix = [
            child(owner, item, prefix_name, str(place)) for place, item in enumerate(prefix)
        ]
        self._rest = child(owner, rest, rest_name)
        # Older drafts know no prefixItems: there, items applies to every element.
        self._rest_is_everywhere = (
            positions.document.draft < _DRAFT_OF_PREFIX_ITEMS and prefix_name == "prefixItems"
        )

    def at(self, place: int) -> list[Subschema]:
        """Return the schemas of one element."""
        if place >= len(self.prefix):
            return [self._rest]
        own = self.prefix[place]
        return [own, self._rest] if self._rest_is_everywhere else [own]
