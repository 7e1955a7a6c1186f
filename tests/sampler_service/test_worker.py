"""A worker over real gRPC, with doubles of the compiler and the scheduler."""

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from formwork.sampler.v1 import sampler_pb2
from formwork.sampler.v1.sampler_pb2_grpc import SamplerServiceStub
from formwork.scheduler.v1 import scheduler_pb2
from formwork_engine.index import Index

from mesh.channels import Caller
from mesh.config import Settings
from mesh.errors import (
    DeadlineExceededError,
    DrainingError,
    FormworkError,
    IndexNotFoundError,
    InternalError,
    InvalidArgumentError,
    LeaseInvalidError,
    LimitExceededError,
    ServiceUnavailableError,
    TokenizerUnknownError,
)
from sampler_service.testing import StreamClient, eventually
from sampler_service.testing_mesh import TOKEN, RunningWorker, WorkerMesh
from sampler_service.worker import Worker, WorkerArguments


async def test_a_worker_says_ready_once_it_can_decode(
    mesh: WorkerMesh, running: RunningWorker
) -> None:
    last = mesh.scheduler.renewals[-1]
    assert last.state == scheduler_pb2.WORKER_STATE_READY
    assert (last.worker_id, last.worker_address) == ("w1", running.address)
    assert last.load.slots == 4
    status = await Caller(TOKEN).unary(
        SamplerServiceStub(running.channel).GetStatus,
        sampler_pb2.GetStatusRequest(),
        timeout_seconds=5,
    )
    assert (status.device_class, status.determinism) == ("cpu/float32", "seeded")
    assert status.state == scheduler_pb2.WORKER_STATE_READY


async def test_text_streams_until_the_limit_and_the_lease_is_reported(
    mesh: WorkerMesh, gateway: StreamClient
) -> None:
    lease = mesh.lease(lease_id="l1")
    await gateway.open(1, lease, sampling={"max_tokens": 12})
    await gateway.wait_ended(1)
    last = gateway.last(1)
    assert last is not None
    assert last.finish in (sampler_pb2.FINISH_LENGTH, sampler_pb2.FINISH_STOP)
    assert last.timings.decode > 0
    assert gateway.tokens(1) <= 12
    await eventually(lambda: ("l1", 1) in mesh.scheduler.reports)
    report = mesh.scheduler.reports["l1", 1]
    assert report.outcome == scheduler_pb2.OUTCOME_COMPLETED
    assert report.counts.completion_tokens == gateway.tokens(1)
    assert report.counts.prompt_tokens == 34
    assert report.served_by == "cpu/float32 seeded"


async def test_a_constrained_answer_fits_its_schema_and_waits_for_its_index(
    mesh: WorkerMesh, gateway: StreamClient, index: Index
) -> None:
    index_id = mesh.hold(index)
    await gateway.open(1, mesh.lease(), constrained=True, sampling={"max_tokens": 200})
    await gateway.open(2, mesh.lease(), sampling={"max_tokens": 3, "logit_bias": {2: -100}})
    await gateway.wait_ended(2)  # the one that waits holds nobody up
    assert 1 not in gateway.frames
    await gateway.send(bind={"sequence_id": 1, "index_id": index_id, "revision": 1})
    await gateway.wait_ended(1)
    last = gateway.last(1)
    assert last is not None
    assert last.finish == sampler_pb2.FINISH_STOP
    assert json.loads(gateway.text(1)).keys() == {"name", "age", "tags"}
    assert last.timings.index_wait > 0
    assert last.timings.forced_tokens > 0


async def test_one_response_carries_all_sequences_of_a_step(
    mesh: WorkerMesh, gateway: StreamClient
) -> None:
    for number in (1, 2, 3):
        await gateway.open(
            number, mesh.lease(), sampling={"max_tokens": 20, "logit_bias": {2: -100}}
        )
    await gateway.wait_ended(1, 2, 3)
    frames = sum(len(frames) for frames in gateway.frames.values())
    assert gateway.responses < frames


async def test_equal_seeds_give_equal_text_alone_and_in_company(
    mesh: WorkerMesh, gateway: StreamClient
) -> None:
    hot = {"max_tokens": 24, "temperature": 1.5}
    await gateway.open(1, mesh.lease(), sampling={"seed": 77, **hot})
    await gateway.wait_ended(1)
    for number in range(2, 8):
        seed = 77 if number == 5 else number
        await gateway.open(number, mesh.lease(), sampling={"seed": seed, **hot})
    await gateway.wait_ended(*range(2, 8))
    assert gateway.text(5) == gateway.text(1)
    assert len({gateway.text(number) for number in range(2, 8)}) > 1


async def test_two_fetches_of_one_index_are_one(
    mesh: WorkerMesh, gateway: StreamClient, index: Index
) -> None:
    index_id = mesh.hold(index)
    mesh.compiler.gate.clear()
    for number in (1, 2, 3):
        await gateway.open(number, mesh.lease(), constrained=True, sampling={"max_tokens": 100})
        await gateway.send(bind={"sequence_id": number, "index_id": index_id, "revision": 1})
    await eventually(lambda: bool(mesh.compiler.requests))
    mesh.compiler.gate.set()
    await gateway.wait_ended(1, 2, 3)
    assert len(mesh.compiler.requests) == 1


async def test_a_compiler_that_was_away_is_asked_again(
    mesh: WorkerMesh, gateway: StreamClient, index: Index
) -> None:
    index_id = mesh.hold(index)
    mesh.compiler.failures = 3
    await gateway.open(1, mesh.lease(), constrained=True, sampling={"max_tokens": 200})
    await gateway.send(bind={"sequence_id": 1, "index_id": index_id, "revision": 1})
    await gateway.wait_ended(1)
    assert json.loads(gateway.text(1))
    assert len(mesh.compiler.requests) == 4


async def test_an_unknown_or_damaged_index_fails_its_sequence_only(
    mesh: WorkerMesh, gateway: StreamClient, index: Index
) -> None:
    mesh.compiler.indexes["b" * 64] = (1, index.dump()[:-3] + b"xyz")
    await gateway.open(1, mesh.lease(), constrained=True)
    await gateway.send(bind={"sequence_id": 1, "index_id": "a" * 64, "revision": 1})
    await gateway.open(2, mesh.lease(), constrained=True)
    await gateway.send(bind={"sequence_id": 2, "index_id": "b" * 64, "revision": 1})
    await gateway.open(3, mesh.lease())
    await gateway.wait_ended(1, 2, 3)
    assert isinstance(gateway.error(1), IndexNotFoundError)
    assert isinstance(gateway.error(2), InternalError)
    assert gateway.frames[3][-1].finish


async def test_an_abort_frees_the_slot_and_is_reported_as_cancelled(
    mesh: WorkerMesh, gateway: StreamClient
) -> None:
    endless = {"max_tokens": 400, "logit_bias": {2: -100}}
    for number in range(1, 5):
        await gateway.open(number, mesh.lease(lease_id=f"l{number}"), sampling=endless)
    await gateway.open(5, mesh.lease(), sampling={"max_tokens": 2, "logit_bias": {2: -100}})
    await gateway.wait_until(lambda: gateway.tokens(1) > 2)
    assert 5 not in gateway.frames  # all four slots are taken
    await gateway.send(abort={"sequence_id": 1})
    await gateway.wait_ended(1, 5)
    assert gateway.frames[1][-1].finish == sampler_pb2.FINISH_ABORTED
    await eventually(lambda: ("l1", 1) in mesh.scheduler.reports)
    report = mesh.scheduler.reports["l1", 1]
    assert report.outcome == scheduler_pb2.OUTCOME_CANCELLED
    assert report.counts.completion_tokens == gateway.tokens(1)


async def test_a_paused_sequence_makes_no_tokens_and_frees_its_slot_for_others(
    mesh: WorkerMesh, gateway: StreamClient
) -> None:
    endless = {"max_tokens": 400, "logit_bias": {2: -100}}
    for number in range(1, 5):
        await gateway.open(number, mesh.lease(), sampling=endless)
    await gateway.wait_until(lambda: all(gateway.tokens(n) > 2 for n in range(1, 5)))
    for number in range(1, 5):
        await gateway.send(pause={"sequence_id": number})
    await gateway.open(5, mesh.lease(), sampling={"max_tokens": 30, "logit_bias": {2: -100}})
    await gateway.open(6, mesh.lease(), sampling={"max_tokens": 30, "logit_bias": {2: -100}})
    await gateway.open(7, mesh.lease(), sampling={"max_tokens": 30, "logit_bias": {2: -100}})
    await gateway.wait_ended(5, 6, 7)
    before = [gateway.tokens(number) for number in range(1, 5)]
    assert max(before) < 400
    await gateway.open(8, mesh.lease(), sampling={"max_tokens": 30, "logit_bias": {2: -100}})
    await gateway.wait_ended(8)
    assert [gateway.tokens(number) for number in range(1, 5)] == before
    for number in range(1, 5):
        await gateway.send(resume={"sequence_id": number})
    await gateway.wait_ended(1, 2, 3, 4)
    assert [gateway.tokens(number) for number in range(1, 5)] == [400] * 4


async def test_a_lost_stream_ends_its_sequences_and_reports_them(
    mesh: WorkerMesh, running: RunningWorker
) -> None:
    gateway = running.connect()
    lease = mesh.lease(lease_id="l1", choices=2)
    await gateway.open(1, lease, sampling={"max_tokens": 400, "logit_bias": {2: -100}})
    await gateway.wait_until(lambda: gateway.tokens(1) > 0)
    await gateway.close()
    await eventually(lambda: ("l1", 1) in mesh.scheduler.reports)
    report = mesh.scheduler.reports["l1", 1]
    assert report.outcome == scheduler_pb2.OUTCOME_CANCELLED
    assert 0 < report.counts.completion_tokens < 400
    await eventually(lambda: mesh.scheduler.renewals[-1].load.slots_used == 0)


async def test_a_caller_that_only_stops_sending_gets_its_answers(
    mesh: WorkerMesh, running: RunningWorker
) -> None:
    gateway = running.connect()
    await gateway.open(1, mesh.lease())
    await gateway.call.done_writing()
    await gateway.wait_ended(1)
    await gateway.wait_closed()
    assert gateway.failure is None


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"prompt_tokens": []}, InvalidArgumentError, "prompt_tokens"),
        ({"prompt_tokens": [6] * 512}, LimitExceededError, "prompt_tokens"),
        ({"prompt_tokens": [6, 100_000]}, InvalidArgumentError, "prompt_tokens"),
        ({"sampling": {"temperature": float("nan")}}, InvalidArgumentError, "temperature"),
        ({"sampling": {"temperature": -1}}, InvalidArgumentError, "temperature"),
        ({"sampling": {"top_p": 1.5}}, InvalidArgumentError, "top_p"),
        ({"sampling": {"max_tokens": 0}}, InvalidArgumentError, "max_tokens"),
        ({"sampling": {"presence_penalty": float("inf")}}, InvalidArgumentError, "presence"),
        ({"sampling": {"logit_bias": {1: float("inf")}}}, InvalidArgumentError, "logit_bias"),
        ({"sampling": {"logit_bias": {99_999: 1.0}}}, InvalidArgumentError, "logit_bias"),
        ({"sampling": {"logprobs": True, "top_logprobs": 21}}, InvalidArgumentError, "top_log"),
        ({"sampling": {"stop": ["x"] * 17}}, InvalidArgumentError, "stop"),
        ({"sampling": {"stop": [""]}}, InvalidArgumentError, "stop"),
        ({"sampling": {"stop": ["x"]}, "constrained": True}, InvalidArgumentError, "stop"),
        ({"choice": 1}, LeaseInvalidError, None),
    ],
)
async def test_a_bad_open_fails_its_sequence_only(
    mesh: WorkerMesh,
    gateway: StreamClient,
    changes: dict[str, Any],
    error: type[FormworkError],
    field: str | None,
) -> None:
    await gateway.open(1, mesh.lease(), **changes)
    await gateway.open(2, mesh.lease())
    await gateway.wait_ended(1, 2)
    assert type(gateway.error(1)) is error
    assert field is None or field in str(gateway.error(1).field)
    assert gateway.frames[2][-1].finish


async def test_messages_out_of_order_fail_their_sequence_only(
    mesh: WorkerMesh, gateway: StreamClient
) -> None:
    await gateway.send(abort={"sequence_id": 90})
    await gateway.send(pause={"sequence_id": 91})
    await gateway.send(resume={"sequence_id": 92})
    await gateway.send(bind={"sequence_id": 93, "index_id": "a"})
    await gateway.send()
    await gateway.open(1, mesh.lease(), sampling={"max_tokens": 400, "logit_bias": {2: -100}})
    await gateway.open(1, mesh.lease())
    await gateway.open(2, mesh.lease())
    await gateway.send(bind={"sequence_id": 2, "index_id": "a"})
    await gateway.open(3, mesh.lease())
    await gateway.wait_ended(1, 3, 93)
    assert isinstance(gateway.error(1), InvalidArgumentError)  # opened twice
    assert isinstance(gateway.error(93), InvalidArgumentError)
    assert gateway.frames[3][-1].finish
    assert not {90, 91, 92} & set(gateway.frames)


async def test_leases_that_are_forged_expired_foreign_or_used_up_open_nothing(
    mesh: WorkerMesh, gateway: StreamClient
) -> None:
    forged = mesh.lease()
    forged.signature = b"0" * 32
    expired = mesh.lease(expires_at={"seconds": 1})
    used = mesh.lease()
    await gateway.open(1, forged)
    await gateway.open(2, expired)
    await gateway.open(3, mesh.lease(worker_id="w2"))
    await gateway.open(4, mesh.lease(snapshot="other"))
    await gateway.open(5, used)
    await gateway.wait_ended(1, 2, 3, 4, 5)
    await gateway.open(6, used)
    await gateway.wait_ended(6)
    for number in (1, 2, 3, 4, 6):
        assert isinstance(gateway.error(number), LeaseInvalidError)
    assert gateway.frames[5][-1].finish


async def test_choices_share_a_lease_and_are_reported_once(
    mesh: WorkerMesh, gateway: StreamClient
) -> None:
    lease = mesh.lease(lease_id="l1", choices=3)
    prompt = [6 + number % 90 for number in range(150)]
    for choice in range(3):
        await gateway.open(choice + 1, lease, choice=choice, prompt_tokens=prompt, cache_salt="s")
    await gateway.wait_ended(1, 2, 3)
    await eventually(lambda: ("l1", 1) in mesh.scheduler.reports)
    counts = mesh.scheduler.reports["l1", 1].counts
    assert counts.prompt_tokens == 150
    assert counts.cached_prompt_tokens == 0  # of the first; the others reused its blocks
    assert counts.completion_tokens == sum(gateway.tokens(number) for number in (1, 2, 3))
    assert gateway.frames[2][0].cached_prompt_tokens == 128


async def test_a_deadline_ends_a_sequence(mesh: WorkerMesh, gateway: StreamClient) -> None:
    await gateway.open(1, mesh.lease(), constrained=True, deadline={"seconds": 1})
    await gateway.wait_ended(1)
    assert isinstance(gateway.error(1), DeadlineExceededError)


async def test_the_scheduler_can_stop_a_lease(mesh: WorkerMesh, gateway: StreamClient) -> None:
    await gateway.open(1, mesh.lease(lease_id="l1"), constrained=True)
    await eventually(lambda: bool(mesh.scheduler.renewals[-1].checkpoints))
    mesh.scheduler.stop_lease_ids = ["l1"]
    await gateway.wait_ended(1)
    assert isinstance(gateway.error(1), ServiceUnavailableError)


async def test_renewals_carry_checkpoints_of_live_leases(
    mesh: WorkerMesh, gateway: StreamClient
) -> None:
    await gateway.open(
        1, mesh.lease(lease_id="l1"), sampling={"max_tokens": 400, "logit_bias": {2: -100}}
    )
    await eventually(
        lambda: any(
            checkpoint.counts.completion_tokens > 0
            for renewal in mesh.scheduler.renewals
            for checkpoint in renewal.checkpoints
        )
    )
    await gateway.wait_ended(1)
    await eventually(lambda: not mesh.scheduler.renewals[-1].checkpoints)


@pytest.mark.parametrize("sampler_options", [{"lost_scheduler_seconds": 0.2}])
async def test_a_worker_without_its_scheduler_stops_and_takes_up_again(
    mesh: WorkerMesh, gateway: StreamClient
) -> None:
    await gateway.open(1, mesh.lease(lease_id="l1"), constrained=True)
    mesh.scheduler.away = True
    await gateway.wait_ended(1)
    assert isinstance(gateway.error(1), ServiceUnavailableError)
    await gateway.open(2, mesh.lease())
    await gateway.wait_ended(2)
    assert isinstance(gateway.error(2), ServiceUnavailableError)
    mesh.scheduler.renewals.clear()
    mesh.scheduler.away = False
    await eventually(lambda: ("l1", 1) in mesh.scheduler.reports)
    await eventually(lambda: len(mesh.scheduler.renewals) > 1)
    await gateway.open(3, mesh.lease())
    await gateway.wait_ended(3)
    assert gateway.frames[3][-1].finish


@pytest.mark.parametrize("sampler_options", [{"max_stream_sequences": 2}])
async def test_a_stream_has_a_bounded_number_of_sequences(
    mesh: WorkerMesh, gateway: StreamClient
) -> None:
    for number in (1, 2, 3):
        await gateway.open(number, mesh.lease(), constrained=True)
    await gateway.wait_ended(3)
    assert isinstance(gateway.error(3), LimitExceededError)


async def test_draining_lets_live_sequences_end_and_refuses_new_ones(
    mesh: WorkerMesh, running: RunningWorker, gateway: StreamClient
) -> None:
    await gateway.open(
        1, mesh.lease(lease_id="l1"), sampling={"max_tokens": 300, "logit_bias": {2: -100}}
    )
    await gateway.wait_until(lambda: gateway.tokens(1) > 0)
    draining = asyncio.create_task(running.worker.drain())
    await eventually(
        lambda: mesh.scheduler.renewals[-1].state == scheduler_pb2.WORKER_STATE_DRAINING
    )
    await gateway.open(2, mesh.lease())
    await gateway.wait_ended(1, 2)
    assert isinstance(gateway.error(2), DrainingError)
    assert gateway.tokens(1) == 300
    await draining
    await running.worker.stop()
    assert ("l1", 1) in mesh.scheduler.reports
    await gateway.wait_closed()
    assert gateway.failure is not None
    assert gateway.failure.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_stream_without_the_mesh_token_is_refused(running: RunningWorker) -> None:
    stranger = StreamClient(running.channel, "x" * 64)
    await stranger.wait_closed()
    assert stranger.failure is not None
    assert stranger.failure.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_worker_refuses_a_tokenizer_that_the_model_table_does_not_name(
    mesh: WorkerMesh, tmp_path: Path
) -> None:
    models = {"small-1": dict(mesh.settings.table("models")["small-1"])}
    models["small-1"]["tokenizer_fingerprint"] = "0" * 64
    document = {
        "mesh": mesh.settings.table("mesh"),
        "models": models,
        "sampler": mesh.settings.table("sampler"),
    }
    worker = Worker(Settings(document, {}, tmp_path), WorkerArguments("w1", "small-1"))
    with pytest.raises(TokenizerUnknownError):
        await worker.start()
    await worker.wait()
