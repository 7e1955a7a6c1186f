"""Registered schemas over HTTP: made, listed, used by id, scoped to their project."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from formwork.compiler.v1.compiler_pb2 import DIALECT_STRICT
from formwork.sampler.v1.sampler_pb2 import FINISH_STOP

from gateway.testing import say
from mesh.config import MeshConfig
from mesh.errors import CompileQueueFullError, SchemaRefusedError

from .conftest import ALIAS, Bench, open_bench, until

PERSON = '{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"x":1.0}'


def registration(body: str = PERSON, **members: object) -> bytes:
    """Return a registration whose schema has exactly this text."""
    named = {"name": "person", "description": "A person.", "strict": True, **members}
    return json.dumps(named)[:-1].encode() + b', "schema": ' + body.encode() + b"}"


async def register(bench: Bench, body: str = PERSON, **members: object) -> dict[str, Any]:
    response = await bench.post(registration(body, **members), path="/v1/schemas")
    assert response.status_code == 200, response.text
    schema: dict[str, Any] = response.json()
    return schema


def by_id(schema_id: str) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"schema_id": schema_id}}


async def delete(bench: Bench, schema_id: str, key: str | None = None) -> httpx.Response:
    authorization = {"authorization": f"Bearer {key or bench.key.value}"}
    return await bench.http.delete(f"{bench.url}/v1/schemas/{schema_id}", headers=authorization)


async def test_a_schema_is_compiled_when_it_is_registered(bench: Bench) -> None:
    schema = await register(bench)
    assert schema["id"].startswith("schema_")
    assert (schema["object"], schema["name"], schema["version"]) == ("schema", "person", 1)
    assert (schema["status"], schema["error"], schema["uses"]) == ("ready", None, 0)
    assert schema["size"] == len(PERSON)
    assert schema["compile_ms"] >= 0
    assert schema["schema"] == json.loads(PERSON)
    [asked] = bench.compiler.requests
    assert asked.input.json_schema == PERSON
    shown = await bench.get(f"/v1/schemas/{schema['id']}")
    assert shown.json() == schema
    assert f'"schema":{PERSON}' in shown.text


async def test_an_answer_in_a_registered_schema_is_as_if_it_had_been_sent(bench: Bench) -> None:
    schema = await register(bench)
    bench.worker.script = lambda _: [say('{"name":"Ann"}', finish=FINISH_STOP)]
    answer = await bench.client.chat.completions.create(
        model=ALIAS,
        messages=[{"role": "user", "content": "Ann."}],
        response_format=by_id(schema["id"]),  # type: ignore[arg-type] # an extension
    )
    assert answer.choices[0].message.content == '{"name":"Ann"}'
    sent = {"name": "person", "description": "A person.", "strict": True}
    sent["schema"] = json.loads(PERSON)
    messages = [{"role": "user", "content": "Ann."}]
    form = {"type": "json_schema", "json_schema": sent}
    await bench.post(bench.chat(messages=messages, response_format=form))
    first, second = bench.worker.opens
    assert first.prompt_tokens == second.prompt_tokens
    # The registration was no use of the index; the first request was, and the second remembered.
    ahead, used = bench.compiler.requests
    assert (ahead.prewarming, used.prewarming) == (True, False)
    used.prewarming = True
    assert ahead == used
    assert ahead.dialect == DIALECT_STRICT
    assert [bound.index_id for bound in bench.worker.binds] == [f"{2:064x}"] * 2


async def test_a_large_schema_is_registered_and_used_too(bench: Bench) -> None:
    body = json.dumps({"type": "object", "$comment": "x" * 100_000})
    schema = await register(bench, body)
    assert schema["size"] == len(body) > 100_000
    bench.worker.script = lambda _: [say("{}", finish=FINISH_STOP)]
    response = await bench.post(bench.chat(response_format=by_id(schema["id"])))
    assert response.status_code == 200, response.text


async def test_a_refused_schema_is_not_kept(bench: Bench) -> None:
    bench.compiler.refusal = SchemaRefusedError(
        "'minLength' is no number.", field="/x", metadata={"context": "('x',)"}
    )
    response = await bench.post(registration(), path="/v1/schemas")
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_json_schema", "schema")
    expected = "Invalid schema 'person': In context=('x',), 'minLength' is no number."
    assert error["message"] == expected
    assert not bench.schemas.schemas


async def test_what_takes_long_is_compiling_until_it_is_ready(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, schema_wait_seconds=0.0) as bench:
        bench.compiler.gate.clear()
        schema = await register(bench)
        assert (schema["status"], schema["compile_ms"]) == ("compiling", None)
        bench.compiler.gate.set()
        await until(lambda: status_of(bench, schema["id"]) == "ready")
        shown = (await bench.get(f"/v1/schemas/{schema['id']}")).json()
        assert shown["compile_ms"] > 0


async def test_what_is_refused_later_has_failed_and_says_why(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, schema_wait_seconds=0.0) as bench:
        bench.compiler.gate.clear()
        schema = await register(bench)
        bench.compiler.refusal = SchemaRefusedError("bad.", field="/x")
        bench.compiler.gate.set()
        await until(lambda: status_of(bench, schema["id"]) == "failed")
        shown = (await bench.get(f"/v1/schemas/{schema['id']}")).json()
        assert shown["error"]["code"] == "invalid_json_schema"
        assert "bad." in shown["error"]["message"]


async def test_a_compiler_that_is_busy_does_not_lose_a_schema(bench: Bench) -> None:
    bench.compiler.refusal = CompileQueueFullError("x")
    schema = await register(bench)
    assert schema["status"] == "compiling"
    bench.compiler.refusal = None
    assert (await register(bench))["status"] == "ready"
    assert len(bench.schemas.schemas) == 1


def status_of(bench: Bench, schema_id: str) -> str:
    return next(
        stored.record.outcome.status.value
        for key, stored in bench.schemas.schemas.items()
        if key == schema_id
    )


async def test_a_new_body_is_a_new_version_and_the_same_one_is_not(bench: Bench) -> None:
    first = await register(bench)
    assert await register(bench) == first
    second = await register(bench, "{}")
    assert (second["name"], second["version"]) == ("person", 2)
    assert (await bench.get(f"/v1/schemas/{first['id']}")).json() == first


async def test_a_list_has_openais_envelope(bench: Bench) -> None:
    made = sorted([(await register(bench, name=f"n{n}"))["id"] for n in range(5)], reverse=True)
    page = (await bench.get("/v1/schemas?limit=2")).json()
    assert [schema["id"] for schema in page["data"]] == made[:2]
    assert all("schema" not in schema for schema in page["data"])
    assert (page["object"], page["has_more"]) == ("list", True)
    assert (page["first_id"], page["last_id"]) == (made[0], made[1])
    page = (await bench.get(f"/v1/schemas?limit=3&after={made[1]}")).json()
    assert [schema["id"] for schema in page["data"]] == made[2:]
    assert page["has_more"] is False
    page = (await bench.get("/v1/schemas?order=asc&limit=1")).json()
    assert page["last_id"] == made[-1]
    page = (await bench.get("/v1/schemas?name=n3")).json()
    assert [schema["name"] for schema in page["data"]] == ["n3"]
    empty = (await bench.get("/v1/schemas?name=none")).json()
    assert (empty["data"], empty["first_id"], empty["has_more"]) == ([], None, False)


async def test_a_removed_schema_is_gone(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, schema_fresh_seconds=0.0) as bench:
        schema_id = (await register(bench))["id"]
        removed = await delete(bench, schema_id)
        assert removed.json() == {"id": schema_id, "object": "schema.deleted", "deleted": True}
        assert (await delete(bench, schema_id)).status_code == 404
        assert (await bench.get(f"/v1/schemas/{schema_id}")).status_code == 404
        response = await bench.post(bench.chat(response_format=by_id(schema_id)))
        check_unknown(response, "response_format.json_schema.schema_id")


async def test_another_projects_schema_is_not_there(bench: Bench) -> None:
    schema_id = (await register(bench))["id"]
    other = f"Bearer {bench.store.add().value}"
    response = await bench.get(f"/v1/schemas/{schema_id}", authorization=other)
    check_unknown(response, "schema_id")
    assert (await delete(bench, schema_id, other.split()[1])).status_code == 404
    assert (await bench.get("/v1/schemas", authorization=other)).json()["data"] == []
    form = by_id(schema_id)
    response = await bench.post(bench.chat(response_format=form), authorization=other)
    check_unknown(response, "response_format.json_schema.schema_id")
    for strange in ("none", "schema_" + "0" * 32, "%00", "schema_" + "0" * 31 + "%00"):
        check_unknown(await bench.get(f"/v1/schemas/{strange}"), "schema_id")


def check_unknown(response: httpx.Response, param: str) -> None:
    assert response.status_code == 404, response.text
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("schema_not_found", param)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b'{"schema":{}}', "name", "missing_required_parameter"),
        (b'{"name":"n"}', "schema", "missing_required_parameter"),
        (b'{"name":"a b","schema":{}}', "name", "invalid_value"),
        (b'{"name":"n","schema":[]}', "schema", "invalid_type"),
        (b'{"name":"n","schema":{},"strict":1}', "strict", "invalid_type"),
        (b'{"name":"n","schema":{},"description":"\\u0000"}', "description", "invalid_value"),
        (b'{"name":"n","schema":{},"version":7}', "version", "unknown_parameter"),
        (registration('{"title":"' + "x" * 400 + '"}'), "schema", "schema_too_large"),
        (b"[]", None, "invalid_type"),
    ],
    ids=range(9),
)
async def test_a_wrong_registration_is_named(
    mesh_config: MeshConfig, body: bytes, param: str | None, code: str
) -> None:
    async with open_bench(mesh_config, max_schema_bytes=400) as bench:
        response = await bench.post(body, path="/v1/schemas")
        assert response.status_code == 400, response.text
        error = response.json()["error"]
        assert (error["param"], error["code"]) == (param, code)
        assert not bench.schemas.schemas


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("limit=0", "limit", "integer_below_min_value"),
        ("limit=101", "limit", "integer_above_max_value"),
        ("limit=many", "limit", "invalid_type"),
        (f"limit={'1' * 5000}", "limit", "invalid_type"),
        ("limit=1&limit=2", "limit", "duplicate_key"),
        ("order=up", "order", "invalid_value"),
        ("after=x", "after", "invalid_value"),
        ("name=%00", "name", "invalid_value"),
        ("before=x", "before", "unknown_parameter"),
    ],
)
async def test_a_wrong_query_is_named(bench: Bench, query: str, param: str, code: str) -> None:
    response = await bench.get(f"/v1/schemas?{query}")
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (param, code)


@pytest.mark.parametrize("extra", [{"name": "n"}, {"schema": {}}, {"strict": True}], ids=range(3))
async def test_an_id_stands_alone(bench: Bench, extra: dict[str, object]) -> None:
    schema_id = (await register(bench))["id"]
    form = {"type": "json_schema", "json_schema": {"schema_id": schema_id, **extra}}
    response = await bench.post(bench.chat(response_format=form))
    assert response.json()["error"]["code"] == "invalid_parameter_combination"


async def test_a_project_keeps_so_many(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, max_schemas_per_project=1) as bench:
        await register(bench)
        response = await bench.post(registration("{}"), path="/v1/schemas")
        assert response.json()["error"]["code"] == "schema_limit_reached"
        other = f"Bearer {bench.store.add().value}"
        response = await bench.post(registration("{}"), path="/v1/schemas", authorization=other)
        assert response.status_code == 200


async def test_every_route_wants_a_key(bench: Bench) -> None:
    responses = [
        await bench.post(registration(), path="/v1/schemas", authorization=""),
        await bench.get("/v1/schemas", authorization=""),
        await bench.get("/v1/schemas/x", authorization=""),
        await delete(bench, "x", "none"),
    ]
    assert [response.status_code for response in responses] == [401] * 4


async def test_uses_are_counted_and_written_at_once(bench: Bench) -> None:
    schema_id = (await register(bench))["id"]
    bench.worker.script = lambda _: [say('{"name":"Ann"}', finish=FINISH_STOP)]
    chat = bench.chat(response_format=by_id(schema_id))
    await asyncio.gather(*(bench.post(chat) for _ in range(5)))
    assert bench.schemas.lookups == 1
    assert bench.schemas.writes_of_uses == 0
    await bench.gateway.registered.uses.flush()
    assert (await bench.get(f"/v1/schemas/{schema_id}")).json()["uses"] == 5
    assert bench.schemas.writes_of_uses == 1


async def test_uses_wait_for_a_database_that_is_away(bench: Bench) -> None:
    schema_id = (await register(bench))["id"]
    await bench.post(bench.chat(response_format=by_id(schema_id)))
    bench.schemas.is_down = True
    await bench.gateway.registered.uses.flush()
    bench.schemas.is_down = False
    await bench.gateway.registered.uses.flush()
    assert (await bench.get(f"/v1/schemas/{schema_id}")).json()["uses"] == 1


async def test_uses_are_not_lost_when_a_write_is_cancelled(bench: Bench) -> None:
    schema_id = (await register(bench))["id"]
    await bench.post(bench.chat(response_format=by_id(schema_id)))
    bench.schemas.gate.clear()
    writing = asyncio.create_task(bench.gateway.registered.uses.flush())
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait({writing})
    bench.schemas.gate.set()
    await bench.gateway.registered.uses.flush()
    assert (await bench.get(f"/v1/schemas/{schema_id}")).json()["uses"] == 1


async def test_a_known_schema_is_served_while_the_database_is_away(
    mesh_config: MeshConfig,
) -> None:
    async with open_bench(mesh_config, schema_fresh_seconds=0.0) as bench:
        bench.worker.script = lambda _: [say('{"name":"Ann"}', finish=FINISH_STOP)]
        known, other = (await register(bench))["id"], (await register(bench, "{}"))["id"]
        chat = bench.chat(response_format=by_id(known))
        assert (await bench.post(chat)).status_code == 200
        bench.schemas.is_down = True
        assert (await bench.post(chat)).status_code == 200
        assert (await bench.post(bench.chat(response_format=by_id(other)))).status_code == 503
        assert (await bench.get("/v1/schemas")).status_code == 503


async def test_an_unknown_id_is_looked_up_once_in_a_while(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, schema_unknown_seconds=60.0) as bench:
        chat = bench.chat(response_format=by_id("schema_" + "0" * 32))
        for _ in range(3):
            assert (await bench.post(chat)).status_code == 404
        assert bench.schemas.lookups == 1


async def test_a_schema_is_known_and_gone_at_once_where_it_was_registered_and_removed(
    mesh_config: MeshConfig,
) -> None:
    bounds = {"schema_unknown_seconds": 60.0, "schema_fresh_seconds": 60.0}
    async with open_bench(mesh_config, **bounds) as bench:
        schema = await register(bench)
        chat = bench.chat(response_format=by_id(schema["id"]))
        kept = bench.schemas.schemas.pop(schema["id"])
        assert (await bench.post(chat)).status_code == 404
        bench.schemas.schemas[schema["id"]] = kept
        assert (await register(bench))["id"] == schema["id"]
        bench.worker.script = lambda _: [say('{"name":"Ann"}', finish=FINISH_STOP)]
        assert (await bench.post(chat)).status_code == 200
        assert (await delete(bench, schema["id"])).status_code == 200
        assert (await bench.post(chat)).status_code == 404


async def test_the_memory_of_schemas_is_bounded(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, schema_memory_bytes=2500) as bench:
        ids = [(await register(bench, name=f"n{n}"))["id"] for n in range(2)]
        for schema_id in (*ids, *ids):
            await bench.post(bench.chat(response_format=by_id(schema_id)))
        assert bench.schemas.lookups == 4
