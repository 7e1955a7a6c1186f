"""From a schema document to positions and shapes, with every combination worked out.

A position is lowered from all schemas that apply to it at once: that `properties`,
`patternProperties` and `additionalProperties` of different branches of an `allOf` bear on each
other is then nothing special. Positions are shared by the schemas they come from, so that
references that repeat cost nothing and recursion is finite.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from formwork_engine.errors import TooLargeError, UnsupportedError
from formwork_engine.inputs import Budget
from formwork_engine.schema.arrays import array_shape
from formwork_engine.schema.disjointness import Disjointness, IsEmpty
from formwork_engine.schema.flattening import (
    Flattener,
    Never,
    Option,
    Own,
    Piece,
    is_unconstraining,
)
from formwork_engine.schema.instances import (
    common_values,
    instance_type,
    json_key,
    literal_schema,
)
from formwork_engine.schema.objects import object_shapes
from formwork_engine.schema.references import Document, Node, Subschema
from formwork_engine.schema.scalars import number_shape, string_shape
from formwork_engine.schema.shapes import (
    ANY,
    BooleanShape,
    Link,
    Lowered,
    NullShape,
    PositionId,
    Shape,
)
from formwork_engine.schema.wellformed import check_keywords

TYPES = ("null", "boolean", "number", "string", "array", "object")

Row = tuple[Subschema, ...]


@dataclass(frozen=True)
class ExclusiveChoice:
    """A `oneOf` whose options must turn out to be disjoint."""

    node: Node
    options: tuple[tuple[Shape, ...], ...]


class Lowering:
    """Lowers one document.

    Args:
        document: The document.
        budget: `max_positions` and `max_alternatives` bound the work.
        is_empty: Tells whether a terminal matches nothing.
    """

    def __init__(self, document: Document, budget: Budget, is_empty: IsEmpty) -> None:
        self.is_empty = is_empty
        self.document = document
        self.flattener = Flattener(document)
        self._budget = budget
        self._lowered = Lowered()
        self._position_of: dict[tuple[int, ...], PositionId] = {}
        self._waiting: list[tuple[PositionId, Row]] = []
        self._exclusive: list[ExclusiveChoice] = []

    def lower(self) -> Lowered:
        """Return the document's positions.

        Raises:
            UnsupportedError, MalformedError, TooLargeError: As `compile_index` says.
        """
        for node in list(self.document.nodes()):
            check_keywords(node, self.document.draft)
        self._lowered.root = self.position([self.document.root])
        while self._waiting:
            position, row = self._waiting.pop()
            self._lowered.positions[position] = tuple(self._shapes(row))
        disjointness = Disjointness(self._lowered, self.is_empty)
        for choice in self._exclusive:
            if not disjointness.holds_between(choice.options):
                raise UnsupportedError(
                    choice.node.pointer, "oneOf", "is not enforced where its options may overlap"
                )
        return self._lowered

    def position(self, schemas: Sequence[Subschema]) -> PositionId:
        """Return the position that all of these schemas constrain."""
        row: dict[int, Subschema] = {}
        for schema in schemas:
            if not is_unconstraining(schema):
                row.setdefault(id(schema.schema) if isinstance(schema, Node) else 0, schema)
        if not row:
            return ANY
        key = tuple(row)
        if key not in self._position_of:
            self._position_of[key] = self._reserve(tuple(row.values()))
        return self._position_of[key]

    def _reserve(self, row: Row) -> PositionId:
        position = PositionId(len(self._lowered.positions))
        if position > self._budget.max_positions:
            raise TooLargeError("max_positions", self._budget.max_positions, position)
        self._lowered.positions.append(())
        self._waiting.append((position, row))
        return position

    def _shapes(self, row: Row) -> Iterator[Shape]:
        pieces = [piece for schema in row for piece in self.flattener.pieces(schema)]
        yield from self._alternatives(pieces, [0])

    def _alternatives(self, pieces: list[Piece], count: list[int]) -> list[Shape]:
        """Return the shapes of every way to choose; `count` holds how many there were."""
        if any(isinstance(piece, Never) for piece in pieces):
            return []
        place = next((n for n, piece in enumerate(pieces) if isinstance(piece, Option)), None)
        if place is None:
            count[0] += 1
            if count[0] > self._budget.max_alternatives:
                raise TooLargeError("max_alternatives", self._budget.max_alternatives, count[0])
            return list(self._leaves([piece.node for piece in pieces if isinstance(piece, Own)]))
        choice = pieces[place]
        assert isinstance(choice, Option)  # noqa: S101 - as found just above
        options = [
            self._option(option, pieces[:place], pieces[place + 1 :], count)
            for option in choice.options
        ]
        if choice.is_exclusive:
            self._exclusive.append(ExclusiveChoice(choice.node, tuple(map(tuple, options))))
        return [shape for option in options for shape in option]

    def _option(
        self, option: Subschema, before: list[Piece], after: list[Piece], count: list[int]
    ) -> list[Shape]:
        if not before and not after:  # nothing else applies: the option is a position of its own
            count[0] += 1
            if isinstance(option, bool) and not option:
                return []
            return [Link(self.position([option]))]
        return self._alternatives([*before, *self.flattener.pieces(option), *after], count)

    # What is left applies all together: shapes by type.

    def _leaves(self, owners: list[Node]) -> Iterator[Shape]:
        if not owners:
            yield Link(ANY)
            return
        values = common_values([owner.schema for owner in owners])
        for kind in TYPES:
            own = None if values is None else [v for v in values if instance_type(v) == kind]
            if own != [] and all(_admits_type(owner, kind) for owner in owners):
                yield from self._leaf(kind, owners, own)

    def _leaf(self, kind: str, owners: list[Node], values: list[Any] | None) -> Iterator[Shape]:
        match kind:
            case "null":
                yield NullShape()
            case "boolean":
                yield BooleanShape(frozenset([True, False] if values is None else values))
            case "number":
                yield number_shape(owners, self.document.draft, values)
            case "string":
                yield string_shape(owners, values)
            case _ if values is not None:
                yield from self._structured_literals(kind, owners, values)
            case "array":
                yield array_shape(owners, self)
            case "object":
                yield from object_shapes(owners, self)

    def _structured_literals(
        self, kind: str, owners: list[Node], values: list[Any]
    ) -> Iterator[Shape]:
        """Lower each array or object as the schema that only it fits, beside the other keywords."""
        for value in values:
            label = f"literal\0{json_key(value)!r}"
            only = self.flattener.make_up(owners[0], label, literal_schema(value))
            others = [self._without_literals(owner) for owner in owners]
            yield from self._leaf(kind, [only, *others], None)

    def _without_literals(self, owner: Node) -> Node:
        rest = {
            keyword: value
            for keyword, value in owner.schema.items()
            if keyword not in ("const", "enum")
        }
        return self.flattener.make_up(owner, "without literals", rest)


def _admits_type(owner: Node, kind: str) -> bool:
    types = owner.schema.get("type")
    if types is None:
        return True
    allowed = {types} if isinstance(types, str) else set(types)
    return kind in allowed or (kind == "number" and "integer" in allowed)
