"""JSON values that a schema names: their types, their equality, and the schema that each fits."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any


def instance_type(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return the type of a value; that of integers is `number`."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def json_key(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return something hashable that is equal for equal JSON values: 1 and 1.0, but not true."""
    match value:
        case bool() | None | str():
            return (type(value).__name__, value)
        case int() | float():
            return ("number", exact(value))
        case list():
            return ("array", tuple(map(json_key, value)))
    return ("object", frozenset((name, json_key(child)) for name, child in value.items()))


def exact(value: float) -> Fraction:
    """Return a number of a JSON text as what its shortest decimal says."""
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


def literal_schema(value: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return the schema that only this array or object fits."""
    if isinstance(value, list):
        items = [{"const": child} for child in value]
        size = len(items)
        own: dict[str, Any] = {"type": "array", "minItems": size, "maxItems": size}
        return {**own, "prefixItems": items} if items else own
    return {
        "type": "object",
        "properties": {name: {"const": child} for name, child in value.items()},
        "required": list(value),
        "additionalProperties": False,
    }


def common_values(schemas: Sequence[dict[str, Any]]) -> list[Any] | None:
    """Return the values that every `const` and `enum` names, in the order of the first.

    None where there is no such keyword.
    """
    lists = [schema["enum"] for schema in schemas if "enum" in schema]
    lists += [[schema["const"]] for schema in schemas if "const" in schema]
    if not lists:
        return None
    keys = [{json_key(value) for value in values} for values in lists]
    found: dict[Any, Any] = {}
    for value in lists[0]:
        key = json_key(value)
        if all(key in others for others in keys):
            found.setdefault(key, value)
    return list(found.values())
