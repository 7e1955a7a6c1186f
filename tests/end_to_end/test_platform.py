"""What stands around chat completions: registered schemas and tokens, in a whole mesh."""

import json
from typing import Any

import httpx
import openai
import pytest

from infra.configuration import BUILT_IN_MODEL
from infra.testing import MeshForTests, wait_until

from .conftest import FALLBACK_ALIAS

MODEL = "formwork-mini"
MESSAGES = [{"role": "user", "content": "The black cat of Nina is 7 years old."}]
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["cat", "dog"]}, "is_black": {"type": "boolean"}},
    "required": ["kind", "is_black"],
    "additionalProperties": False,
}


def register(client: openai.OpenAI, **members: object) -> dict[str, Any]:
    body = {"name": "pet", "strict": True, "schema": SCHEMA, **members}
    schema: dict[str, Any] = client.post("/schemas", body=body, cast_to=object)  # type: ignore[assignment] # plain JSON
    return schema


def test_a_registered_schema_is_ready_used_by_id_and_counted(client: openai.OpenAI) -> None:
    schema = register(client)
    assert (schema["version"], schema["status"]) == (1, "ready")
    assert schema["compile_ms"] > 0
    form: Any = {"type": "json_schema", "json_schema": {"schema_id": schema["id"]}}
    completion = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, response_format=form, logit_bias={"11": -100}
    )
    assert list(json.loads(completion.choices[0].message.content)) == ["kind", "is_black"]
    assert register(client)["id"] == schema["id"]
    assert register(client, strict=False)["version"] == 2
    client.delete(f"/schemas/{schema['id']}", cast_to=object)
    with pytest.raises(openai.NotFoundError):
        client.get(f"/schemas/{schema['id']}", cast_to=object)


def test_a_schema_that_cannot_be_enforced_is_refused_when_it_is_registered(
    client: openai.OpenAI,
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        register(client, name="open", schema={"type": "object", "properties": {}})
    assert caught.value.code == "invalid_json_schema"
    assert caught.value.param == "schema"


def test_a_bias_on_a_token_that_was_looked_up_keeps_it_out(client: openai.OpenAI) -> None:
    # A digit is one token and has no other spelling.
    body = {"model": MODEL, "input": "7"}
    tokens: Any = client.post("/tokenize", body=body, cast_to=object)
    seven = {str(token["id"]): -100 for token in tokens["tokens"]}
    assert len(seven) == 1
    form: Any = {"type": "json_schema", "json_schema": {"name": "age", "schema": {"enum": [7, 8]}}}
    completion = client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        response_format=form,
        logit_bias={**seven, "11": -100},
    )
    assert completion.choices[0].message.content == "8"


def test_the_next_snapshot_of_an_alias_answers_where_the_first_has_no_worker(
    client: openai.OpenAI,
) -> None:
    completion = client.chat.completions.create(
        model=FALLBACK_ALIAS, messages=MESSAGES, max_completion_tokens=5
    )
    assert completion.model == BUILT_IN_MODEL


def test_a_gateway_that_was_killed_has_the_schemas_ready_again(
    mesh: MeshForTests, client: openai.OpenAI
) -> None:
    schema = register(client, name="kept")
    mesh.process("gateway").kill()
    with httpx.Client(trust_env=False) as probe:
        wait_until(lambda: is_ready(probe, mesh), "the gateway is ready again")
    shown: Any = client.get(f"/schemas/{schema['id']}", cast_to=object)
    assert shown == schema
    form: Any = {"type": "json_schema", "json_schema": {"schema_id": schema["id"]}}
    completion = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, response_format=form, logit_bias={"11": -100}
    )
    assert list(json.loads(completion.choices[0].message.content)) == ["kind", "is_black"]


def is_ready(probe: httpx.Client, mesh: MeshForTests) -> bool:
    try:
        url = mesh.base_url.replace("/v1", "/readyz")
        return probe.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
