"""Reports are sent until acknowledged; heartbeats notice a scheduler that is gone."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from formwork.scheduler.v1 import scheduler_pb2
from formwork.scheduler.v1.scheduler_pb2 import Lease, ReportRequest, SignedLease

from mesh.channels import Caller
from mesh.errors import FormworkError, LeaseInvalidError, ServiceUnavailableError
from mesh.testing import FakeClock
from sampler_service.heartbeat import Heartbeat, HeartbeatActions, HeartbeatTimes
from sampler_service.reports import Reporter
from sampler_service.spool import Spool


class DirectCaller(Caller):
    """Calls a method without a network."""

    async def unary(  # type: ignore[override] # what the callers use of it
        self, method: object, request: object, *, timeout_seconds: float
    ) -> object:
        del timeout_seconds
        return method(request)  # type: ignore[operator] # a method of the test's


class Scheduler:
    """Acknowledges reports and heartbeats, except with what `faults` has for each."""

    def __init__(self) -> None:
        self.reports: list[str] = []
        self.faults: list[FormworkError | None] = []
        self.stop: list[str] = []

    def report(self, request: ReportRequest) -> scheduler_pb2.ReportResponse:
        self._fault()
        self.reports.append(Lease.FromString(request.lease.lease).lease_id)
        return scheduler_pb2.ReportResponse()

    def renew(self, _request: scheduler_pb2.RenewRequest) -> scheduler_pb2.RenewResponse:
        self._fault()
        return scheduler_pb2.RenewResponse(stop_lease_ids=self.stop)

    def _fault(self) -> None:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault


def report(number: int) -> ReportRequest:
    lease = Lease(lease_id=f"l{number}").SerializeToString()
    return ReportRequest(lease=SignedLease(lease=lease))


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path, "w1", 10)
    yield spool
    spool.close()


@asynccontextmanager
async def reporting(
    spool: Spool, scheduler: Scheduler, clock: FakeClock
) -> AsyncIterator[Reporter]:
    reporter = Reporter(spool, scheduler.report, DirectCaller("t" * 32), clock, 1.0)
    task = asyncio.create_task(reporter.run())
    yield reporter
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def advance_until_settled(reporter: Reporter, clock: FakeClock) -> None:
    settled = asyncio.create_task(reporter.wait_settled())
    async with asyncio.timeout(10):
        while not settled.done():
            await clock.advance(0.1)
            await asyncio.sleep(0)


async def test_what_an_earlier_worker_left_is_sent_first(spool: Spool) -> None:
    spool.put(report(1))
    scheduler, clock = Scheduler(), FakeClock()
    async with reporting(spool, scheduler, clock) as reporter:
        await advance_until_settled(reporter, clock)
        assert scheduler.reports == ["l1"]
        reporter.record([report(2)])
        await advance_until_settled(reporter, clock)
    assert scheduler.reports == ["l1", "l2"]
    assert len(spool) == 0


async def test_a_report_is_sent_until_it_is_acknowledged(spool: Spool) -> None:
    scheduler, clock = Scheduler(), FakeClock()
    scheduler.faults = [ServiceUnavailableError("away")] * 3
    async with reporting(spool, scheduler, clock) as reporter:
        reporter.record([report(1), report(2)])
        await advance_until_settled(reporter, clock)
    assert sorted(scheduler.reports) == ["l1", "l2"]
    assert len(spool) == 0


async def test_a_report_that_is_refused_is_not_sent_for_ever(spool: Spool) -> None:
    scheduler, clock = Scheduler(), FakeClock()
    scheduler.faults = [LeaseInvalidError("forged")]
    async with reporting(spool, scheduler, clock) as reporter:
        reporter.record([report(1), report(2)])
        await advance_until_settled(reporter, clock)
    assert scheduler.reports == ["l2"]


async def test_a_disk_that_fails_for_a_while_loses_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, faults = spool.put, [OSError("no space left")] * 2

    def failing(one: ReportRequest) -> str:
        if faults:
            raise faults.pop()
        return put(one)

    monkeypatch.setattr(spool, "put", failing)
    scheduler, clock = Scheduler(), FakeClock()
    async with reporting(spool, scheduler, clock) as reporter:
        reporter.record([report(1), report(2)])
        await advance_until_settled(reporter, clock)
    assert sorted(scheduler.reports) == ["l1", "l2"]


class TestHeartbeat:
    """Lost after so many seconds, back with the first answer."""

    async def test_it_tells_when_the_scheduler_is_lost_and_when_it_is_back(self) -> None:
        scheduler, clock = Scheduler(), FakeClock()
        told: list[object] = []
        heartbeat = Heartbeat(
            scheduler.renew,
            DirectCaller("t" * 32),
            HeartbeatActions(scheduler_pb2.RenewRequest, told.append, told.append),
            clock,
            HeartbeatTimes(1.0, 1.0, 30.0),
        )
        await heartbeat.beat()
        scheduler.faults = [ServiceUnavailableError("away")] * 3
        for _ in range(2):
            await clock.advance(29.0)
            await heartbeat.beat()
        assert told == [True]
        await heartbeat.beat()
        await heartbeat.beat()
        assert told == [True, False]

    async def test_it_hands_on_which_leases_to_stop(self) -> None:
        scheduler, clock = Scheduler(), FakeClock()
        scheduler.stop = ["l1", "l2"]
        stopped: list[set[str]] = []
        heartbeat = Heartbeat(
            scheduler.renew,
            DirectCaller("t" * 32),
            HeartbeatActions(scheduler_pb2.RenewRequest, stopped.append, lambda _: None),
            clock,
            HeartbeatTimes(1.0, 1.0, 30.0),
        )
        await heartbeat.beat()
        assert stopped == [{"l1", "l2"}]
