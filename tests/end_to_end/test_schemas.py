"""Registered schemas through the whole mesh."""

import json

import httpx
import openai
import pytest
from jsonschema_rs import validator_for

from infra.configuration import BUILT_IN_MODEL

NO_REFUSAL = {"11": -100}  # which a model with random weights may well choose
SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["a", "b"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
    },
    "required": ["kind", "count"],
    "additionalProperties": False,
}


def register(client: openai.OpenAI, schema: object) -> dict[str, object]:
    body = {"name": "entry", "strict": True, "schema": schema}
    answered: dict[str, object] = client.post("/schemas", cast_to=httpx.Response, body=body).json()
    return answered


def ask(client: openai.OpenAI, schema_id: object) -> str:
    answer = client.chat.completions.create(
        model=BUILT_IN_MODEL,
        messages=[{"role": "user", "content": "One, please."}],
        response_format={"type": "json_schema", "json_schema": {"schema_id": schema_id}},  # type: ignore[typeddict-item] # an extension
        logit_bias=NO_REFUSAL,
    )
    return answer.choices[0].message.content or ""


def test_a_registered_schema_binds_whoever_names_it_until_it_is_removed(
    client: openai.OpenAI,
) -> None:
    schema = register(client, SCHEMA)
    assert (schema["status"], schema["version"]) == ("ready", 1)
    validator_for(SCHEMA).validate(json.loads(ask(client, schema["id"])))
    client.delete(f"/schemas/{schema['id']}", cast_to=httpx.Response)
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, schema["id"])
    assert caught.value.code == "schema_not_found"


def test_a_schema_that_cannot_be_enforced_is_refused_and_not_kept(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        register(client, {"type": "strin"})
    assert caught.value.code == "invalid_json_schema"
    kept = client.get("/schemas?name=entry", cast_to=httpx.Response).json()
    assert kept["data"] == []
