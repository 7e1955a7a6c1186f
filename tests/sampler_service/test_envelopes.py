"""Sequences under an envelope, on a worker over real gRPC."""

import json
from typing import Any

import pytest
from formwork.sampler.v1 import sampler_pb2
from formwork_engine.index import Index

from mesh.errors import IndexNotFoundError, InvalidArgumentError
from sampler_service.testing import StreamClient
from sampler_service.testing_mesh import WorkerMesh

OPENS, PARTS = 0, 1  # control tokens of the small model


def call(name: str, part: int) -> dict[str, Any]:
    pieces = [{"special_token": OPENS}, {"text": name}, {"special_token": PARTS}, {"part": part}]
    return {"sequence": {"pieces": pieces}}


def one_or_two_calls(*names: str) -> dict[str, Any]:
    calls = {"choice": {"pieces": [call(name, 0) for name in names]}}
    return {"repeat": {"piece": calls, "minimum": 1, "maximum": 2}}


async def decode(
    mesh: WorkerMesh, gateway: StreamClient, number: int, envelope: dict[str, Any]
) -> None:
    options = {"max_tokens": 600, "temperature": 1.5, "seed": number}
    await gateway.open(number, mesh.lease(), constrained=True, sampling=options)
    await gateway.send(bind={"sequence_id": number, "envelope": envelope})
    await gateway.wait_ended(number)


def spelled(frames: list[sampler_pb2.Frame]) -> str:
    """Return the text with each control token written as <id> where its mark says."""
    text = ""
    for frame in frames:
        rest, places = frame.text, [(m.position, f"<{m.token_id}>") for m in frame.marks]
        for position, mark in reversed(places):
            rest = rest[:position] + mark + rest[position:]
        text += rest
    return text


async def test_parts_that_come_with_their_names_are_not_fetched(
    mesh: WorkerMesh, gateway: StreamClient, index: Index
) -> None:
    part = {"index_id": "a" * 64, "revision": 1, "inline_index": index.dump()}
    await decode(mesh, gateway, 1, {"shape": one_or_two_calls("get"), "parts": [part]})
    assert gateway.last(1) is not None
    assert not mesh.compiler.requests


async def test_of_several_choices_one_brings_an_index_and_the_others_wait_for_it(
    mesh: WorkerMesh, gateway: StreamClient, index: Index
) -> None:
    name = {"index_id": "a" * 64, "revision": 1}
    shape = one_or_two_calls("get")
    for choice, part in enumerate(({**name, "inline_index": index.dump()}, name), start=1):
        await gateway.open(choice, mesh.lease(), constrained=True, sampling={"max_tokens": 4})
        envelope = {"shape": shape, "parts": [part]}
        await gateway.send(bind={"sequence_id": choice, "envelope": envelope})
    for choice in (1, 2):
        await gateway.wait_ended(choice)
        assert gateway.last(choice).finish == sampler_pb2.FINISH_LENGTH  # type: ignore[union-attr]
    assert not mesh.compiler.requests


async def test_a_sequence_may_be_opened_bound_whether_its_index_is_held_or_not(
    mesh: WorkerMesh, gateway: StreamClient, index: Index
) -> None:
    part = {"index_id": mesh.hold(index), "revision": 1}
    envelope = {"shape": one_or_two_calls("get"), "parts": [part]}
    options = {"max_tokens": 40, "temperature": 0.7, "seed": 3}
    await gateway.open(1, mesh.lease(), constrained=True, sampling=options)
    await gateway.send(bind={"sequence_id": 1, "envelope": envelope})
    await gateway.wait_ended(1)
    bind, alone = {"envelope": envelope}, {"index_id": part["index_id"], "revision": 1}
    for number in (2, 3):  # the second finds it linked
        await gateway.open(
            number, mesh.lease(), constrained=True, sampling=options, bind={"envelope": envelope}
        )
        await gateway.wait_ended(number)
        assert spelled(gateway.frames[number]) == spelled(gateway.frames[1])
    await gateway.open(4, mesh.lease(), constrained=True, sampling=options, bind=alone)
    await gateway.wait_ended(4)
    assert spelled(gateway.frames[4]).startswith("{")
    await gateway.open(5, mesh.lease(), sampling=options, bind=bind)
    await gateway.wait_ended(5)
    assert isinstance(gateway.error(5), InvalidArgumentError)


async def test_a_sequence_that_was_opened_bound_is_not_bound_again(
    mesh: WorkerMesh, gateway: StreamClient, index: Index
) -> None:
    bind = {"index_id": mesh.hold(index), "revision": 1}
    options = {"max_tokens": 600, "temperature": 1.0, "seed": 1}
    await gateway.open(1, mesh.lease(), constrained=True, sampling=options, bind=bind)
    await gateway.send(bind={"sequence_id": 1, **bind})
    await gateway.wait_ended(1)
    assert isinstance(gateway.error(1), InvalidArgumentError)


async def test_calls_keep_their_envelope_at_any_temperature_and_say_where_control_tokens_stand(
    mesh: WorkerMesh, gateway: StreamClient, index: Index
) -> None:
    part = {"index_id": mesh.hold(index), "revision": 1}
    envelope = {"shape": one_or_two_calls("get", "get_all"), "parts": [part]}
    for number in range(1, 7):
        await decode(mesh, gateway, number, envelope)
        last = gateway.last(number)
        assert last is not None
        if last.finish != sampler_pb2.FINISH_STOP:
            continue
        empty, *calls = spelled(gateway.frames[number]).split(f"<{OPENS}>")
        assert (empty, len(calls) in (1, 2)) == ("", True)
        for written in calls:
            name, _, arguments = written.partition(f"<{PARTS}>")
            assert name in ("get", "get_all")
            assert json.loads(arguments).keys() == {"name", "age", "tags"}
    assert any(gateway.last(n).finish == sampler_pb2.FINISH_STOP for n in range(1, 7))  # type: ignore[union-attr]
    assert len(mesh.compiler.requests) == 1  # the part was fetched once, the rest was linked


async def test_branches_say_what_a_choice_of_sequences_says(
    mesh: WorkerMesh, gateway: StreamClient, index: Index
) -> None:
    parts = [{"index_id": mesh.hold(index), "revision": 1}]
    branches = {
        "texts": ["get", "get_all"],
        "between": [{"special_token": PARTS}],
        "parts": [0, 0],
        "after": [{"text": "!"}],
    }
    names = [call(name, 0)["sequence"]["pieces"][1:] for name in branches["texts"]]
    choice = [{"sequence": {"pieces": [*pieces, {"text": "!"}]}} for pieces in names]
    for number, rest in ((1, {"branches": branches}), (2, {"choice": {"pieces": choice}})):
        one = {"sequence": {"pieces": [{"special_token": OPENS}, rest]}}
        shape = {"repeat": {"piece": one, "minimum": 1, "maximum": 2}}
        options = {"max_tokens": 600, "temperature": 1.5, "seed": 9}
        await gateway.open(number, mesh.lease(), constrained=True, sampling=options)
        envelope = {"shape": shape, "parts": parts}
        await gateway.send(bind={"sequence_id": number, "envelope": envelope})
        await gateway.wait_ended(number)
    assert spelled(gateway.frames[1]) == spelled(gateway.frames[2]) != ""
    for number, wrong in ((3, {"parts": [0]}), (4, {"texts": [], "parts": []})):
        shape = {"branches": {**branches, **wrong}}
        await decode(mesh, gateway, number, {"shape": shape, "parts": parts})
        assert isinstance(gateway.error(number), InvalidArgumentError)


async def test_text_up_to_a_marker_is_free_and_constrained_behind_it(
    mesh: WorkerMesh, gateway: StreamClient, index: Index
) -> None:
    part = {"index_id": mesh.hold(index), "revision": 1}
    pieces = [{"free_text": {"until": ["<call>"]}}, {"part": 0}]
    envelope = {"shape": {"sequence": {"pieces": pieces}}, "parts": [part]}
    for number in range(1, 4):
        await decode(mesh, gateway, number, envelope)
        _, marker, rest = gateway.text(number).partition("<call>")
        if marker and gateway.last(number).finish == sampler_pb2.FINISH_STOP:  # type: ignore[union-attr]
            assert json.loads(rest)


@pytest.mark.parametrize(
    ("envelope", "error"),
    [
        ({"shape": {"part": 0}, "parts": []}, InvalidArgumentError),
        ({"shape": {}, "parts": []}, InvalidArgumentError),
        ({"shape": {"special_token": 9999}, "parts": []}, InvalidArgumentError),
        (
            {"shape": {"part": 0}, "parts": [{"index_id": "f" * 64, "revision": 1}]},
            IndexNotFoundError,
        ),
    ],
)
async def test_an_envelope_that_makes_no_sense_fails_its_sequence_only(
    mesh: WorkerMesh, gateway: StreamClient, envelope: dict[str, Any], error: type[Exception]
) -> None:
    await decode(mesh, gateway, 1, envelope)
    assert isinstance(gateway.error(1), error)
    await decode(mesh, gateway, 2, {"shape": {"text": "done"}, "parts": []})
    assert gateway.text(2) == "done"
