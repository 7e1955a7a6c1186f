"""The contract, spoken over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from formwork.scheduler.v1 import scheduler_pb2 as pb
from formwork.scheduler.v1 import scheduler_pb2_grpc as rpc

from mesh.channels import Caller, open_channel
from mesh.config import MeshConfig
from mesh.errors import (
    InvalidArgumentError,
    LeaseInvalidError,
    LeaseSettledError,
    ModelUnknownError,
    NoWorkerError,
    QueueFullError,
    QueueTimeoutError,
    UnauthenticatedError,
)
from mesh.leases import peek_lease, sign_lease
from mesh.models import ModelEntry, ModelTable
from mesh.server import MeshServer
from scheduler.config import SchedulerConfig
from scheduler.records import Source
from scheduler.testing import SNAPSHOT, Desk
from scheduler.wiring import build_service

if TYPE_CHECKING:  # exists in the stubs only
    from formwork.scheduler.v1.scheduler_pb2_grpc import SchedulerServiceAsyncStub

KEY, TOKEN = b"k" * 32, "t" * 32
COUNTS = pb.TokenCounts(prompt_tokens=10, cached_prompt_tokens=2, completion_tokens=5)


@dataclass
class Line:
    """A caller connected to a scheduler."""

    desk: Desk
    stub: "SchedulerServiceAsyncStub"
    caller: Caller

    async def acquire(self, timeout_seconds: float = 10.0, **changes: object) -> pb.AcquireResponse:
        request = acquire_request(**changes)
        answer: pb.AcquireResponse = await self.caller.unary(
            self.stub.Acquire, request, timeout_seconds=timeout_seconds
        )
        return answer

    async def ask(self, name: str, request: object) -> object:
        return await self.caller.unary(getattr(self.stub, name), request, timeout_seconds=10.0)

    async def renew(self, *leases: pb.SignedLease, slots: int = 4) -> list[str]:
        request = renew_request(slots)
        for lease in leases:
            request.checkpoints.add(lease=lease, counts=COUNTS)
        answer = await self.ask("Renew", request)
        assert isinstance(answer, pb.RenewResponse)
        return list(answer.stop_lease_ids)

    async def settle(self, lease: pb.SignedLease) -> bool:
        request = pb.SettleRequest(lease=lease, counts=COUNTS, outcome=pb.OUTCOME_COMPLETED)
        answer = await self.ask("Settle", request)
        assert isinstance(answer, pb.SettleResponse)
        return answer.charged


def acquire_request(**changes: object) -> pb.AcquireRequest:
    fields = {
        "request_id": "req_1",
        "project_id": "proj_1",
        "key_id": "key_1",
        "snapshot": SNAPSHOT,
        "service_tier": pb.SERVICE_TIER_DEFAULT,
        "prompt_tokens": 10,
        "max_completion_tokens": 100,
        "choices": 1,
    }
    return pb.AcquireRequest(**(fields | changes))


def renew_request(slots: int) -> pb.RenewRequest:
    return pb.RenewRequest(
        worker_id="w-0",
        worker_address="127.0.0.1:7",
        snapshot=SNAPSHOT,
        state=pb.WORKER_STATE_READY,
        load=pb.Load(slots=slots, slots_used=1, waiting=2, tokens_per_second=3.5),
    )


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    desk = Desk(SchedulerConfig(queue_default=1, max_choices=8))
    await desk.open()
    models = ModelTable({SNAPSHOT: ModelEntry(tmp_path, "f" * 64)}, {})
    service = build_service(desk.scheduler, desk.config, models, KEY, desk.clock)
    mesh = MeshConfig(token_file=tmp_path / "token", drain_seconds=0)
    server = MeshServer(
        mesh,
        TOKEN,
        [pb.DESCRIPTOR.services_by_name["SchedulerService"]],
        lambda grpc: rpc.add_SchedulerServiceServicer_to_server(service, grpc),
    )
    port = await server.start("127.0.0.1:0")
    channel = open_channel(f"127.0.0.1:{port}", mesh)
    yield Line(desk, rpc.SchedulerServiceStub(channel), Caller(TOKEN))
    await channel.close()
    await server.stop()
    await desk.crash()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a real socket stands between
            await asyncio.sleep(0.01)


async def test_a_request_that_has_a_fallback_does_not_wait_for_a_worker(line: Line) -> None:
    with pytest.raises(NoWorkerError):
        await line.acquire(has_fallback=True)
    await line.renew()
    granted = await line.acquire(has_fallback=True)
    assert peek_lease(granted.lease).worker_id == "w-0"


async def test_a_lease_lives_from_acquire_to_settle(line: Line) -> None:
    await line.renew()
    granted = await line.acquire(choices=2, service_tier=pb.SERVICE_TIER_FLEX)
    lease = peek_lease(granted.lease)
    assert (lease.attempt, lease.worker_id, lease.snapshot) == (1, "w-0", SNAPSHOT)
    assert (lease.choices, lease.service_tier) == (2, pb.SERVICE_TIER_FLEX)
    assert (lease.prompt_tokens, lease.max_completion_tokens) == (10, 100)
    assert granted.worker_address == "127.0.0.1:7"
    assert granted.queued.ToNanoseconds() == 0
    assert await line.renew(granted.lease) == []
    assert await line.settle(granted.lease) is True
    assert await line.settle(granted.lease) is False
    assert await line.renew(granted.lease) == [lease.lease_id]
    (row,) = line.desk.store.usage.values()
    counts = row.claim.counts
    assert (counts.prompt_tokens, counts.cached_prompt_tokens, counts.completion_tokens) == (
        10,
        2,
        5,
    )
    assert (row.facts.project_id, row.facts.key_id, row.facts.request_id) == (
        "proj_1",
        "key_1",
        "req_1",
    )


async def test_retry_gives_the_next_attempt(line: Line) -> None:
    await line.renew()
    granted = await line.acquire()
    answer = await line.ask("Retry", pb.RetryRequest(lease=granted.lease))
    assert isinstance(answer, pb.RetryResponse)
    first, second = peek_lease(granted.lease), peek_lease(answer.lease)
    assert (second.lease_id, second.attempt) == (first.lease_id, 2)
    assert second.issued_at == first.issued_at
    assert await line.settle(answer.lease) is True
    with pytest.raises(LeaseSettledError):
        await line.ask("Retry", pb.RetryRequest(lease=answer.lease))


async def test_a_report_is_kept_with_its_events(line: Line) -> None:
    await line.renew()
    granted = await line.acquire()
    report = pb.ReportRequest(
        lease=granted.lease, counts=COUNTS, outcome=pb.OUTCOME_FAILED, served_by="cpu seeded"
    )
    for _ in range(20):
        report.events.add(type="sampler.mask_failed", attributes={"why": "x" * 1000, "nul": "a\0b"})
    await line.ask("Report", report)
    await line.ask("Report", report)
    ((key, row),) = line.desk.store.reports.items()
    assert key[1:] == (1, Source.WORKER)
    assert row.served_by == "cpu seeded"
    assert len(row.events) == 16
    assert row.events[0]["attributes"] == {"why": "x" * 256, "nul": "ab"}


async def test_release_gives_the_place_to_who_waits(line: Line) -> None:
    await line.renew(slots=1)
    granted = await line.acquire(choices=2)
    waiting = asyncio.create_task(line.acquire(choices=2))
    await until(lambda: line.desk.scheduler.admission.waiting()["default"] == 1)
    await line.ask("Release", pb.ReleaseRequest(lease=granted.lease))
    assert (await waiting).worker_address == "127.0.0.1:7"


async def test_a_caller_that_goes_away_leaves_the_queue(line: Line) -> None:
    await line.renew(slots=1)
    await line.acquire(choices=2)
    waiting = asyncio.create_task(line.acquire())
    await until(lambda: line.desk.scheduler.admission.waiting()["default"] == 1)
    waiting.cancel()
    await until(lambda: line.desk.scheduler.admission.waiting()["default"] == 0)


async def test_a_caller_hears_that_its_time_in_the_queue_is_over(line: Line) -> None:
    await line.renew(slots=1)
    await line.acquire(choices=2)
    waiting = asyncio.create_task(line.acquire(timeout_seconds=9.0))
    await until(lambda: line.desk.scheduler.admission.waiting()["default"] == 1)
    await line.desk.advance(2.9)
    for _ in range(3):  # the worker goes on renewing
        await line.renew(slots=1)
        await line.desk.advance(2.9)
    await line.renew(slots=1)
    with pytest.raises(QueueTimeoutError):
        await waiting


async def test_a_full_queue_says_when_to_try_again(line: Line) -> None:
    await line.renew(slots=1)
    await line.acquire(choices=2)
    waiting = asyncio.create_task(line.acquire())
    await until(lambda: line.desk.scheduler.admission.waiting()["default"] == 1)
    with pytest.raises(QueueFullError) as refused:
        await line.acquire()
    assert refused.value.retry_after_seconds is not None
    waiting.cancel()


async def test_without_a_worker_the_caller_is_told_after_a_while(line: Line) -> None:
    waiting = asyncio.create_task(line.acquire(timeout_seconds=60.0))
    await until(lambda: line.desk.scheduler.admission.waiting()["default"] == 1)
    await line.desk.advance(line.desk.config.no_worker_seconds)
    with pytest.raises(NoWorkerError):
        await waiting


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"choices": 0}, "choices"),
        ({"choices": 9}, "choices"),
        ({"project_id": ""}, "project_id"),
        ({"key_id": "a\0b"}, "key_id"),
        ({"request_id": "x" * 257}, "request_id"),
        ({"service_tier": 77}, "service_tier"),
    ],
)
async def test_a_malformed_request_is_refused_by_field(
    line: Line, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await line.acquire(**changes)
    assert refused.value.field == field


async def test_an_unknown_model_is_refused(line: Line) -> None:
    with pytest.raises(ModelUnknownError):
        await line.acquire(snapshot="no-such-model")


async def test_forged_leases_are_refused_and_cost_a_worker_no_heartbeat(line: Line) -> None:
    forged = sign_lease(b"another key", pb.Lease(lease_id="lease_forged", attempt=1))
    for name, request in (
        ("Settle", pb.SettleRequest(lease=forged, outcome=pb.OUTCOME_COMPLETED)),
        ("Retry", pb.RetryRequest(lease=forged)),
        ("Release", pb.ReleaseRequest(lease=forged)),
        ("Report", pb.ReportRequest(lease=forged, outcome=pb.OUTCOME_COMPLETED)),
    ):
        with pytest.raises(LeaseInvalidError):
            await line.ask(name, request)
    malformed = pb.SignedLease(lease=b"\xff")
    assert await line.renew(forged, malformed) == ["lease_forged"]
    assert (await line.acquire()).worker_address == "127.0.0.1:7"


async def test_counts_that_cannot_be_are_refused(line: Line) -> None:
    await line.renew()
    granted = await line.acquire()
    counts = pb.TokenCounts(prompt_tokens=1, cached_prompt_tokens=2)
    for request, field in (
        (
            pb.SettleRequest(lease=granted.lease, counts=counts, outcome=pb.OUTCOME_COMPLETED),
            "counts.cached_prompt_tokens",
        ),
        (pb.SettleRequest(lease=granted.lease, counts=COUNTS), "outcome"),
    ):
        with pytest.raises(InvalidArgumentError) as refused:
            await line.ask("Settle", request)
        assert refused.value.field == field
    assert await line.settle(granted.lease) is True


async def test_list_workers_shows_who_renews_and_who_waits(line: Line) -> None:
    await line.renew(slots=1)
    await line.acquire(choices=2)
    waiting = asyncio.create_task(line.acquire())
    await until(lambda: line.desk.scheduler.admission.waiting()["default"] == 1)
    answer = await line.ask("ListWorkers", pb.ListWorkersRequest())
    assert isinstance(answer, pb.ListWorkersResponse)
    (worker,) = answer.workers
    assert (worker.worker_id, worker.state) == ("w-0", pb.WORKER_STATE_READY)
    assert (worker.load.slots, worker.load.tokens_per_second) == (1, 3.5)
    assert dict(answer.queued) == {"priority": 0, "default": 1, "flex": 0, "batch": 0}
    waiting.cancel()
    await line.desk.advance(3.0)
    answer = await line.ask("ListWorkers", pb.ListWorkersRequest())
    assert isinstance(answer, pb.ListWorkersResponse)
    assert not answer.workers


async def test_nobody_speaks_without_the_mesh_token(line: Line) -> None:
    stranger = Caller("x" * 32)
    with pytest.raises(UnauthenticatedError):
        await stranger.unary(line.stub.ListWorkers, pb.ListWorkersRequest(), timeout_seconds=10.0)
