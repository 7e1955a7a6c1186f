"""Objects: all keywords of all schemas at a position, taken together."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Final

from formwork_engine.errors import UnsupportedError
from formwork_engine.schema.arrays import Positions
from formwork_engine.schema.instances import common_values
from formwork_engine.schema.keywords import Holds, held_by
from formwork_engine.schema.pattern_spelling import spell_pattern
from formwork_engine.schema.patterns import Pattern, matches
from formwork_engine.schema.references import Node, Subschema
from formwork_engine.schema.scalars import enforceable_pattern, string_shape
from formwork_engine.schema.shapes import KeyClass, ObjectShape, Property, StringShape

_PLAIN: Final = frozenset({"type", "pattern", "minLength", "maxLength", "format", "enum", "const"})
_MAX_PATTERNS: Final = 16
"""Of undeclared keys at one position."""
_MAX_CLASSES: Final = 64
"""Of undeclared keys at one position: each pattern may double them."""


class _Members:
    """What one schema says about the members of an object."""

    def __init__(self, owner: Node, positions: Positions) -> None:
        schema, child = owner.schema, positions.flattener.child
        self.declared = {
            name: child(owner, value, "properties", name)
            for name, value in schema.get("properties", {}).items()
        }
        self.patterns = [
            (
                enforceable_pattern(owner, "patternProperties", text),
                child(owner, value, "patternProperties", text),
            )
            for text, value in schema.get("patternProperties", {}).items()
        ]
        keyword = "additionalProperties"
        if keyword not in schema and "unevaluatedProperties" in schema:
            keyword = "unevaluatedProperties"
        self.additional = child(owner, schema.get(keyword, True), keyword)

    def of_name(self, name: str) -> list[Subschema]:
        """Return the schemas of a member by its name."""
        own = [self.declared[name]] if name in self.declared else []
        own += [schema for pattern, schema in self.patterns if matches(pattern, name)]
        return own or [self.additional]

    def of_class(self, found: Sequence[Pattern]) -> list[Subschema]:
        """Return the schemas of undeclared members in whose key just these patterns are found."""
        own = [schema for pattern, schema in self.patterns if pattern in found]
        return own or [self.additional]


def object_shapes(owners: Sequence[Node], positions: Positions) -> Iterator[ObjectShape]:
    """Yield the objects that fit every schema.

    Properties stand in the order of the schemas' text; then come required ones that are not
    declared, then all others.
    """
    members = [_Members(owner, positions) for owner in owners]
    names = _key_shapes(owners, positions)
    listed = _listed(names)
    order = dict.fromkeys(name for own in members for name in own.declared)
    required = dict.fromkeys(name for owner in owners for name in owner.schema.get("required", []))
    known = order | required | dict.fromkeys(listed or ())
    if not all(_is_key(name, names) for name in required):
        return
    yield ObjectShape(
        properties=tuple(
            Property(name, positions.position(_of_name(members, name)), name in required)
            for name in known
            if _is_key(name, names)
        ),
        others=() if listed is not None else _classes(owners[0], members, names, positions),
        taken=frozenset(known),
        min_properties=max(int(owner.schema.get("minProperties", 0)) for owner in owners),
        max_properties=min(
            (int(o.schema["maxProperties"]) for o in owners if "maxProperties" in o.schema),
            default=None,
        ),
    )


def _listed(names: tuple[StringShape, ...] | None) -> list[str] | None:
    """Return the keys there may be where `propertyNames` lists them."""
    if names is None or any(shape.literals is None for shape in names):
        return None
    return [name for shape in names for name in shape.literals or ()]


def _of_name(members: Sequence[_Members], name: str) -> list[Subschema]:
    return [schema for own in members for schema in own.of_name(name)]


def _is_key(name: str, names: tuple[StringShape, ...] | None) -> bool:
    return names is None or any(shape.admits(name) for shape in names)


def _classes(
    owner: Node,
    members: Sequence[_Members],
    names: tuple[StringShape, ...] | None,
    positions: Positions,
) -> tuple[KeyClass, ...]:
    """Return the classes of undeclared keys: by which of the patterns are found in them."""
    patterns = tuple(dict.fromkeys(pattern for own in members for pattern, _ in own.patterns))
    classes = []
    for found in _possible_sets(owner, patterns, positions):
        schemas = [schema for own in members for schema in own.of_class(found)]
        if not any(schema is False for schema in schemas):
            absent = tuple(pattern for pattern in patterns if pattern not in found)
            classes.append(KeyClass(positions.position(schemas), found, absent, names))
    return tuple(classes)


def _possible_sets(
    owner: Node, patterns: tuple[Pattern, ...], positions: Positions
) -> Iterator[tuple[Pattern, ...]]:
    """Yield the sets of patterns that one key may have in it, as far as pairs of them tell."""
    if len(patterns) > _MAX_PATTERNS:
        raise UnsupportedError(
            owner.pointer, "patternProperties", f"has more than {_MAX_PATTERNS} patterns"
        )
    apart = {
        frozenset(pair)
        for pair in combinations(patterns, 2)
        if positions.is_empty(" & ".join(f"/{spell_pattern(pattern)}/" for pattern in pair))
    }
    sets: list[tuple[Pattern, ...]] = [()]
    for pattern in patterns:
        sets += [
            (*found, pattern)
            for found in sets
            if not any(frozenset((pattern, other)) in apart for other in found)
        ]
        if len(sets) > _MAX_CLASSES:
            raise UnsupportedError(
                owner.pointer, "patternProperties", "has too many patterns that overlap"
            )
    yield from sets[::-1]


def _key_shapes(owners: Sequence[Node], positions: Positions) -> tuple[StringShape, ...] | None:
    """Return the shapes that `propertyNames` allows; None: any key."""
    schemas = [
        (owner, owner.schema["propertyNames"])
        for owner in owners
        if "propertyNames" in owner.schema
    ]
    constraints = [entry for entry in schemas if entry[1] not in (True, {})]
    if not constraints:
        return None
    if any(schema is False for _, schema in constraints):
        return ()
    nodes = [_plain_names(owner, schema, positions) for owner, schema in constraints]
    return (string_shape(nodes, common_values([node.schema for node in nodes])),)


def _plain_names(owner: Node, schema: Any, positions: Positions) -> Node:  # noqa: ANN401 - JSON
    node = positions.flattener.child(owner, schema, "propertyNames")
    others = {
        keyword
        for keyword in schema
        if keyword not in _PLAIN and held_by(keyword) is not Holds.NOTHING
    }
    if isinstance(node, bool) or others or schema.get("type", "string") != "string":
        raise UnsupportedError(owner.pointer, "propertyNames", "is enforced for plain strings only")
    return node
