"""What is written, when, and who hears of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from mesh.errors import DatabaseUnavailableError, InternalError
from mesh.ids import WorkerId
from mesh.testing import FakeClock
from scheduler.journal import Journal, JournalLimits
from scheduler.leases import Patience, grant
from scheduler.records import Claim, Counts, Entry, LeaseRecord, Outcome, Place, Source, UsageRow
from scheduler.testing import FakeLeaseStore, make_facts

LIMITS = JournalLimits(retry_seconds=3, max_pending=5, max_batch=3)
PATIENCE = Patience(*(timedelta(seconds=10),) * 4)


class PickyStore(FakeLeaseStore):
    """Refuses one lease, as a database refuses a value; counts batches."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = ""
        self.batches: list[int] = []

    async def write(self, entries: Sequence[Entry]) -> Sequence[bool]:
        self.batches.append(len(entries))
        if any(entry.lease.facts.lease_id == self.refused for entry in entries):
            raise ValueError("cannot be stored")
        return await super().write(entries)


class Office:
    """A journal that runs."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = PickyStore()
        self.journal = Journal(self.store, self.clock, LIMITS)
        self.writer = asyncio.create_task(self.journal.run())

    async def close(self) -> None:
        self.writer.cancel()
        await asyncio.gather(self.writer, return_exceptions=True)


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office()
    yield office
    await office.close()


def new_lease() -> LeaseRecord:
    now = FakeClock().now()
    return grant(make_facts(), Place(WorkerId("w-0"), "a:1"), now, PATIENCE)


def charge(lease: LeaseRecord) -> Entry:
    claim = Claim(1, Counts(1, 0, 1), Outcome.COMPLETED, Source.GATEWAY)
    return Entry(lease, usage=UsageRow(lease.facts, claim, FakeClock().now()))


async def test_what_comes_together_is_written_together_within_the_batch(office: Office) -> None:
    answers = await asyncio.gather(*(office.journal.commit(charge(new_lease())) for _ in range(5)))
    assert answers == [True] * 5
    assert office.store.batches == [3, 2]


async def test_an_entry_that_the_database_refuses_fails_alone(office: Office) -> None:
    good, bad, other = new_lease(), new_lease(), new_lease()
    office.store.refused = bad.facts.lease_id
    answers = await asyncio.gather(
        *(office.journal.commit(charge(lease)) for lease in (good, bad, other)),
        return_exceptions=True,
    )
    assert [answers[0], answers[2]] == [True, True]
    assert isinstance(answers[1], InternalError)
    assert await office.journal.commit(charge(new_lease())) is True


async def test_a_caller_that_left_does_not_hold_up_the_writer(office: Office) -> None:
    left = new_lease()
    office.store.is_away = True
    task = asyncio.create_task(office.journal.commit(charge(left)))
    await office.clock.advance(1)
    task.cancel()
    office.store.is_away = False
    await office.clock.advance(2)
    assert left.facts.lease_id in office.store.usage


async def test_too_many_pending_entries_are_refused_with_a_time_to_try_again(
    office: Office,
) -> None:
    office.store.is_away = True
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(office.journal.commit(charge(new_lease()))) for _ in range(9)]
    await office.clock.advance(0.5)
    with pytest.raises(DatabaseUnavailableError) as refused:
        await office.journal.commit(charge(new_lease()))
    assert refused.value.retry_after_seconds == 1.0
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_rows_beyond_what_may_wait_are_dropped_the_oldest_are_kept(office: Office) -> None:
    office.store.is_away = True
    leases = [new_lease() for _ in range(12)]
    for lease in leases:
        office.journal.record(lease)
    await office.clock.advance(10)
    office.store.is_away = False
    await office.clock.advance(10)
    assert set(office.store.leases) == {lease.facts.lease_id for lease in leases[:5]}


async def test_flush_returns_when_nothing_is_left(office: Office) -> None:
    await office.journal.flush()
    for _ in range(4):
        office.journal.record(new_lease())
    await office.journal.flush()
    assert len(office.store.leases) == 4


async def test_who_waits_is_told_when_the_writer_ends(office: Office) -> None:
    office.store.is_away = True
    waiting = asyncio.create_task(office.journal.commit(charge(new_lease())))
    await office.clock.advance(0.5)
    await office.close()
    with pytest.raises(DatabaseUnavailableError):
        await waiting
