"""Indexes are fetched once, kept within bounds, and refreshed behind the scenes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from formwork.compiler.v1.compiler_pb2_grpc import CompilerServiceStub
from formwork.sampler.v1 import sampler_pb2
from formwork_engine.index import Index, compile_index
from formwork_engine.inputs import Regex

from mesh.channels import Caller, open_channel
from mesh.clock import SystemClock
from mesh.errors import IndexNotFoundError, InternalError, LimitExceededError
from sampler_service.config import SamplerConfig
from sampler_service.envelopes import Envelopes, WantedEnvelope, link_shape
from sampler_service.index_fetcher import IndexFetcher, IndexName
from sampler_service.indexes import Indexes
from sampler_service.model_folder import ModelFolder
from sampler_service.testing import eventually
from sampler_service.testing_mesh import TOKEN, WorkerMesh

FIRST, SECOND = "a" * 64, "b" * 64


@pytest.fixture
def sampler_options() -> dict[str, object]:
    return {}


@pytest.fixture
async def indexes(
    mesh: WorkerMesh, folder: ModelFolder, sampler_options: dict[str, object]
) -> AsyncIterator[Indexes]:
    address = mesh.settings.table("mesh")["compiler_address"]
    channel = open_channel(str(address), mesh.config)
    config = SamplerConfig(index_retry_seconds=0.01, **sampler_options)  # type: ignore[arg-type] # by name
    stub = CompilerServiceStub(channel)
    fetcher = IndexFetcher(stub.FetchIndexes, Caller(TOKEN), config)
    indexes = Indexes(fetcher, folder.vocabulary, config, SystemClock())
    yield indexes
    await indexes.close()
    await channel.close(None)


async def test_an_index_is_fetched_once_and_kept(
    mesh: WorkerMesh, indexes: Indexes, index: Index
) -> None:
    mesh.hold(index, FIRST)
    mesh.compiler.gate.clear()
    gets = [asyncio.create_task(indexes.get(IndexName(FIRST, 1))) for _ in range(5)]
    await eventually(lambda: bool(mesh.compiler.requests))
    mesh.compiler.gate.set()
    found = await asyncio.gather(*gets)
    found.append(await indexes.get(IndexName(FIRST, 1)))
    assert all(one is found[0] for one in found)
    assert len(mesh.compiler.requests) == 1


async def test_an_index_that_comes_with_its_name_is_not_fetched(
    mesh: WorkerMesh, indexes: Indexes, index: Index
) -> None:
    found = await indexes.get(IndexName(FIRST, 1, data=index.dump()))
    assert await indexes.get(IndexName(FIRST, 1)) is found
    names = [IndexName(letter * 64, 1, data=index.dump()) for letter in "abcde"]
    await indexes.take_in(indexes.brought(names))
    assert all(indexes.holds(letter * 64) for letter in "abcde")
    assert await indexes.get(IndexName(FIRST, 1)) is found  # held already
    assert not mesh.compiler.requests


async def test_bytes_that_are_no_index_fail_who_brought_them(
    mesh: WorkerMesh, indexes: Indexes, index: Index
) -> None:
    for taken in (indexes.get, lambda name: indexes.take_in([[name]])):
        with pytest.raises(InternalError):
            await taken(IndexName(FIRST, 1, data=b"no index"))
    assert not indexes.holds(FIRST)
    mesh.hold(index, FIRST)
    assert await indexes.get(IndexName(FIRST, 1))


async def test_indexes_that_are_asked_for_together_come_in_one_call(
    mesh: WorkerMesh, indexes: Indexes, index: Index
) -> None:
    held = [mesh.hold(index, letter * 64) for letter in "abcd"]
    found = await asyncio.gather(
        *(indexes.get(IndexName(name, 1)) for name in [*held, "e" * 64]), return_exceptions=True
    )
    assert isinstance(found.pop(), IndexNotFoundError)
    assert all(isinstance(one, Index) for one in found)
    assert mesh.compiler.calls == 1
    assert len(mesh.compiler.requests) == 5


async def test_who_stops_waiting_leaves_the_others_alone(
    mesh: WorkerMesh, indexes: Indexes, index: Index
) -> None:
    mesh.hold(index, FIRST)
    mesh.compiler.gate.clear()
    gets = [asyncio.create_task(indexes.get(IndexName(FIRST, 1))) for _ in range(2)]
    await eventually(lambda: bool(mesh.compiler.requests))
    gets[0].cancel()
    await asyncio.wait([gets[0]])
    mesh.compiler.gate.set()
    assert await gets[1]
    assert len(mesh.compiler.requests) == 1


async def test_when_nobody_waits_any_more_the_fetch_ends(
    mesh: WorkerMesh, indexes: Indexes, index: Index
) -> None:
    mesh.hold(index, FIRST)
    mesh.compiler.failures = 10**9
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await indexes.get(IndexName(FIRST, 1))
    await eventually(lambda: not (indexes._fetching or indexes._fetcher._calls))
    mesh.compiler.failures = 0
    assert await indexes.get(IndexName(FIRST, 1))


async def test_the_grammar_goes_along(mesh: WorkerMesh, indexes: Indexes, index: Index) -> None:
    mesh.hold(index, FIRST)
    await indexes.get(IndexName(FIRST, 3, b"the grammar"))
    request = mesh.compiler.requests[0]
    assert (request.revision, request.canonical_grammar) == (3, b"the grammar")


async def test_who_has_no_grammar_waits_for_who_has(
    mesh: WorkerMesh, indexes: Indexes, index: Index
) -> None:
    mesh.hold(index, FIRST)
    mesh.compiler.gate.clear()
    names = [IndexName(FIRST, 1, b"the grammar"), IndexName(FIRST, 1)]
    gets = [asyncio.create_task(indexes.get(name)) for name in names]
    await eventually(lambda: bool(mesh.compiler.requests))
    mesh.compiler.gate.set()
    await asyncio.gather(*gets)
    assert [r.canonical_grammar for r in mesh.compiler.requests] == [b"the grammar"]


@pytest.mark.parametrize("sampler_options", [{"max_indexes": 2}])
async def test_an_envelope_is_linked_once_and_lasts_as_long_as_its_parts(
    mesh: WorkerMesh,
    indexes: Indexes,
    index: Index,
    folder: ModelFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    links: list[object] = []

    def link(*arguments: Any) -> Index:  # noqa: ANN401 - as they are passed on
        links.append(arguments)
        return link_shape(*arguments)

    monkeypatch.setattr("sampler_service.envelopes.link_shape", link)
    envelopes = Envelopes(indexes, folder.vocabulary, 8)

    def envelope(*names: str) -> WantedEnvelope:
        pieces = [sampler_pb2.Piece(part=number) for number in range(len(names))]
        shape = sampler_pb2.Piece(choice=sampler_pb2.Pieces(pieces=pieces))
        parts = [sampler_pb2.EnvelopePart(index_id=name, revision=1) for name in names]
        return WantedEnvelope.of(sampler_pb2.Envelope(shape=shape, parts=parts))

    names = [mesh.hold(index, letter * 64) for letter in "abcd"]
    found = await asyncio.gather(*(envelopes.get(envelope(*names[:2])) for _ in range(5)))
    assert all(one is found[0] for one in found)
    assert len(links) == 1
    await envelopes.get(envelope(*names[2:]))
    assert len(envelopes._linked) == 1  # the first two parts have left, and the memory of both
    assert await envelopes.get(envelope(*names[:2])) is not found[0]


async def test_an_unknown_index_is_not_asked_for_again_and_again(
    mesh: WorkerMesh, indexes: Indexes
) -> None:
    with pytest.raises(IndexNotFoundError):
        await indexes.get(IndexName(FIRST, 1))
    assert len(mesh.compiler.requests) == 1


async def test_a_higher_revision_is_fetched_behind_the_one_that_is_held(
    mesh: WorkerMesh, indexes: Indexes, index: Index
) -> None:
    mesh.hold(index, FIRST)
    held = await indexes.get(IndexName(FIRST, 1))
    mesh.compiler.indexes[FIRST] = (2, index.dump())
    assert await indexes.get(IndexName(FIRST, 2)) is held
    await eventually(lambda: len(mesh.compiler.requests) == 2)
    await eventually(lambda: not indexes._refreshing)
    assert await indexes.get(IndexName(FIRST, 2)) is not held
    assert len(mesh.compiler.requests) == 2


@pytest.mark.parametrize("sampler_options", [{"index_cache_bytes": 5000}])
async def test_memory_is_bounded_and_the_least_recently_used_leaves(
    mesh: WorkerMesh, indexes: Indexes, folder: ModelFolder
) -> None:
    names = [letter * 64 for letter in "abcdefgh"]
    for number, name in enumerate(names):
        compiled = compile_index(Regex(f"x{{{number}}}" + "y" * 1000), folder.vocabulary)
        mesh.hold(compiled, name)
        await indexes.get(IndexName(name, 1))
    size = len(compiled.dump())
    assert 1 < 5000 // size < len(names)
    await indexes.get(IndexName(names[-1], 1))
    assert len(mesh.compiler.requests) == len(names)
    await indexes.get(IndexName(names[0], 1))
    assert len(mesh.compiler.requests) == len(names) + 1


@pytest.mark.parametrize("sampler_options", [{"max_indexes": 1}])
async def test_no_more_indexes_are_loaded_than_may_be(
    mesh: WorkerMesh, indexes: Indexes, index: Index
) -> None:
    for name in (FIRST, SECOND, FIRST):
        mesh.hold(index, name)
        await indexes.get(IndexName(name, 1))
    assert len(mesh.compiler.requests) == 3


@pytest.mark.parametrize("sampler_options", [{"max_index_bytes": 100}])
async def test_an_index_that_is_too_large_is_refused(
    mesh: WorkerMesh, indexes: Indexes, index: Index
) -> None:
    mesh.hold(index, FIRST)
    with pytest.raises(LimitExceededError):
        await indexes.get(IndexName(FIRST, 1))


@pytest.mark.parametrize("bringing", [0, 1])
async def test_parts_that_are_one_index_need_to_bring_it_once(
    mesh: WorkerMesh, indexes: Indexes, index: Index, folder: ModelFolder, bringing: int
) -> None:
    envelopes = Envelopes(indexes, folder.vocabulary, 8)
    parts = [sampler_pb2.EnvelopePart(index_id=FIRST, revision=1) for _ in range(2)]
    parts[bringing].inline_index = index.dump()
    pieces = [sampler_pb2.Piece(part=number) for number in range(2)]
    shape = sampler_pb2.Piece(choice=sampler_pb2.Pieces(pieces=pieces))
    wanted = WantedEnvelope.of(sampler_pb2.Envelope(shape=shape, parts=parts))
    assert await envelopes.get(wanted) is await envelopes.get(wanted)
    assert not mesh.compiler.requests
