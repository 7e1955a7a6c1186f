"""Memory, then the store and a short compile at once, then a long compile under a claim."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import pytest
from formwork_engine import ENGINE_VERSION, Budget, JsonSchema, UnsupportedError

from compiler_service.canonical import CanonicalGrammar
from compiler_service.compile_race import Obtained, Source
from compiler_service.config import CompilerConfig
from compiler_service.flow import IndexFlow
from compiler_service.forgiving_store import ForgivingStore
from compiler_service.index_store import IndexStore
from compiler_service.testing import FakeCompiler, FakeIndexStore
from mesh.errors import (
    CompileBudgetError,
    CompileQueueFullError,
    DatabaseUnavailableError,
    IndexNotFoundError,
    InvalidArgumentError,
    SchemaRefusedError,
)
from mesh.ids import IndexId, ProjectId
from mesh.testing import FakeClock

P = ProjectId("proj")


class Replica:
    """One compiler service, all its edges faked."""

    def __init__(
        self, clock: FakeClock, store: IndexStore, name: str = "one", **config: float
    ) -> None:
        self.compiler = FakeCompiler()
        self.config = dataclasses.replace(CompilerConfig(), **config)  # type: ignore[arg-type] # by the tests' names
        forgiving = ForgivingStore(store, clock)
        self.flow = IndexFlow(self.compiler, forgiving, self.config, clock, owner=name)


@pytest.fixture
def store(clock: FakeClock) -> FakeIndexStore:
    return FakeIndexStore(clock)


@pytest.fixture
def one(clock: FakeClock, store: FakeIndexStore) -> Replica:
    return Replica(clock, store)


@pytest.fixture
def other(clock: FakeClock, store: FakeIndexStore) -> Replica:
    return Replica(clock, store, "other")


async def until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds: short compiles end by the loop's own clock."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - conditions of code that signals nothing
            await asyncio.sleep(0.001)


async def until_async(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await condition():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)


async def test_an_index_is_compiled_once_and_then_remembered(
    one: Replica, grammar: CanonicalGrammar
) -> None:
    first = await one.flow.ensure(grammar, P)
    again = await one.flow.ensure(grammar, P)
    assert (first.source, again.source) == (Source.COMPILED, Source.MEMORY)
    assert len(one.compiler.started) == 1
    assert first.held.index.index_id == grammar.index_id
    assert first.held.canonical_grammar == grammar.to_bytes()


async def test_a_short_compile_is_stored_at_its_second_use(
    one: Replica, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    first = await one.flow.ensure(grammar, P)
    assert not first.held.is_persisted
    assert await store.find_index(grammar.index_id) is None
    await one.flow.ensure(grammar, P)
    await until(lambda: first.held.is_persisted)
    assert await store.find_index(grammar.index_id) == first.held.index


async def test_prewarming_brings_an_index_no_nearer_to_being_stored_or_filled(
    one: Replica, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    for _ in range(5):
        await one.flow.ensure(grammar, P, is_use=False)
    assert (await one.flow.ensure(grammar, P)).source is Source.MEMORY
    await one.flow.drain(1)
    assert await store.find_index(grammar.index_id) is None
    for _ in range(2):  # the second use stores it, the third fills it
        assert one.compiler.filled == []
        await one.flow.ensure(grammar, P)
        await one.flow.drain(1)
    assert one.compiler.filled == [grammar]


async def test_requests_that_wait_for_a_prewarming_are_uses(
    one: Replica, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    one.compiler.gate.clear()
    ahead = asyncio.create_task(one.flow.ensure(grammar, P, is_use=False))
    await until(lambda: bool(one.compiler.started))
    asked = [asyncio.create_task(one.flow.ensure(grammar, P)) for _ in range(2)]
    await asyncio.sleep(0)
    one.compiler.gate.set()
    await asyncio.gather(ahead, *asked)
    await one.flow.drain(1)
    assert await store.find_index(grammar.index_id) is not None


async def test_a_long_compile_is_stored_at_once_and_its_claim_released(
    one: Replica, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    one.compiler.gate.clear()
    ensuring = asyncio.create_task(one.flow.ensure(grammar, P))

    async def is_claimed() -> bool:
        return await store.find_claim(grammar.index_id) == "one"

    await until_async(is_claimed)
    one.compiler.gate.set()
    obtained = await ensuring
    assert obtained.held.is_persisted
    assert len(one.compiler.started) == 1
    assert await store.find_claim(grammar.index_id) is None
    assert await store.find_index(grammar.index_id) == obtained.held.index


def grammars_like(grammar: CanonicalGrammar, count: int) -> list[CanonicalGrammar]:
    return [
        dataclasses.replace(grammar, grammar=JsonSchema(f'{{"const":{number}}}'))
        for number in range(count)
    ]


async def test_more_than_may_wait_are_had_in_one_call(
    clock: FakeClock, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    one = Replica(clock, store, queue_per_project=4, short_compile_seconds=0.0)
    one.compiler.refuse = lambda asked: (
        UnsupportedError("", "const", "no") if asked == several[3] else None
    )
    several = grammars_like(grammar, 40)
    outcomes = await one.flow.ensure_all(several, P)
    assert isinstance(outcomes.pop(3), SchemaRefusedError)
    ids = [outcome.held.index.index_id for outcome in outcomes if isinstance(outcome, Obtained)]
    assert ids == [each.index_id for each in several if each != several[3]]


async def test_a_tool_set_is_compiled_a_few_at_a_time_and_each_once(
    one: Replica, grammar: CanonicalGrammar
) -> None:
    one.compiler.gate.clear()
    several = grammars_like(grammar, 20)
    asked = [asyncio.create_task(one.flow.ensure_all(several, P)) for _ in range(3)]
    alone = asyncio.create_task(one.flow.ensure(several[7], P))
    await until(lambda: bool(one.compiler.started))
    one.compiler.gate.set()
    outcomes = await asyncio.gather(*asked)
    assert all(isinstance(outcome, Obtained) for each in outcomes for outcome in each)
    assert (await alone).held.index.index_id == several[7].index_id
    assert sorted(each.index_id for each in one.compiler.started) == sorted(
        each.index_id for each in several
    )


async def test_one_slow_tool_is_compiled_alone_and_the_others_are_had(
    one: Replica, grammar: CanonicalGrammar
) -> None:
    several = grammars_like(grammar, 6)
    slow = several[2]
    one.compiler.refuse = lambda asked: CompileBudgetError("No.") if asked == slow else None
    outcomes = await one.flow.ensure_all(several, P)
    refused = [place for place, outcome in enumerate(outcomes) if not isinstance(outcome, Obtained)]
    assert refused == [2]
    assert isinstance(outcomes[2], CompileBudgetError)


async def test_a_tool_set_is_compiled_to_its_end_for_who_has_left(
    one: Replica, grammar: CanonicalGrammar
) -> None:
    several = grammars_like(grammar, 4)
    one.compiler.gate.clear()
    asked = asyncio.create_task(one.flow.ensure_all(several, P))
    await until(lambda: bool(one.compiler.started))
    asked.cancel()
    await asyncio.wait({asked})
    one.compiler.gate.set()
    await until(lambda: one.compiler.finished == 4)
    outcomes = await one.flow.ensure_all(several, P)
    assert {o.source for o in outcomes if isinstance(o, Obtained)} == {Source.MEMORY}


async def test_uses_of_a_tool_set_count_for_each_index(
    one: Replica, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    several = grammars_like(grammar, 3)
    for _ in range(2):
        await one.flow.ensure_all(several, P)

    async def are_stored() -> bool:
        return len(await store.find_all([each.index_id for each in several])) == 3

    await until_async(are_stored)


async def test_what_is_stored_of_several_is_found_while_they_are_compiled(
    one: Replica, other: Replica, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    several = grammars_like(grammar, 5)
    for index in [(await one.flow.ensure(each, P)).held.index for each in several[:3]]:
        await store.record_index(index)
    await store.record_failure(several[3].index_id, SchemaRefusedError("No."), seconds=60)
    other.compiler.gate.clear()
    asked = asyncio.create_task(other.flow.ensure_all(several, P))
    await until(lambda: other.compiler.cancelled == 1)
    other.compiler.gate.set()
    outcomes = await asked
    assert other.compiler.started == [several[0], several[4]]
    assert isinstance(outcomes[3], SchemaRefusedError)
    assert [isinstance(outcome, Obtained) for outcome in outcomes] == [True] * 3 + [False, True]


async def test_the_store_is_not_asked_for_several_that_are_compiled_in_a_moment(
    one: Replica,
    store: FakeIndexStore,
    grammar: CanonicalGrammar,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(FakeIndexStore, "find_all")
    outcomes = await one.flow.ensure_all(grammars_like(grammar, 20), P)
    assert all(isinstance(outcome, Obtained) for outcome in outcomes)


async def test_what_another_replica_stored_is_not_compiled_again(
    one: Replica, other: Replica, grammar: CanonicalGrammar
) -> None:
    await one.flow.ensure(grammar, P)
    await one.flow.ensure(grammar, P)
    await one.flow.drain(1)
    other.compiler.gate.clear()
    assert (await other.flow.ensure(grammar, P)).source is Source.DATABASE
    assert other.compiler.finished == 0


async def test_two_replicas_compile_one_long_grammar_once(
    clock: FakeClock, one: Replica, other: Replica, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    for replica in (one, other):
        replica.compiler.gate.clear()
    asked = [asyncio.create_task(replica.flow.ensure(grammar, P)) for replica in (one, other)]
    await until(lambda: one.compiler.cancelled + other.compiler.cancelled == 1)
    holder = await store.find_claim(grammar.index_id)
    for replica in (one, other):
        replica.compiler.gate.set()
    holding = {"one": asked[0], "other": asked[1]}[holder or ""]
    await holding
    await clock.advance(one.config.poll_seconds)
    results = await asyncio.gather(*asked)
    assert one.compiler.finished + other.compiler.finished == 1
    assert {result.source for result in results} == {Source.COMPILED, Source.DATABASE}


async def test_the_claim_of_a_replica_that_died_is_taken_over_when_it_expires(
    clock: FakeClock, one: Replica, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    assert await store.claim(grammar.index_id, "dead", seconds=5)
    one.compiler.gate.clear()
    asked = asyncio.create_task(one.flow.ensure(grammar, P))
    await until(lambda: one.compiler.cancelled == 1)
    one.compiler.gate.set()
    for _ in range(20):
        await clock.advance(0.2)
    assert not asked.done()
    for _ in range(20):
        await clock.advance(0.2)
    assert (await asked).source is Source.COMPILED
    assert one.compiler.finished == 1


async def test_everybody_who_asks_meanwhile_waits_for_the_same_compile(
    one: Replica, grammar: CanonicalGrammar
) -> None:
    one.compiler.gate.clear()
    asked = [asyncio.create_task(one.flow.ensure(grammar, P)) for _ in range(5)]
    await until(lambda: bool(one.compiler.started))
    one.compiler.gate.set()
    results = await asyncio.gather(*asked)
    assert len(one.compiler.started) == 1
    assert len({id(result.held) for result in results}) == 1


async def test_a_compile_outlives_the_caller_who_started_it(
    one: Replica, grammar: CanonicalGrammar
) -> None:
    one.compiler.gate.clear()
    asked = asyncio.create_task(one.flow.ensure(grammar, P))
    await until(lambda: bool(one.compiler.started))
    asked.cancel()
    await asyncio.wait({asked})
    one.compiler.gate.set()
    await until(lambda: one.compiler.finished == 1)
    assert (await one.flow.ensure(grammar, P)).source is Source.MEMORY


async def test_a_refusal_is_remembered_for_a_while(
    clock: FakeClock, one: Replica, grammar: CanonicalGrammar
) -> None:
    one.compiler.refuse = lambda _: UnsupportedError("/items", "not", "is not enforced")
    for _ in range(3):
        with pytest.raises(SchemaRefusedError, match="In context=\\('items',\\), 'not'") as caught:
            await one.flow.ensure(grammar, P)
        assert caught.value.field == "/items"
        assert caught.value.metadata["keyword"] == "not"
    assert len(one.compiler.started) == 1
    await clock.advance(one.config.failure_seconds)
    with pytest.raises(SchemaRefusedError):
        await one.flow.ensure(grammar, P)
    assert len(one.compiler.started) == 2


async def test_a_long_refusal_spares_the_other_replicas(
    one: Replica, other: Replica, grammar: CanonicalGrammar
) -> None:
    over = CompileBudgetError("too long", metadata={"limit": "compile_seconds"})
    one.compiler.refuse = lambda _: over
    one.compiler.gate.clear()
    asked = asyncio.create_task(one.flow.ensure(grammar, P))
    await until(lambda: one.flow._race._gate._free < one.config.compile_slots)
    one.compiler.gate.set()
    with pytest.raises(CompileBudgetError):
        await asked
    other.compiler.gate.clear()
    with pytest.raises(CompileBudgetError, match="too long"):
        await other.flow.ensure(grammar, P)
    assert other.compiler.finished == 0


class DownStore(FakeIndexStore):
    """A database that answers nothing."""

    questions = 0

    async def find_index(self, index_id: IndexId) -> None:
        self.questions += 1
        raise DatabaseUnavailableError("down")

    claim = find_all = record_index = record_failure = find_index  # type: ignore[assignment] # none answers
    find_claim = release_claim = prune = find_index  # type: ignore[assignment] # none answers


async def test_a_database_that_is_down_costs_the_cache_only(
    clock: FakeClock, grammar: CanonicalGrammar
) -> None:
    store = DownStore(clock)
    one = Replica(clock, store)
    assert (await one.flow.ensure(grammar, P)).source is Source.COMPILED
    assert (await one.flow.ensure(grammar, P)).source is Source.MEMORY
    one.compiler.gate.clear()
    longer = dataclasses.replace(grammar, grammar=JsonSchema('{"type":"null"}'))
    asked = asyncio.create_task(one.flow.ensure(longer, P))
    await until(lambda: one.flow._race._gate._free < one.config.compile_slots)
    one.compiler.gate.set()
    obtained = await asked
    assert obtained.source is Source.COMPILED
    assert not obtained.held.is_persisted
    assert store.questions == 1  # then it is left alone for a while


async def test_long_compiles_of_one_project_cannot_fill_the_queue_of_another(
    clock: FakeClock, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    one = Replica(clock, store, compile_slots=1, queue_per_project=2, short_slots=20)
    one.compiler.gate.clear()
    grammars = [
        dataclasses.replace(grammar, grammar=JsonSchema(f'{{"const":{number}}}'))
        for number in range(5)
    ]
    asked = []
    for number, wanted in enumerate(grammars[:3]):
        asked.append(asyncio.create_task(one.flow.ensure(wanted, P)))
        await until(
            lambda n=number: one.flow._race._gate.waiting == n and not one.flow._race._gate.has_room
        )
    with pytest.raises(CompileQueueFullError) as caught:
        await one.flow.ensure(grammars[3], P)
    assert caught.value.metadata["limit"] == "queue_per_project"
    asked.append(asyncio.create_task(one.flow.ensure(grammars[4], ProjectId("else"))))
    await until(lambda: one.flow._race._gate.waiting == 3)
    one.compiler.gate.set()
    await asyncio.gather(*asked)
    assert (await one.flow.ensure(grammars[3], P)).source is Source.COMPILED


async def test_fetch_gives_what_memory_store_or_grammar_hold(
    one: Replica, other: Replica, grammar: CanonicalGrammar
) -> None:
    index = (await one.flow.ensure(grammar, P)).held.index
    assert await one.flow.fetch(grammar.index_id, 1, b"") is index
    assert await other.flow.fetch(grammar.index_id, 1, grammar.to_bytes()) == index
    await one.flow.ensure(grammar, P)
    await one.flow.drain(1)


async def test_fetch_reads_the_store(
    clock: FakeClock, one: Replica, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    index = (await one.flow.ensure(grammar, P)).held.index
    await one.flow.ensure(grammar, P)
    await one.flow.drain(1)
    assert await Replica(clock, store).flow.fetch(grammar.index_id, 1, b"") == index


async def test_fetch_of_nothing_is_not_found(one: Replica, grammar: CanonicalGrammar) -> None:
    with pytest.raises(IndexNotFoundError):
        await one.flow.fetch(grammar.index_id, 1, b"")


async def test_fetch_refuses_a_grammar_of_another_index(
    one: Replica, grammar: CanonicalGrammar
) -> None:
    another = dataclasses.replace(grammar, grammar=JsonSchema("{}"))
    with pytest.raises(InvalidArgumentError, match="another index"):
        await one.flow.fetch(grammar.index_id, 1, another.to_bytes())
    assert one.compiler.started == []


@pytest.mark.parametrize("change", [{"engine_version": "old"}, {"budget": Budget(max_bytes=1)}])
async def test_fetch_compiles_neither_for_another_engine_nor_for_another_budget(
    one: Replica, grammar: CanonicalGrammar, change: dict[str, object]
) -> None:
    changed = dataclasses.replace(grammar, **change)  # type: ignore[arg-type] # by field name
    with pytest.raises(IndexNotFoundError):
        await one.flow.fetch(changed.index_id, 1, changed.to_bytes())


async def test_the_store_is_pruned_now_and_then(
    clock: FakeClock, one: Replica, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    await one.flow.ensure(grammar, P)
    await one.flow.ensure(grammar, P)
    await one.flow.drain(1)
    pruning = asyncio.create_task(one.flow.prune_forever())
    await asyncio.sleep(0)
    await clock.advance(one.config.prune_seconds)
    assert await store.find_index(grammar.index_id) is not None
    await clock.advance(one.config.keep_seconds + one.config.prune_seconds)
    assert await store.find_index(grammar.index_id) is None
    pruning.cancel()
    await asyncio.wait({pruning})


async def test_draining_ends_what_takes_too_long(one: Replica, grammar: CanonicalGrammar) -> None:
    one.compiler.gate.clear()
    asked = asyncio.create_task(one.flow.ensure(grammar, P))
    await until(lambda: bool(one.compiler.started))
    await one.flow.drain(0.01)
    assert one.compiler.cancelled == 1
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_after_an_upgrade_of_the_engine_what_was_stored_is_compiled_again(
    one: Replica, other: Replica, grammar: CanonicalGrammar, store: FakeIndexStore
) -> None:
    before = dataclasses.replace(grammar, engine_version="0.0.1+0")
    await one.flow.ensure(before, P)
    old = (await one.flow.ensure(before, P)).held.index
    await until_async(lambda: is_stored(store, old.index_id))
    new = await other.flow.ensure(grammar, P)
    assert new.source is Source.COMPILED
    assert new.held.index.index_id != old.index_id
    assert (
        await other.flow.fetch(new.held.index.index_id, 1, b"")
    ).engine_version == ENGINE_VERSION


async def is_stored(store: FakeIndexStore, index_id: IndexId) -> bool:
    return await store.find_index(index_id) is not None


def test_the_engine_version_is_part_of_what_is_stored(grammar: CanonicalGrammar) -> None:
    assert grammar.engine_version == ENGINE_VERSION
