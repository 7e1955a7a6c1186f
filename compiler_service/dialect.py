"""OpenAI's structured-output dialect: what `strict: true` accepts, and what it says otherwise.

A message is what OpenAI writes after "Invalid schema for response_format '<name>': ", with the
place as a Python tuple: "In context=('properties', 'x'), ...".

Accepted: every JSON type, enum, const, anyOf, $ref to the root and to top-level definitions,
pattern, the formats of `FORMATS`, bounds of strings, numbers and arrays; titles, descriptions,
`$schema`, `$id` and `$comment` as annotations. Refused by name: every other keyword.

Levels are counted as follows. The root is on level 1, and so is each definition, wherever it is
referenced. A schema under `properties` or `items` of a schema on level n is on level n + 1 when it
has `properties` or `items` itself, else on level n; `anyOf` and `$ref` add none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from compiler_service.schema_keywords import pointer_of, subschemas
from mesh.errors import SchemaRefusedError

MAX_PROPERTIES: Final = 5_000
MAX_LEVELS: Final = 10
MAX_STRING_CHARACTERS: Final = 120_000
MAX_ENUM_VALUES: Final = 1_000
LARGE_ENUM_VALUES: Final = 250
MAX_LARGE_ENUM_CHARACTERS: Final = 15_000

FORMATS: Final = frozenset(
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"]
)
TYPES: Final = frozenset(["string", "number", "boolean", "integer", "object", "array", "null"])

_ANNOTATIONS = frozenset(["title", "description", "$schema", "$id", "$comment"])
_DEFINITIONS = ("$defs", "definitions")
_PERMITTED = (
    _ANNOTATIONS
    | frozenset(_DEFINITIONS)
    | frozenset(
        [
            "type",
            "properties",
            "required",
            "additionalProperties",
            "items",
            "enum",
            "const",
            "anyOf",
            "$ref",
        ]
    )
    | frozenset(["pattern", "format", "minLength", "maxLength", "minItems", "maxItems"])
    | frozenset(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"])
)


@dataclass(frozen=True)
class Place:
    """One schema of the document, and where it stands."""

    schema: dict[str, Any]
    path: tuple[str, ...]
    level: int
    root: dict[str, Any]

    def refusal(self, keyword: str, message: str, **facts: int | str) -> SchemaRefusedError:
        """Return the error that names this place, in OpenAI's words."""
        metadata = {name: str(value) for name, value in facts.items()}
        return SchemaRefusedError(
            f"In context={self.path!r}, {message}",
            field=pointer_of(self.path),
            metadata={"keyword": keyword, "context": repr(self.path), **metadata},
        )


def check_strict(schema: Any) -> None:  # noqa: ANN401 - JSON
    """Return if a parsed schema is in the dialect.

    Raises:
        SchemaRefusedError: The first thing that is not, depth first in the order of the text;
            `field` is its JSON pointer, metadata has `keyword` and `context`.
    """
    root = schema if isinstance(schema, dict) else {}
    top = Place(root, (), 1, root)
    _check_root(top)
    places = list(_places(top))
    for place in places:
        for check in _CHECKS:
            check(place)
    _check_totals(places, top)


def _check_root(top: Place) -> None:
    if "anyOf" in top.schema:
        raise top.refusal(
            "anyOf", "schema must have type 'object' and not have 'anyOf' at the root."
        )
    kind = _definition(top.schema.get("$ref"), top.root).get("type", top.schema.get("type"))
    if kind != "object":
        shown = kind if isinstance(kind, str) else str(kind)
        raise top.refusal(
            "type",
            f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{shown[:100]}\"'.",
        )


def _places(place: Place) -> Iterator[Place]:
    """Yield the place and all below it."""
    yield place
    for keyword, value in place.schema.items():
        if keyword not in _PERMITTED:
            continue  # refused by its own check
        for path, child in subschemas(keyword, value):
            if isinstance(child, dict):
                yield from _places(_below(place, keyword, path, child))


def _below(place: Place, keyword: str, path: tuple[str, ...], child: dict[str, Any]) -> Place:
    deeper = keyword in ("properties", "items") and ("properties" in child or "items" in child)
    level = 1 if keyword in _DEFINITIONS else place.level + deeper
    return Place(child, (*place.path, *path), level, place.root)


def _check_keywords(place: Place) -> None:
    for keyword in place.schema:
        if keyword not in _PERMITTED:
            raise place.refusal(keyword, f"'{keyword[:100]}' is not permitted.")
        if keyword in _DEFINITIONS and place.path:
            raise place.refusal(keyword, f"'{keyword}' is only permitted at the root.")


def _check_level(place: Place) -> None:
    if place.level > MAX_LEVELS:
        raise place.refusal(
            "properties" if "properties" in place.schema else "items",
            f"{place.level} levels of nesting exceeds limit of {MAX_LEVELS}.",
            limit="levels",
            maximum=MAX_LEVELS,
            value=place.level,
        )


def _check_reference(place: Place) -> None:
    if "$ref" not in place.schema:
        return
    siblings = sorted(set(place.schema) - _ANNOTATIONS - {"$ref"} - set(_DEFINITIONS))
    if siblings:
        raise place.refusal("$ref", f"$ref cannot have keywords {set(siblings[:1])!r}.")
    reference = place.schema["$ref"]
    if _is_dangling(reference, place.root):
        raise place.refusal("$ref", f"the definition '{reference[:100]}' does not exist.")
    if not _is_definition(reference, place.root):
        raise place.refusal(
            "$ref",
            "reference can only point to definitions defined at the top level of the schema.",
        )


def _is_definition(reference: object, root: dict[str, Any]) -> bool:
    return reference == "#" or bool(_definition(reference, root))


def _is_dangling(reference: object, root: dict[str, Any]) -> bool:
    """Return whether a reference is written as one to a top-level definition that is not there."""
    named = _named_definition(reference)
    return named is not None and named[1] not in _definitions(named[0], root)


def _definition(reference: object, root: dict[str, Any]) -> dict[str, Any]:
    """Return the top-level definition that a reference names; empty if it names none."""
    named = _named_definition(reference)
    found = _definitions(named[0], root).get(named[1]) if named else None
    return found if isinstance(found, dict) else {}


def _named_definition(reference: object) -> tuple[str, str] | None:
    """Return the keyword and name of `#/$defs/name`; None for what is written otherwise."""
    parts = reference.split("/") if isinstance(reference, str) else []
    if len(parts) != 3 or parts[0] != "#" or parts[1] not in _DEFINITIONS:  # noqa: PLR2004 - #, $defs, name
        return None
    return parts[1], parts[2].replace("~1", "/").replace("~0", "~")


def _definitions(keyword: str, root: dict[str, Any]) -> dict[str, Any]:
    definitions = root.get(keyword)
    return definitions if isinstance(definitions, dict) else {}


def _check_type(place: Place) -> None:
    kinds = _types(place)
    if not kinds and not place.schema.keys() & {"anyOf", "$ref", "enum", "const"}:
        raise place.refusal("type", "schema must have a 'type' key.")
    for kind in kinds:
        if not isinstance(kind, str) or kind not in TYPES:
            raise place.refusal("type", f"{str(kind)[:100]!r} is not a valid type.")


def _types(place: Place) -> list[Any]:
    kind = place.schema.get("type", [])
    return kind if isinstance(kind, list) else [kind]


def _check_object(place: Place) -> None:
    if "object" not in _types(place) and "properties" not in place.schema:
        return
    if place.schema.get("additionalProperties") is not False:
        raise place.refusal(
            "additionalProperties",
            "'additionalProperties' is required to be supplied and to be false.",
        )
    properties = place.schema.get("properties", {})
    if not isinstance(properties, dict):
        raise place.refusal("properties", "'properties' must be an object.")
    _check_required(place, properties)


def _check_required(place: Place, properties: dict[str, Any]) -> None:
    required = place.schema.get("required", [])
    rule = (
        "'required' is required to be supplied and to be an array including every key in "
        "properties."
    )
    if not isinstance(required, list):
        raise place.refusal("required", rule)
    for name in properties:
        if name not in required:
            raise place.refusal("required", f"{rule} Missing '{name}'.")
    for name in required:
        if not isinstance(name, str) or name not in properties:
            raise place.refusal("required", f"{rule} Extra required key '{name}' supplied.")


def _check_array(place: Place) -> None:
    if "array" not in _types(place):
        return
    if "items" not in place.schema:
        raise place.refusal("items", "array schema missing items.")
    if not isinstance(place.schema["items"], dict):
        raise place.refusal("items", "array schema items is not an object.")


def _check_format(place: Place) -> None:
    name = place.schema.get("format")
    if name is not None and (not isinstance(name, str) or name not in FORMATS):
        raise place.refusal("format", f"{str(name)[:100]!r} is not a valid format.")


def _check_any_of(place: Place) -> None:
    """Refuse alternatives that begin with the same property of the same schema, as OpenAI does."""
    options = place.schema.get("anyOf", [])
    if not isinstance(options, list) or ("anyOf" in place.schema and not options):
        raise place.refusal("anyOf", "'anyOf' must be a non-empty array of schemas.")
    firsts: list[tuple[str, Any]] = []
    for option in options:
        properties = option.get("properties") if isinstance(option, dict) else None
        if isinstance(properties, dict) and properties:
            firsts.append(next(iter(properties.items())))
    if any(first in firsts[:place_] for place_, first in enumerate(firsts)):
        raise place.refusal(
            "anyOf",
            "Objects provided via 'anyOf' must not share identical first keys. Consider adding a "
            "discriminator key or rearranging the properties to ensure the first key is unique.",
        )


def _check_enum(place: Place) -> None:
    values = place.schema.get("enum")
    if values is None and "enum" not in place.schema:
        return
    if not isinstance(values, list) or not values:
        raise place.refusal("enum", "'enum' must be a non-empty array.")
    characters = sum(len(value) for value in values if isinstance(value, str))
    if len(values) > LARGE_ENUM_VALUES and characters > MAX_LARGE_ENUM_CHARACTERS:
        raise place.refusal(
            "enum",
            f"enum with more than {LARGE_ENUM_VALUES} values has {characters} characters, "
            f"which exceeds limit of {MAX_LARGE_ENUM_CHARACTERS}.",
            limit="enum_characters",
            maximum=MAX_LARGE_ENUM_CHARACTERS,
            value=characters,
        )


_CHECKS: tuple[Callable[[Place], None], ...] = (
    _check_keywords,
    _check_level,
    _check_reference,
    _check_type,
    _check_object,
    _check_array,
    _check_format,
    _check_any_of,
    _check_enum,
)


def _check_totals(places: list[Place], top: Place) -> None:
    totals = (
        ("properties", MAX_PROPERTIES, "properties", sum(map(_property_count, places))),
        ("enum", MAX_ENUM_VALUES, "enum values", sum(map(_enum_count, places))),
        (
            "properties",
            MAX_STRING_CHARACTERS,
            "characters of property names, definition names, enum values and const values",
            sum(map(_characters, places)),
        ),
    )
    for keyword, maximum, what, value in totals:
        if value > maximum:
            message = f"{value} {what} exceeds limit of {maximum}."
            raise top.refusal(keyword, message, limit=what, maximum=maximum, value=value)


def _property_count(place: Place) -> int:
    return len(place.schema.get("properties", {}))


def _enum_count(place: Place) -> int:
    return len(place.schema.get("enum", []))


def _characters(place: Place) -> int:
    names = [
        name for keyword in ("properties", *_DEFINITIONS) for name in place.schema.get(keyword, {})
    ]
    values = [*place.schema.get("enum", []), place.schema.get("const")]
    return sum(len(text) for text in (*names, *values) if isinstance(text, str))
