"""The service over a real socket, compiling in real processes, storing in a real database."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from unittest.mock import create_autospec

import jsonschema_rs
import pytest
from formwork.compiler.v1 import compiler_pb2 as pb
from formwork.compiler.v1 import compiler_pb2_grpc
from formwork_engine import (
    ENGINE_VERSION,
    Index,
    IndexOptions,
    JsonSchema,
    Vocabulary,
    load_vocabulary,
)
from formwork_engine.testing import walk
from google.rpc import status_pb2
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text

from compiler_service.compile_client import ForkingCompiler
from compiler_service.config import CompilerConfig
from compiler_service.flow import IndexFlow
from compiler_service.forgiving_store import ForgivingStore
from compiler_service.index_store import StoredIndex
from compiler_service.intake import AskedGrammar, Dialect, read_grammar
from compiler_service.metrics import Metrics
from compiler_service.postgres_store import PostgresIndexStore
from compiler_service.service import CompilerServicer
from infra.testing import PostgresForTests
from mesh.channels import Caller, open_channel
from mesh.clock import SystemClock
from mesh.config import MeshConfig
from mesh.database import Database, database_url
from mesh.errors import (
    CompileBudgetError,
    FormworkError,
    GrammarRefusedError,
    IndexNotFoundError,
    InvalidArgumentError,
    LimitExceededError,
    SchemaRefusedError,
    TokenizerUnknownError,
    UnauthenticatedError,
    from_status,
)
from mesh.ids import Fingerprint, IndexId, Snapshot
from mesh.models import ModelEntry, ModelTable
from mesh.server import MeshServer

MODEL = Path(__file__).parents[2] / "models" / "formwork-mini"
TOKEN = "t" * 40
MESH = MeshConfig(token_file=Path("unused"), drain_seconds=1.0)
PERSON = json.dumps(
    {
        "title": "Person",
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "full name", "maxLength": 20},
            "born": {"type": "string", "format": "date"},
            "kind": {"enum": ["a", "b"]},
        },
        "required": ["name", "born", "kind"],
        "additionalProperties": False,
    }
)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load_vocabulary(MODEL)


class Service:
    """One replica and a client of it."""

    def __init__(
        self, stub: compiler_pb2_grpc.CompilerServiceStub, registry: CollectorRegistry
    ) -> None:
        self.stub = stub
        self.registry = registry
        self.caller = Caller(TOKEN)
        self.fingerprint = load_vocabulary(MODEL).fingerprint

    async def ensure(self, **fields: object) -> pb.EnsureIndexResponse:
        request = pb.EnsureIndexRequest(
            **{"tokenizer_fingerprint": self.fingerprint, "project_id": "proj", **fields}
        )
        answer: pb.EnsureIndexResponse = await self.caller.unary(
            self.stub.EnsureIndex, request, timeout_seconds=30
        )
        return answer

    async def ensure_schema(self, schema: str, *, strict: bool = False) -> pb.EnsureIndexResponse:
        dialect = pb.DIALECT_STRICT if strict else pb.DIALECT_EXTENDED
        return await self.ensure(input=pb.GrammarInput(json_schema=schema), dialect=dialect)

    async def fetch(self, index_id: str, grammar: bytes = b"") -> list[pb.FetchIndexResponse]:
        request = pb.FetchIndexRequest(index_id=index_id, revision=1, canonical_grammar=grammar)
        stream = self.caller.stream(self.stub.FetchIndex, request, timeout_seconds=30)
        return [message async for message in stream]


@contextlib.asynccontextmanager
async def running_service(url: str, config: CompilerConfig) -> AsyncIterator[Service]:
    clock, registry = SystemClock(), CollectorRegistry()
    fingerprint = load_vocabulary(MODEL).fingerprint
    models = ModelTable({Snapshot("mini"): ModelEntry(MODEL, fingerprint)}, {})
    compiler = ForkingCompiler({MODEL: fingerprint}, config, clock)
    database = Database(database_url({"DATABASE_URL": url}))
    store = ForgivingStore(PostgresIndexStore(database), clock)
    flow = IndexFlow(compiler, store, config, clock, owner=f"replica {id(compiler)}")
    servicer = CompilerServicer(flow, models, config, Metrics(registry))
    server = MeshServer(
        MESH,
        TOKEN,
        [pb.DESCRIPTOR.services_by_name["CompilerService"]],
        lambda s: compiler_pb2_grpc.add_CompilerServiceServicer_to_server(servicer, s),
    )
    await compiler.start()
    port = await server.start("127.0.0.1:0")
    channel = open_channel(f"127.0.0.1:{port}", MESH)
    try:
        yield Service(compiler_pb2_grpc.CompilerServiceStub(channel), registry)
    finally:
        await channel.close()
        await server.stop()
        await flow.drain(1)
        await compiler.close()
        await database.close()


@pytest.fixture
def url(postgres: PostgresForTests) -> Iterator[str]:
    yield postgres.url("compiler")
    asyncio.run(empty(postgres.url("owner")))


async def empty(url: str) -> None:
    database = Database(database_url({"DATABASE_URL": url}))
    async with database.transaction() as connection:
        await connection.execute(
            text("TRUNCATE compiler.indexes, compiler.claims, compiler.failures")
        )
    await database.close()


@pytest.fixture
async def service(url: str) -> AsyncIterator[Service]:
    async with running_service(url, CompilerConfig(chunk_bytes=100)) as running:
        yield running


async def test_several_have_an_outcome_each_and_are_fetched_in_one_stream(
    service: Service,
) -> None:
    schemas = [PERSON, '{"type": "strin"}', '{"const": 1}']
    requests = [
        pb.EnsureIndexRequest(
            input=pb.GrammarInput(json_schema=schema),
            tokenizer_fingerprint=service.fingerprint,
            project_id="proj",
        )
        for schema in schemas
    ]
    answer = await service.caller.unary(
        service.stub.EnsureIndexes, pb.EnsureIndexesRequest(requests=requests), timeout_seconds=30
    )
    person, refused, one = answer.outcomes
    assert person.index.index_id == (await service.ensure_schema(PERSON)).index_id
    status = status_pb2.Status.FromString(refused.status)
    assert isinstance(from_status(status), SchemaRefusedError)
    names = [
        pb.FetchIndexRequest(
            index_id=index_id, revision=1, canonical_grammar=outcome.index.canonical_grammar
        )
        for outcome in (person, one)
        for index_id in (outcome.index.index_id, "f" * 64)
    ]
    stream = service.caller.stream(
        service.stub.FetchIndexes, pb.FetchIndexesRequest(requests=names), timeout_seconds=30
    )
    fetched: dict[int, bytes] = {}
    async for message in stream:
        if message.HasField("part"):
            fetched[message.number] = fetched.get(message.number, b"") + message.part.chunk
        else:
            failed = from_status(status_pb2.Status.FromString(message.status))
            assert isinstance(failed, IndexNotFoundError | InvalidArgumentError)
    alone = await service.fetch(person.index.index_id, person.index.canonical_grammar)
    assert fetched.keys() == {0, 2}
    assert fetched[0] == b"".join(part.chunk for part in alone)


async def test_a_small_index_comes_with_its_name(service: Service) -> None:
    schema = pb.GrammarInput(json_schema=PERSON)
    for _ in range(2):  # compiled, and held
        named = await service.ensure(input=schema)
        fetched = await service.fetch(named.index_id, named.canonical_grammar)
        assert named.inline_index == b"".join(message.chunk for message in fetched)
    ahead = await service.ensure(input=schema, prewarming=True)
    assert not ahead.inline_index  # nobody waits for it


async def test_what_comes_with_names_is_bounded(url: str) -> None:
    schemas = [PERSON, PERSON.replace("20", "21"), PERSON.replace("20", "22")]
    config = CompilerConfig(inline_bytes=1000, inline_call_bytes=1000)
    async with running_service(url, config) as service:
        requests = [
            pb.EnsureIndexRequest(
                input=pb.GrammarInput(json_schema=schema), tokenizer_fingerprint=service.fingerprint
            )
            for schema in schemas
        ]
        answer = await service.caller.unary(
            service.stub.EnsureIndexes,
            pb.EnsureIndexesRequest(requests=requests),
            timeout_seconds=30,
        )
        sizes = [len(outcome.index.inline_index) for outcome in answer.outcomes]
        assert 0 in sizes
        assert 0 < sum(sizes) <= 1000
    async with running_service(url, CompilerConfig(inline_bytes=100)) as service:
        assert not (await service.ensure_schema(PERSON)).inline_index


async def test_a_call_for_too_many_is_refused(service: Service) -> None:
    request = pb.EnsureIndexesRequest(requests=[pb.EnsureIndexRequest()] * 257)
    with pytest.raises(LimitExceededError):
        await service.caller.unary(service.stub.EnsureIndexes, request, timeout_seconds=30)


async def test_a_peer_that_reads_slowly_has_few_indexes_held_for_it() -> None:
    fetched: list[str] = []

    async def fetch(index_id: str, revision: int, canonical: bytes) -> StoredIndex:
        fetched.append(index_id)
        if index_id == "1":
            raise IndexNotFoundError("No.")
        name = IndexId(index_id)
        return StoredIndex(name, revision + 1, canonical * 10, 1, 0.0, Fingerprint(""), "")

    config = CompilerConfig(ensure_at_once=3)
    flow = create_autospec(IndexFlow, instance=True)
    flow.fetch.side_effect = fetch
    servicer = CompilerServicer(flow, ModelTable({}, {}), config, Metrics(CollectorRegistry()))
    names = [pb.FetchIndexRequest(index_id=str(n), canonical_grammar=b"x") for n in range(40)]
    messages = servicer.FetchIndexes(pb.FetchIndexesRequest(requests=names), None)
    read = 0
    async for _ in messages:
        for _ in range(20):  # turns in which more would be fetched
            await asyncio.sleep(0)
        read += 1
        assert len(fetched) <= read + 2
    assert read == 40


async def test_an_index_is_ensured_fetched_loaded_and_walked(
    service: Service, vocabulary: Vocabulary
) -> None:
    ensured = await service.ensure_schema(PERSON, strict=True)
    messages = await service.fetch(ensured.index_id, ensured.canonical_grammar)
    data = b"".join(message.chunk for message in messages)
    assert len(messages) > 3
    assert (messages[0].revision, messages[0].total_bytes) == (ensured.revision, len(data))
    index = Index.load(data, vocabulary)
    validator = jsonschema_rs.validator_for(json.loads(PERSON), validate_formats=True)
    rng = random.Random(1)
    walks = [walk(index, rng) for _ in range(10)]
    assert any(walked.is_whole for walked in walks)
    assert all(validator.is_valid(json.loads(w.text)) for w in walks if w.is_whole)


async def test_equal_grammars_have_one_id_and_the_second_is_found(service: Service) -> None:
    first = await service.ensure_schema(PERSON)
    again = await service.ensure_schema(PERSON.replace('"Person"', '"Another title"'))
    assert first.index_id == again.index_id
    assert (first.source, again.source) == (pb.INDEX_SOURCE_COMPILED, pb.INDEX_SOURCE_MEMORY)
    assert first.compile_time.ToNanoseconds() > 0
    assert not again.compile_time.ToNanoseconds()
    assert first.shortest_answer_tokens > 5


async def test_prewarming_is_no_use_and_tells_the_engines_version(service: Service) -> None:
    schema = pb.GrammarInput(json_schema=PERSON)
    for _ in range(3):
        ahead = await service.ensure(input=schema, prewarming=True)
        assert ahead.engine_version == ENGINE_VERSION
    used = await service.ensure(input=schema)
    assert (used.index_id, used.source) == (ahead.index_id, pb.INDEX_SOURCE_MEMORY)
    assert used.canonical_grammar  # it is not stored


async def test_what_is_used_twice_another_replica_finds_in_the_database(
    service: Service, url: str
) -> None:
    first = await service.ensure_schema(PERSON)
    async with asyncio.timeout(10):
        while (await service.ensure_schema(PERSON)).canonical_grammar:  # noqa: ASYNC110 - stored in the background
            await asyncio.sleep(0.01)
    async with running_service(url, CompilerConfig()) as other:
        found = await other.fetch(first.index_id)
        assert found[0].total_bytes > 0


async def test_every_kind_of_input_compiles(service: Service) -> None:
    inputs = [
        pb.GrammarInput(any_json=pb.AnyJson(object_only=True)),
        pb.GrammarInput(regex="[a-z]+"),
        pb.GrammarInput(lark='start: "a"+'),
    ]
    ensured = [await service.ensure(input=wanted) for wanted in inputs]
    assert len({answer.index_id for answer in ensured}) == 3


async def test_options_are_part_of_the_id(service: Service) -> None:
    wanted = pb.GrammarInput(json_schema=PERSON)
    options = [
        pb.IndexOptions(),
        pb.IndexOptions(item_separator=", ", key_separator=": "),
        pb.IndexOptions(whitespace=pb.WHITESPACE_BOUNDED, max_whitespace=1),
    ]
    ensured = [await service.ensure(input=wanted, options=option) for option in options]
    assert len({answer.index_id for answer in ensured}) == 3


async def refusal(service: Service, **fields: object) -> FormworkError:
    with pytest.raises(FormworkError) as caught:
        await service.ensure(**fields)
    return caught.value


async def test_the_dialects_refusal_crosses_whole(service: Service) -> None:
    loose = json.dumps(
        {
            "type": "object",
            "properties": {"x": {"type": "object"}},
            "required": ["x"],
            "additionalProperties": False,
        }
    )
    error = await refusal(
        service, input=pb.GrammarInput(json_schema=loose), dialect=pb.DIALECT_STRICT
    )
    assert isinstance(error, SchemaRefusedError)
    assert error.message == (
        "In context=('properties', 'x'), 'additionalProperties' is required to be supplied and to "
        "be false."
    )
    assert error.field == "/properties/x"
    assert error.metadata["keyword"] == "additionalProperties"
    assert error.metadata["context"] == "('properties', 'x')"
    assert (await service.ensure_schema(loose)).index_id  # the extended dialect takes it


@pytest.mark.parametrize(
    ("fields", "kind", "keyword"),
    [
        ({"json_schema": '{"items":{"pattern":"(a)\\\\1"}}'}, SchemaRefusedError, "pattern"),
        ({"json_schema": '{"type":"strin"}'}, SchemaRefusedError, "type"),
        ({"json_schema": "{"}, SchemaRefusedError, ""),
        ({"json_schema": '{"a":1,"a":2}'}, SchemaRefusedError, ""),
        ({"json_schema": '{"const":NaN}'}, SchemaRefusedError, ""),
        ({"json_schema": '{"$ref":"https://example.org/"}'}, SchemaRefusedError, "$ref"),
        ({"json_schema": '{"$ref":"#"}'}, SchemaRefusedError, "$ref"),
        ({"regex": "("}, GrammarRefusedError, ""),
        ({"lark": "start: <|end|>"}, GrammarRefusedError, "special tokens"),
    ],
)
async def test_a_refusal_names_the_keyword(
    service: Service, fields: dict[str, str], kind: type[FormworkError], keyword: str
) -> None:
    error = await refusal(service, input=pb.GrammarInput(**fields))
    assert type(error) is kind
    assert error.metadata["keyword"] == keyword
    again = await refusal(service, input=pb.GrammarInput(**fields))
    assert (again.message, again.metadata) == (error.message, error.metadata)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"tokenizer_fingerprint": "0" * 64}, TokenizerUnknownError),
        ({"input": pb.GrammarInput()}, InvalidArgumentError),
        ({"dialect": 9}, InvalidArgumentError),
        ({"options": pb.IndexOptions(whitespace=9)}, InvalidArgumentError),
        ({"options": pb.IndexOptions(item_separator=";")}, SchemaRefusedError),
    ],
)
async def test_a_request_that_is_wrong_is_refused(
    service: Service, fields: dict[str, object], kind: type[FormworkError]
) -> None:
    error = await refusal(service, **{"input": pb.GrammarInput(json_schema="{}"), **fields})
    assert type(error) is kind


async def test_an_index_that_nobody_holds_is_not_found(service: Service) -> None:
    with pytest.raises(IndexNotFoundError):
        await service.fetch("0" * 64)
    with pytest.raises(InvalidArgumentError):
        await service.fetch("0" * 64, b"{}")


async def test_nobody_comes_in_without_the_token(service: Service) -> None:
    service.caller = Caller("x" * 40)
    with pytest.raises(UnauthenticatedError):
        await service.ensure_schema("{}")


async def test_outcomes_are_counted(service: Service) -> None:
    await service.ensure_schema("{}")
    await service.ensure_schema("{}")
    await refusal(service, input=pb.GrammarInput(regex="("))
    lines = generate_latest(service.registry).decode().splitlines()
    assert 'formwork_compiler_ensured_total{source="compiled"} 1.0' in lines
    assert 'formwork_compiler_ensured_total{source="memory"} 1.0' in lines
    assert 'formwork_compiler_refused_total{reason="GRAMMAR_REFUSED"} 1.0' in lines


def slow_schema(seed: int) -> str:
    """Return a schema that takes longer to compile than the store to be asked."""
    branches = [{"required": [f"{seed} {n}"]} for n in range(120)]
    return json.dumps({"type": "object", "oneOf": branches})


async def connect_to_store(service: Service) -> None:
    """Have a long compile, after which a question to the store takes little time."""
    await service.ensure_schema(slow_schema(0))


async def test_two_replicas_compile_one_long_grammar_once(url: str) -> None:
    config = CompilerConfig(compile_seconds=30, claim_seconds=40, wait_seconds=60)
    async with running_service(url, config) as one, running_service(url, config) as other:
        schema = slow_schema(1)
        for replica in (one, other):
            await connect_to_store(replica)
        answers = await asyncio.gather(one.ensure_schema(schema), other.ensure_schema(schema))
        assert {answer.source for answer in answers} == {
            pb.INDEX_SOURCE_COMPILED,
            pb.INDEX_SOURCE_DATABASE,
        }
        assert len({answer.index_id for answer in answers}) == 1
        assert all(not answer.canonical_grammar for answer in answers)


async def test_the_claim_of_a_dead_replica_is_taken_over(url: str, service: Service) -> None:
    schema = slow_schema(2)
    asked = AskedGrammar(
        JsonSchema(schema), IndexOptions(), Dialect.EXTENDED, Fingerprint(service.fingerprint)
    )
    index_id = read_grammar(asked, CompilerConfig().budget()).index_id
    database = Database(database_url({"DATABASE_URL": url}))
    store = PostgresIndexStore(database)
    await connect_to_store(service)
    assert await store.claim(index_id, "dead", seconds=1.0)
    start = time.monotonic()
    answer = await service.ensure_schema(schema)
    assert time.monotonic() - start > 0.8
    assert (answer.index_id, answer.source) == (index_id, pb.INDEX_SOURCE_COMPILED)
    assert await store.find_claim(index_id) is None
    await database.close()


HOSTILE = {
    "deep": '{"items":' * 5000 + "{}" + "}" * 5000,
    "long": json.dumps({"enum": ["x" * 100 + f"{n}" for n in range(20_000)]}),
    "repetition": json.dumps({"type": "string", "pattern": "(a{1000}){1000}"}),
    "intersection": json.dumps({"allOf": [{"pattern": f"a.{{{n}}}b.*c"} for n in range(6)]}),
    "branches": json.dumps(
        {"allOf": [{"anyOf": [{"minLength": n}, {"maxLength": 99 + n}]} for n in range(30)]}
    ),
    "references": json.dumps(
        {
            "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
            | {"d60": {}},
            "$ref": "#/$defs/d0",
        }
    ),
    "wide": json.dumps({"type": "object", "properties": {f"p{n}": {} for n in range(20_000)}}),
    "tuple": json.dumps({"prefixItems": [{"const": [n]} for n in range(6000)], "type": "array"}),
    "exclusive": slow_schema(3),
    "many parts": json.dumps({"type": "array", "minItems": 10**6}),
    "implications": json.dumps(
        {
            "dependentRequired": {f"a{n}": [f"a{(n * 7 + 1) % 200}"] for n in range(200)},
            "propertyNames": {"enum": [f"a{n}" for n in range(200)]},
            "minProperties": 150,
        }
    ),
}


async def outcome_of(service: Service, schema: str) -> pb.EnsureIndexResponse | FormworkError:
    try:
        return await service.ensure_schema(schema)
    except (SchemaRefusedError, CompileBudgetError) as error:
        return error


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_schema_is_answered_in_time(service: Service, name: str) -> None:
    await service.ensure_schema("{}")
    start = time.monotonic()
    outcome = await outcome_of(service, HOSTILE[name])
    if isinstance(outcome, FormworkError):
        assert outcome.metadata.get("limit") or outcome.metadata.get("keyword")
    assert time.monotonic() - start < 6  # 2 s of its own on a machine that is busy
    assert (await service.ensure_schema('{"type":"null"}')).index_id


async def test_a_database_that_is_down_costs_the_cache_only() -> None:
    async with running_service("postgresql://nobody:x@127.0.0.1:1/none", CompilerConfig()) as one:
        first = await one.ensure_schema(PERSON)
        again = await one.ensure_schema(PERSON)
        assert (first.source, again.source) == (pb.INDEX_SOURCE_COMPILED, pb.INDEX_SOURCE_MEMORY)
        assert first.canonical_grammar == again.canonical_grammar != b""
        assert await one.fetch(first.index_id)
