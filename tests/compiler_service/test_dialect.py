"""OpenAI's strict dialect, with its very messages."""

from typing import Any

import pytest

from compiler_service.dialect import check_strict
from mesh.errors import SchemaRefusedError

STRING = {"type": "string"}


def closed(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - schemas
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = STRING
    for _ in range(levels):
        schema = closed(a=schema)
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        closed(),
        closed(a=STRING, b={"type": ["integer", "null"], "minimum": 1, "maximum": 11}),
        closed(a={"enum": ["x", "y"], "title": "A", "description": "d"}),
        closed(a={"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^a"}),
        closed(a={"type": "array", "items": STRING, "minItems": 1, "maxItems": 2}),
        closed(a={"anyOf": [STRING, {"type": "null"}]}),
        closed(a={"anyOf": [closed(k={"const": 1}), closed(k={"const": 2})]}),
        {**closed(a={"$ref": "#/$defs/b"}), "$defs": {"b": closed(c={"$ref": "#"})}},
        {"$ref": "#/$defs/node", "$defs": {"node": closed(next={"$ref": "#/$defs/node"})}},
        {**closed(a={"$ref": "#/definitions/b", "description": "d"}), "definitions": {"b": STRING}},
        {**closed(a=STRING), "$schema": "https://json-schema.org/draft/2020-12/schema"},
        closed(title={"type": "string", "title": "Title"}),
        nested(10),
        closed(**{f"p{n}": STRING for n in range(5000)}),
        closed(a={"enum": [f"{n}" for n in range(1000)]}),
    ],
)
def test_the_dialect_accepts(schema: dict[str, Any]) -> None:
    check_strict(schema)


REQUIRED = (
    "'required' is required to be supplied and to be an array including every key in properties."
)


@pytest.mark.parametrize(
    ("schema", "message", "pointer", "keyword"),
    [
        (
            closed(x={"type": "object", "properties": {}}),
            (
                "In context=('properties', 'x'), 'additionalProperties' is required to be supplied "
                "and to be false."
            ),
            "/properties/x",
            "additionalProperties",
        ),
        (
            {**closed(x=STRING), "required": []},
            f"In context=(), {REQUIRED} Missing 'x'.",
            "",
            "required",
        ),
        (
            {**closed(x=STRING), "required": ["x", "y"]},
            f"In context=(), {REQUIRED} Extra required key 'y' supplied.",
            "",
            "required",
        ),
        (
            closed(x={"type": "string", "default": "d"}),
            "In context=('properties', 'x'), 'default' is not permitted.",
            "/properties/x",
            "default",
        ),
        (
            closed(x={"oneOf": [STRING]}),
            "In context=('properties', 'x'), 'oneOf' is not permitted.",
            "/properties/x",
            "oneOf",
        ),
        (
            closed(x={"type": "array", "items": {"allOf": [STRING, STRING]}}),
            "In context=('properties', 'x', 'items'), 'allOf' is not permitted.",
            "/properties/x/items",
            "allOf",
        ),
        (
            closed(x={"type": "string", "format": "uri"}),
            "In context=('properties', 'x'), 'uri' is not a valid format.",
            "/properties/x",
            "format",
        ),
        (
            closed(x={}),
            "In context=('properties', 'x'), schema must have a 'type' key.",
            "/properties/x",
            "type",
        ),
        (
            closed(x={"type": "array"}),
            "In context=('properties', 'x'), array schema missing items.",
            "/properties/x",
            "items",
        ),
        (
            {"type": "array", "items": STRING},
            (
                "In context=(), schema must be a JSON Schema of 'type: \"object\"', "
                "got 'type: \"array\"'."
            ),
            "",
            "type",
        ),
        (
            {**closed(), "anyOf": [closed()]},
            "In context=(), schema must have type 'object' and not have 'anyOf' at the root.",
            "",
            "anyOf",
        ),
        (
            closed(x={"$ref": "#/properties/y"}),
            (
                "In context=('properties', 'x'), reference can only point to definitions "
                "defined at "
                "the top level of the schema."
            ),
            "/properties/x",
            "$ref",
        ),
        (
            {**closed(x={"$ref": "#/$defs/Nope"}), "$defs": {"s": STRING}},
            "In context=('properties', 'x'), the definition '#/$defs/Nope' does not exist.",
            "/properties/x",
            "$ref",
        ),
        (
            closed(x={"$ref": "#/definitions/Nope"}),
            "In context=('properties', 'x'), the definition '#/definitions/Nope' does not exist.",
            "/properties/x",
            "$ref",
        ),
        (
            {**closed(x={"$ref": "#/$defs/s/items"}), "$defs": {"s": STRING}},
            (
                "In context=('properties', 'x'), reference can only point to definitions "
                "defined at the top level of the schema."
            ),
            "/properties/x",
            "$ref",
        ),
        (
            {**closed(x={"$ref": "#/$defs/s", "minLength": 1}), "$defs": {"s": STRING}},
            "In context=('properties', 'x'), $ref cannot have keywords {'minLength'}.",
            "/properties/x",
            "$ref",
        ),
        (
            closed(x={"anyOf": [closed(a=STRING), closed(a=STRING, b=STRING)]}),
            (
                "In context=('properties', 'x'), Objects provided via 'anyOf' must not share "
                "identical "
                "first keys. Consider adding a discriminator key or rearranging the properties to "
                "ensure the first key is unique."
            ),
            "/properties/x",
            "anyOf",
        ),
        (
            closed(**{"a/b": {"type": "text"}}),
            "In context=('properties', 'a/b'), 'text' is not a valid type.",
            "/properties/a~1b",
            "type",
        ),
    ],
)
def test_the_dialect_refuses(
    schema: dict[str, Any], message: str, pointer: str, keyword: str
) -> None:
    with pytest.raises(SchemaRefusedError) as caught:
        check_strict(schema)
    assert caught.value.message == message
    assert caught.value.field == pointer
    assert caught.value.metadata["keyword"] == keyword


@pytest.mark.parametrize(
    ("schema", "maximum", "value"),
    [
        (nested(11), 10, 11),
        (closed(**{f"p{n}": STRING for n in range(5001)}), 5000, 5001),
        (
            closed(a={"enum": [f"{n}" for n in range(600)]}, b={"enum": list(range(401))}),
            1000,
            1001,
        ),
        (closed(a={"const": "x" * 119_000}, **{"y" * 1000: STRING}), 120_000, 120_001),
        (closed(a={"enum": ["x" * 60 + f"{n:03}" for n in range(251)]}), 15_000, 15_813),
    ],
)
def test_a_limit_names_the_maximum_and_the_value(
    schema: dict[str, Any], maximum: int, value: int
) -> None:
    with pytest.raises(
        SchemaRefusedError, match=f"{value} .*{maximum}|{value}, .*{maximum}"
    ) as caught:
        check_strict(schema)
    assert caught.value.metadata["maximum"] == str(maximum)
    assert caught.value.metadata["value"] == str(value)


@pytest.mark.parametrize("schema", [True, False, {}, {"type": ["object", "null"]}])
def test_the_root_is_an_object(schema: object) -> None:
    with pytest.raises(SchemaRefusedError, match="'type: \"object\"'"):
        check_strict(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {**closed(), "properties": []},
        {**closed(), "required": "a"},
        closed(x={"enum": []}),
        closed(x={"enum": "a"}),
        closed(x={"anyOf": []}),
        closed(x={"anyOf": 3}),
        closed(x={"type": 3}),
        closed(x={"format": 3, "type": "string"}),
        {**closed(), "$defs": []},
        {**closed(a={"$ref": 3}), "$defs": {"a": 3}},
        closed(a={"$defs": {}, "type": "string"}),
        {**closed(), "properties": {"a": 3}, "required": ["a"]},
    ],
)
def test_malformed_schemas_are_refused_without_a_crash(schema: dict[str, Any]) -> None:
    try:
        check_strict(schema)
    except SchemaRefusedError:
        return
    # What is left is malformed in ways that the engine names.
    assert schema.get("$defs") == [] or schema.get("properties") == {"a": 3}
