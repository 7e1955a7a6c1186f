"""Indexes of the most used schemas are made before anybody asks for them."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import replace

import pytest

from gateway.background import Background
from gateway.config import GatewayConfig
from gateway.errors import SchemaInvalidError
from gateway.prewarming import Prewarming
from gateway.schema_registry import SchemaRegistry
from gateway.schema_resolver import SchemaResolver
from gateway.schema_uses import SchemaUses
from gateway.schemas import (
    Maker,
    ModelKind,
    Outcome,
    SchemaBounds,
    SchemaDraft,
    SchemaStatus,
    StoredSchema,
)
from gateway.testing_schemas import MemorySchemaStore
from mesh.config import MeshConfig
from mesh.errors import CompileQueueFullError, FormworkError, ServiceUnavailableError
from mesh.ids import ProjectId, SchemaId, new_id
from mesh.testing import FakeClock

from .conftest import Bench, open_bench, until

CONFIG = GatewayConfig(prewarm_schemas=3, prewarm_seconds=60, prewarm_ready_seconds=20)
BOUNDS = SchemaBounds(100, 10**6)


def draft(name: str) -> SchemaDraft:
    return SchemaDraft(name, None, strict=True, body="{}")


class ScriptedIndexes:
    """Compiles every schema at once, unless told otherwise."""

    def __init__(self) -> None:
        self.engine = "1"
        self.models = [ModelKind("x")]
        self.asked: list[str] = []
        self.errors: dict[str, FormworkError] = {}
        """By name of the schema, or of schema and model."""
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def makers(self) -> list[Maker]:
        return [Maker(model, self.engine) for model in self.models]

    async def ensure(
        self, stored: StoredSchema, models: Collection[ModelKind] | None = None
    ) -> dict[ModelKind, float | FormworkError]:
        name = stored.record.name
        self.asked.append(name)
        await self.gate.wait()
        tried = self.models if models is None else models
        return {
            model: self.errors.get(name) or self.errors.get(f"{name} {model}") or 0.5
            for model in tried
        }


class Fixture:
    """Prewarming that runs, on a clock that stands still."""

    def __init__(self, config: GatewayConfig = CONFIG, *, beside: "Fixture | None" = None) -> None:
        self.clock = beside.clock if beside else FakeClock()
        self.store = beside.store if beside else MemorySchemaStore(self.clock)
        self.indexes = ScriptedIndexes()
        uses = SchemaUses(self.store, config, self.clock)
        resolver = SchemaResolver(self.store, uses, config, self.clock)
        registry = SchemaRegistry(self.store, self.indexes, resolver, config)  # type: ignore[arg-type] # a double
        self.prewarming = Prewarming(self.store, registry, config, self.clock)
        self.background = Background(self.clock, self.prewarming.run)

    async def add(self, name: str, uses: int = 0, status: str = "ready") -> SchemaId:
        project = ProjectId(new_id("proj"))
        record, _ = await self.store.add_schema(project, draft(name), BOUNDS)
        await self.store.record_outcome(record.id, Outcome(SchemaStatus(status)))
        await self.store.record_uses({record.id: uses})
        return record.id

    async def go_round(self) -> None:
        self.indexes.asked.clear()
        self.background.start()
        await self.rest()

    async def go_on(self, seconds: float) -> list[str]:
        """Return what is asked for in that time."""
        self.indexes.asked.clear()
        await self.clock.advance(seconds)
        await self.rest()
        return self.indexes.asked

    async def rest(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    def outcome(self, schema_id: SchemaId) -> Outcome:
        return self.store.schemas[schema_id].record.outcome


@pytest.fixture
async def fixture() -> AsyncIterator[Fixture]:
    made = Fixture()
    yield made
    await made.background.close()


async def test_the_unfinished_and_the_most_used_are_compiled_and_no_more(fixture: Fixture) -> None:
    for name, uses in (("never", 0), ("often", 9), ("rarely", 1), ("seldom", 2)):
        await fixture.add(name, uses)
    unfinished = await fixture.add("unfinished", 0, "compiling")
    await fixture.go_round()
    assert fixture.indexes.asked == ["unfinished", "often", "seldom", "rarely"]
    assert fixture.outcome(unfinished) == Outcome(SchemaStatus.READY, 0.5)


async def test_it_goes_round_again_and_again(fixture: Fixture) -> None:
    await fixture.add("a")
    await fixture.go_round()
    assert fixture.indexes.asked == ["a"]
    await fixture.clock.advance(59)
    await fixture.rest()
    assert fixture.indexes.asked == ["a"]
    await fixture.clock.advance(1)
    await fixture.rest()
    assert fixture.indexes.asked == ["a", "a"]


async def test_a_schema_that_an_engine_takes_no_longer_fails_and_may_recover(
    fixture: Fixture,
) -> None:
    refused, busy = await fixture.add("refused", 2), await fixture.add("busy", 1)
    fixture.indexes.errors = {
        "refused": SchemaInvalidError("No."),
        "busy": CompileQueueFullError("x"),
    }
    await fixture.go_round()
    assert fixture.outcome(refused).status is SchemaStatus.FAILED
    assert fixture.outcome(refused).error == {"code": "invalid_json_schema", "message": "No."}
    assert fixture.outcome(busy).status is SchemaStatus.READY
    fixture.indexes.errors = {}
    await fixture.clock.advance(60)
    await fixture.rest()
    assert fixture.outcome(refused).status is SchemaStatus.READY


async def test_a_schema_that_fails_again_and_again_waits_longer_each_time(
    fixture: Fixture,
) -> None:
    await fixture.add("refused")
    fixture.indexes.errors = {"refused": SchemaInvalidError("No.")}
    await fixture.go_round()
    waits = []
    for _ in range(8):
        minutes = 1
        while not await fixture.go_on(60):
            minutes += 1
        waits.append(minutes)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_a_schema_that_failed_is_tried_at_once_by_another_engine(fixture: Fixture) -> None:
    await fixture.add("refused")
    fixture.indexes.errors = {"refused": SchemaInvalidError("No.")}
    await fixture.go_round()
    await fixture.go_on(60)
    fixture.indexes.engine = "2"
    assert await fixture.go_on(60) == ["refused"]
    assert await fixture.go_on(60) == ["refused"]
    assert await fixture.go_on(60) == []


async def test_another_gateway_does_not_try_again_what_failed_just_now(fixture: Fixture) -> None:
    await fixture.add("refused")
    fixture.indexes.errors = {"refused": SchemaInvalidError("No.")}
    await fixture.go_round()
    other = Fixture(beside=fixture)
    await other.go_round()
    assert other.indexes.asked == []
    await other.background.close()


async def test_gateways_with_other_models_leave_the_failures_of_a_model_alone(
    fixture: Fixture,
) -> None:
    """In a slow rollout one gateway has a new model, for which a schema is refused."""
    schema_id = await fixture.add("picky")
    new = Fixture(beside=fixture)
    new.indexes.models = [ModelKind("x"), ModelKind("new")]
    new.indexes.errors = {"picky new": SchemaInvalidError("No.")}
    await fixture.go_round()
    await new.go_round()
    refusals = []
    for _ in range(8):
        refusals.append(fixture.store.failed_times(schema_id, Maker(ModelKind("new"), "1")))
        assert await fixture.go_on(60) == ["picky"], "which its own model takes"
        await new.rest()
    assert refusals == [1, 2, 2, 3, 3, 3, 3, 4]
    await new.background.close()


async def test_a_model_for_which_a_schema_failed_does_not_hold_up_the_others(
    fixture: Fixture,
) -> None:
    schema_id = await fixture.add("picky")
    fixture.indexes.models = [ModelKind("x"), ModelKind("y")]
    fixture.indexes.errors = {"picky y": SchemaInvalidError("No.")}
    await fixture.go_round()
    assert fixture.outcome(schema_id).status is SchemaStatus.FAILED
    for _ in range(4):
        assert await fixture.go_on(60) == ["picky"]
    assert fixture.outcome(schema_id).status is SchemaStatus.FAILED, "for it still is, for one"
    fixture.indexes.errors = {}
    await fixture.go_on(3600)
    assert fixture.outcome(schema_id).status is SchemaStatus.READY


async def test_what_failed_holds_up_nothing_that_may_not(fixture: Fixture) -> None:
    await fixture.add("failed", 9, "failed")
    await fixture.add("ready", 1)
    await fixture.go_round()
    assert fixture.indexes.asked == ["ready", "failed"]


async def test_a_busy_compiler_is_no_failure_of_the_schema(fixture: Fixture) -> None:
    await fixture.add("busy", 1)
    fixture.indexes.errors = {"busy": CompileQueueFullError("x")}
    await fixture.go_round()
    for _ in range(3):
        assert await fixture.go_on(60) == ["busy"]


async def test_a_body_is_read_once(fixture: Fixture) -> None:
    await fixture.add("a")
    await fixture.go_round()
    for _ in range(3):
        assert await fixture.go_on(60) == ["a"]
    assert fixture.store.lookups == 1


async def test_without_prewarming_the_unfinished_is_gone_on_with() -> None:
    fixture = Fixture(replace(CONFIG, prewarm_schemas=0))
    await fixture.add("ready", 9)
    unfinished = await fixture.add("unfinished", 0, "compiling")
    await fixture.go_round()
    assert fixture.indexes.asked == ["unfinished"]
    assert fixture.outcome(unfinished).status is SchemaStatus.READY
    await fixture.background.close()


async def test_it_comes_back_soon_to_a_compiler_that_was_away(fixture: Fixture) -> None:
    await fixture.add("a")
    fixture.indexes.errors = {"a": ServiceUnavailableError("x")}
    await fixture.go_round()
    assert fixture.prewarming.is_first_round
    fixture.indexes.errors = {}
    await fixture.clock.advance(2)
    await fixture.rest()
    assert fixture.indexes.asked == ["a", "a"]
    assert not fixture.prewarming.is_first_round


async def test_a_database_that_is_away_is_asked_again_soon(fixture: Fixture) -> None:
    await fixture.add("a")
    fixture.store.is_down = True
    await fixture.go_round()
    assert fixture.indexes.asked == []
    assert not fixture.prewarming.is_first_round
    fixture.store.is_down = False
    await fixture.clock.advance(2)
    await fixture.rest()
    assert fixture.indexes.asked == ["a"]


async def test_a_first_round_is_not_waited_for_for_ever(fixture: Fixture) -> None:
    await fixture.add("a")
    fixture.indexes.gate.clear()
    await fixture.go_round()
    assert fixture.prewarming.is_first_round
    await fixture.clock.advance(20)
    assert not fixture.prewarming.is_first_round


async def test_a_loop_that_crashes_is_started_again() -> None:
    clock, starts = FakeClock(), []

    async def crash() -> None:
        starts.append(clock.monotonic())
        raise RuntimeError("x")

    background = Background(clock, crash)
    background.start()
    for _ in range(3):
        await clock.advance(5)
    await background.close()
    assert starts[:3] == [0.0, 5.0, 10.0]


async def test_a_gateway_is_not_ready_before_its_first_round(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, readiness_seconds=0.0) as bench:
        record, _ = await bench.schemas.add_schema(ProjectId("proj"), draft("n"), BOUNDS)
        bench.compiler.gate.clear()
        await bench.gateway.start()
        await until(lambda: len(bench.compiler.requests) == 1)
        assert await missing(bench) == {"schemas": "PREWARMING"}
        bench.compiler.gate.set()
        await until(lambda: not bench.gateway.registered.prewarming.is_first_round)
        settled = bench.schemas.schemas[record.id].record.outcome
        assert settled.status is SchemaStatus.READY
        assert await missing(bench) is None


async def missing(bench: Bench) -> object:
    return (await bench.get("/readyz")).json().get("missing")
