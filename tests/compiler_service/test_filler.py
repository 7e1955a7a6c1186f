"""What is used is filled in the background, once, and whatever happens what is there stays."""

import asyncio
import dataclasses

import pytest
from formwork_engine import JsonSchema, Regex, TooLargeError

from compiler_service.canonical import CanonicalGrammar
from compiler_service.compile_race import Source
from compiler_service.config import CompilerConfig
from compiler_service.filler import FILLED_REVISION, Filler
from compiler_service.flow import IndexFlow
from compiler_service.forgiving_store import ForgivingStore
from compiler_service.index_store import StoredIndex
from compiler_service.memory import HeldIndex
from compiler_service.testing import FakeCompiler, FakeIndexStore
from mesh.ids import ProjectId
from mesh.testing import FakeClock

P, Q = ProjectId("proj"), ProjectId("other")


@pytest.fixture
def store(clock: FakeClock) -> FakeIndexStore:
    return FakeIndexStore(clock)


@pytest.fixture
def compiler() -> FakeCompiler:
    return FakeCompiler()


@pytest.fixture
def adopted() -> list[HeldIndex]:
    return []


@pytest.fixture
def filler(
    compiler: FakeCompiler, store: FakeIndexStore, clock: FakeClock, adopted: list[HeldIndex]
) -> Filler:
    forgiving = ForgivingStore(store, clock)
    config = dataclasses.replace(CompilerConfig(), fill_queue_per_project=2)
    return Filler(compiler, forgiving, config, "one", adopted.append)


def held(grammar: CanonicalGrammar, uses: int = 3) -> HeldIndex:
    index = StoredIndex(
        grammar.index_id, 1, b"index", 3, 0.01, grammar.fingerprint, grammar.engine_version
    )
    return HeldIndex(index, grammar.to_bytes(), is_persisted=True, uses=uses)


def another(grammar: CanonicalGrammar, number: int) -> CanonicalGrammar:
    return dataclasses.replace(grammar, grammar=JsonSchema(f'{{"const":{number}}}'))


async def test_an_index_is_filled_at_its_third_use_and_given_out_from_then_on(
    clock: FakeClock, compiler: FakeCompiler, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    flow = IndexFlow(compiler, ForgivingStore(store, clock), CompilerConfig(), clock, owner="one")
    for _ in range(2):
        assert (await flow.ensure(grammar, P)).held.index.revision == 1
        await flow.drain(1)
    assert compiler.filled == []
    compiler.gate.clear()
    assert (await flow.ensure(grammar, P)).held.index.revision == 1  # nobody waits for a fill
    await asyncio.sleep(0)
    compiler.gate.set()
    await flow.drain(1)
    again = await flow.ensure(grammar, P)
    assert (again.source, again.held.index.revision) == (Source.MEMORY, FILLED_REVISION)
    assert again.held.index.data.startswith(b"filled")
    assert await store.find_index(grammar.index_id) == again.held.index
    assert compiler.filled == [grammar]
    assert (await flow.fetch(grammar.index_id, 1, b"")).revision == FILLED_REVISION


async def test_a_filled_index_that_was_lost_is_given_out_as_it_was_compiled(
    clock: FakeClock, compiler: FakeCompiler, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    flow = IndexFlow(compiler, ForgivingStore(store, clock), CompilerConfig(), clock, owner="one")
    fetched = await flow.fetch(grammar.index_id, FILLED_REVISION, grammar.to_bytes())
    assert fetched.revision == 1


async def test_a_replica_that_holds_the_first_revision_fetches_what_another_filled(
    clock: FakeClock, compiler: FakeCompiler, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    flow = IndexFlow(compiler, ForgivingStore(store, clock), CompilerConfig(), clock, owner="one")
    first = (await flow.ensure(grammar, P)).held.index
    await store.record_index(dataclasses.replace(first, revision=FILLED_REVISION, data=b"more"))
    assert (await flow.fetch(grammar.index_id, FILLED_REVISION, b"")).data == b"more"


async def test_what_is_seldom_used_or_not_stored_is_not_filled(
    filler: Filler, grammar: CanonicalGrammar
) -> None:
    assert filler.wants(held(grammar))
    assert not filler.wants(held(grammar, uses=2))
    assert not filler.wants(dataclasses.replace(held(grammar), is_persisted=False))
    assert not filler.wants(dataclasses.replace(held(grammar), is_filling=True))


async def test_what_another_replica_filled_is_taken(
    filler: Filler,
    compiler: FakeCompiler,
    store: FakeIndexStore,
    grammar: CanonicalGrammar,
    adopted: list[HeldIndex],
) -> None:
    theirs = dataclasses.replace(held(grammar).index, revision=FILLED_REVISION, data=b"theirs")
    await store.record_index(theirs)
    await filler.fill(held(grammar), P)
    assert [mine.index for mine in adopted] == [theirs]
    assert compiler.filled == []


async def test_what_another_replica_fills_now_is_looked_at_later(
    filler: Filler, compiler: FakeCompiler, store: FakeIndexStore, grammar: CanonicalGrammar
) -> None:
    assert await store.claim(grammar.index_id, "other/fill", seconds=5)
    mine = held(grammar)
    await filler.fill(mine, P)
    assert compiler.filled == []
    assert filler.wants(mine)


async def test_one_at_a_time_and_project_by_project(
    filler: Filler, compiler: FakeCompiler, grammar: CanonicalGrammar
) -> None:
    compiler.gate.clear()
    wanted = [(another(grammar, number), P) for number in range(3)] + [(grammar, Q)]
    tasks = [asyncio.create_task(filler.fill(held(own), project)) for own, project in wanted]
    too_many = held(another(grammar, 9))
    await asyncio.sleep(0)
    await filler.fill(too_many, P)
    assert filler.wants(too_many)  # the queue of its project was full: at a later use
    assert len(compiler.filled) <= 1
    compiler.gate.set()
    await asyncio.gather(*tasks)
    order = [own.grammar for own in compiler.filled]
    assert order.index(grammar.grammar) < order.index(wanted[2][0].grammar)
    assert len(order) == 4


async def test_a_fill_that_fails_is_not_tried_again(
    compiler: FakeCompiler,
    store: FakeIndexStore,
    clock: FakeClock,
    grammar: CanonicalGrammar,
    adopted: list[HeldIndex],
) -> None:
    failing = FakeCompiler(lambda _: TooLargeError("compile_fuel", 1, 2))
    filler = Filler(failing, ForgivingStore(store, clock), CompilerConfig(), "one", adopted.append)
    mine = held(grammar)
    await filler.fill(mine, P)
    assert adopted == []
    assert not filler.wants(mine)
    assert await store.find_claim(grammar.index_id) is None


async def test_what_is_no_json_has_nothing_to_fill(
    filler: Filler, compiler: FakeCompiler, grammar: CanonicalGrammar
) -> None:
    mine = held(dataclasses.replace(grammar, grammar=Regex("[a-z]+")))
    await filler.fill(mine, P)
    assert compiler.filled == []
    assert not filler.wants(mine)
