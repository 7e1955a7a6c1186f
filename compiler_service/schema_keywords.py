"""What each keyword of JSON Schema holds: schemas at known places, or data.

Drafts 4 to 2020-12 together. A keyword that is not named here is an annotation, as the
specification says of unknown ones (Core 2020-12, section 4.3.1).
"""

from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Any, Final


class Holds(Enum):
    """What stands under a keyword."""

    SCHEMA = auto()
    SCHEMAS = auto()
    """A list of schemas."""
    SCHEMA_OR_SCHEMAS = auto()
    SCHEMA_BY_NAME = auto()
    SCHEMA_OR_NAMES_BY_NAME = auto()
    """`dependencies` of draft 7."""
    DATA = auto()
    """Numbers, names, patterns, references and instances."""
    NOTHING = auto()
    """An annotation: it constrains no instance."""


HELD: Final = {
    **dict.fromkeys(
        [
            "additionalProperties",
            "additionalItems",
            "propertyNames",
            "contains",
            "not",
            "if",
            "then",
            "else",
            "unevaluatedProperties",
            "unevaluatedItems",
        ],
        Holds.SCHEMA,
    ),
    **dict.fromkeys(["allOf", "anyOf", "oneOf", "prefixItems"], Holds.SCHEMAS),
    "items": Holds.SCHEMA_OR_SCHEMAS,
    **dict.fromkeys(
        ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"],
        Holds.SCHEMA_BY_NAME,
    ),
    "dependencies": Holds.SCHEMA_OR_NAMES_BY_NAME,
    **dict.fromkeys(
        [
            "$schema",
            "$id",
            "id",
            "$anchor",
            "$ref",
            "$dynamicRef",
            "$dynamicAnchor",
            "$recursiveRef",
            "$recursiveAnchor",
            "type",
            "const",
            "enum",
            "required",
            "dependentRequired",
            "minProperties",
            "maxProperties",
            "minItems",
            "maxItems",
            "uniqueItems",
            "minContains",
            "maxContains",
            "minLength",
            "maxLength",
            "pattern",
            "format",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ],
        Holds.DATA,
    ),
}


def held_by(keyword: str) -> Holds:
    """Return what stands under a keyword; an unknown one is an annotation."""
    return HELD.get(keyword, Holds.NOTHING)


def map_subschemas(keyword: str, value: Any, change: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - JSON
    """Return the value of a keyword with each schema in it changed; all else as it is."""
    held = held_by(keyword)
    if isinstance(value, dict) and held in (Holds.SCHEMA_BY_NAME, Holds.SCHEMA_OR_NAMES_BY_NAME):
        return {name: _changed(child, change) for name, child in value.items()}
    if isinstance(value, list) and held in (Holds.SCHEMAS, Holds.SCHEMA_OR_SCHEMAS):
        return [_changed(child, change) for child in value]
    if held in (Holds.SCHEMA, Holds.SCHEMA_OR_SCHEMAS):
        return _changed(value, change)
    return value


def _changed(child: Any, change: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - JSON
    return change(child) if isinstance(child, dict) else child


def subschemas(keyword: str, value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401 - JSON
    """Yield each schema under a keyword with the path to it, the keyword first."""
    held = held_by(keyword)
    if isinstance(value, dict) and held in (Holds.SCHEMA_BY_NAME, Holds.SCHEMA_OR_NAMES_BY_NAME):
        for name, child in value.items():
            if isinstance(child, dict | bool):
                yield (keyword, name), child
    elif isinstance(value, list) and held in (Holds.SCHEMAS, Holds.SCHEMA_OR_SCHEMAS):
        for place, child in enumerate(value):
            yield (keyword, str(place)), child
    elif held in (Holds.SCHEMA, Holds.SCHEMA_OR_SCHEMAS):
        yield (keyword,), value


def pointer_of(path: tuple[str, ...]) -> str:
    """Return the JSON pointer (RFC 6901) of a path."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
