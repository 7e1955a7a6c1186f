"""The last check of a structured answer."""

import json

import pytest

from gateway.config import GatewayConfig
from gateway.response_format import FormatKind, ResponseFormat
from gateway.validation import Validators
from mesh.errors import SchemaRefusedError


def form(schema: object) -> ResponseFormat:
    return ResponseFormat(FormatKind.JSON_SCHEMA, "n", None, json.dumps(schema), schema)


async def is_valid(schema: object, text: str) -> bool:
    validators = Validators(GatewayConfig())
    try:
        return await (await validators.of(form(schema))).is_valid(text)
    finally:
        validators.close()


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        ({"type": "integer"}, "1", True),
        ({"type": "integer"}, "1.5", False),
        ({"type": "integer"}, "", False),
        ({"type": "integer"}, "1 2", False),
        ({"type": "number"}, "NaN", False),
        ({"type": "object"}, '{"a":1,"a":1}', False),
        ({"type": "string", "format": "date"}, '"2026-02-30"', False),
        ({"type": "string", "format": "email"}, '"a@b.example"', True),
        ({"type": "string", "format": "uuid"}, '"no"', False),
        ({"type": "string", "pattern": "^(a+)+$"}, '"' + "a" * 50_000 + '!"', False),
        ({"type": "string", "pattern": "^.{1,5000}$"}, '"x"', True),
        ({"type": "number", "multipleOf": 0.01}, "19.99", True),
        ({"maximum": 123456789012345678901}, "123456789012345678902", False),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}, "null", True),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "null"}, "null", True),
        ({"$schema": "http://nobody.example/knows", "type": "null"}, "1", False),
        ({"type": "array"}, "[" * 100_000, False),
    ],
)
async def test_an_answer_is_checked_with_formats_and_exact_numbers(
    schema: object,
    text: str,
    expected: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    assert await is_valid(schema, text) is expected


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "^(?=a)b$"},
        {"pattern": "^[\\p{L}]{1,5000}$"},
        {"$ref": "http://nobody.example/schema"},
        {"$ref": "#/nowhere"},
        {"type": "strin"},
    ],
)
async def test_a_schema_that_cannot_be_checked_with_is_refused(schema: object) -> None:
    validators = Validators(GatewayConfig())
    with pytest.raises(SchemaRefusedError):
        await validators.of(form(schema))
    validators.close()


async def test_json_mode_wants_an_object() -> None:
    validators = Validators(GatewayConfig())
    validator = await validators.of(ResponseFormat(FormatKind.JSON_OBJECT))
    assert await validator.is_valid('{"a":[]}')
    assert not await validator.is_valid("[]")
    validators.close()


async def test_validators_are_kept_a_bounded_number_of_them() -> None:
    validators = Validators(GatewayConfig(validator_memory=2))
    first = await validators.of(form({"type": "null"}))
    assert await validators.of(form({"type": "null"})) is first
    for number in range(2):
        await validators.of(form({"const": number}))
    assert await validators.of(form({"type": "null"})) is not first
    validators.close()
