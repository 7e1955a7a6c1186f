"""What the value of each keyword must look like."""

from collections.abc import Callable
from typing import Any, Final

from formwork_engine.errors import MalformedError
from formwork_engine.schema.references import Node

_TYPES = frozenset({"null", "boolean", "number", "integer", "string", "array", "object"})
_DRAFT_OF_NUMERIC_EXCLUSIVE: Final = 6
_DRAFT_OF_PREFIX_ITEMS: Final = 2020


def _is_schema(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, dict | bool)


def _is_schemas(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, list) and bool(value) and all(map(_is_schema, value))


def _is_schema_by_name(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, dict) and all(map(_is_schema, value.values()))


def _is_names(value: Any) -> bool:  # noqa: ANN401 - JSON
    return (
        isinstance(value, list)
        and all(isinstance(name, str) for name in value)
        and len(set(value)) == len(value)
    )


def _is_count(value: Any) -> bool:  # noqa: ANN401 - JSON
    return _is_number(value) and value >= 0 and value == int(value)


def _is_number(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:  # noqa: ANN401 - JSON
    return _is_number(value) and value > 0


def _is_boolean(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, str)


def _is_type(value: Any) -> bool:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return bool(value) and _is_names(value) and set(value) <= _TYPES
    return isinstance(value, str) and value in _TYPES


def _is_list(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, list) and bool(value)


def _is_dependencies(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, dict) and all(
        _is_schema(child) or _is_names(child) for child in value.values()
    )


def _is_dependent_required(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, dict) and all(map(_is_names, value.values()))


_Check = tuple[Callable[[Any], bool], str]

_SCHEMA: _Check = (_is_schema, "must be a schema")
_SCHEMAS: _Check = (_is_schemas, "must be a non-empty array of schemas")
_BY_NAME: _Check = (_is_schema_by_name, "must be an object of schemas")
_COUNT: _Check = (_is_count, "must be a non-negative integer")
_NUMBER: _Check = (_is_number, "must be a number")
_TEXT: _Check = (_is_text, "must be a string")

_CHECKS: dict[str, _Check] = {
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), _SCHEMAS),
    **dict.fromkeys(
        ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"), _BY_NAME
    ),
    **dict.fromkeys(
        (
            *("additionalProperties", "additionalItems", "propertyNames", "contains", "not"),
            *("if", "then", "else", "unevaluatedProperties", "unevaluatedItems"),
        ),
        _SCHEMA,
    ),
    **dict.fromkeys(
        (
            *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
            *("minContains", "maxContains"),
        ),
        _COUNT,
    ),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _NUMBER),
    **dict.fromkeys(("pattern", "format", "$ref", "$id", "$anchor", "$schema"), _TEXT),
    "multipleOf": (_is_positive, "must be a number above 0"),
    "uniqueItems": (_is_boolean, "must be a boolean"),
    "type": (_is_type, "must be a type or a non-empty array of different types"),
    "enum": (_is_list, "must be a non-empty array"),
    "required": (_is_names, "must be an array of different strings"),
    "items": _SCHEMA,
    "dependencies": (_is_dependencies, "must be an object of schemas and arrays of strings"),
    "dependentRequired": (_is_dependent_required, "must be an object of arrays of strings"),
}
_OLD_ITEMS: _Check = (
    lambda value: _is_schema(value) or _is_schemas(value) or value == [],
    "must be a schema or an array of schemas",
)


def check_keywords(node: Node, draft: int) -> None:
    """Return if every known keyword of a schema has a value of its kind.

    Raises:
        MalformedError: The first that has not, by pointer and keyword.
    """
    for keyword, value in node.schema.items():
        check = _check_of(keyword, draft)
        if check is not None and not check[0](value):
            raise MalformedError(f"'{keyword}' {check[1]}", pointer=node.pointer, keyword=keyword)


def _check_of(keyword: str, draft: int) -> _Check | None:
    if keyword == "items" and draft < _DRAFT_OF_PREFIX_ITEMS:
        return _OLD_ITEMS
    if keyword.startswith("exclusive") and draft < _DRAFT_OF_NUMERIC_EXCLUSIVE:
        return (_is_boolean, "must be a boolean in this draft")
    return _CHECKS.get(keyword)
