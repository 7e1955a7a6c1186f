"""Every lease in memory, and what the live ones take of each worker."""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mesh.errors import InternalError
from mesh.ids import LeaseId, ProjectId
from scheduler.leases import merge
from scheduler.records import LIVE_STATES, LeaseRecord, Place


class LeaseBook:
    """Leases by id; the capacity they hold follows from their records and from nothing else.

    Args:
        memory: How long a lease that is closed stays.
        maximum_closed: Most closed leases that stay.
    """

    def __init__(self, memory: timedelta, maximum_closed: int = 100_000) -> None:
        self._memory = memory
        self._maximum_closed = maximum_closed
        self._records: dict[LeaseId, LeaseRecord] = {}
        self._open: dict[LeaseId, None] = {}
        self._closed: OrderedDict[LeaseId, datetime] = OrderedDict()
        self._held: dict[Place, Counter[ProjectId]] = {}
        self._unchecked: set[LeaseId] = set()

    def put(self, record: LeaseRecord, now: datetime) -> LeaseRecord:
        """Keep a record in the place of the one before; return it."""
        lease_id = record.facts.lease_id
        self._count(self._records.get(lease_id), -1)
        self._records[lease_id] = record
        self._count(record, +1)
        self._open.pop(lease_id, None)
        self._closed.pop(lease_id, None)
        if _is_open(record):
            self._open[lease_id] = None
        else:
            self._closed[lease_id] = now
        return record

    def find(self, lease_id: LeaseId) -> LeaseRecord | None:
        """Return a lease, where it is remembered."""
        return self._records.get(lease_id)

    def get(self, lease_id: LeaseId) -> LeaseRecord:
        """Return a lease that has to be here."""
        record = self._records.get(lease_id)
        if record is None:
            raise InternalError("A lease is missing from the book.")
        return record

    def live(self) -> Sequence[LeaseRecord]:
        """Return the leases that are not closed."""
        return [self._records[lease_id] for lease_id in self._open]

    def held(self, place: Place) -> int:
        """Return how many sequences count on a worker."""
        return sum(self.held_by_project(place).values())

    def held_by_project(self, place: Place) -> Mapping[ProjectId, int]:
        """Return how many sequences of each project count on a worker."""
        return self._held.get(place, {})

    def adopt(self, record: LeaseRecord, now: datetime) -> LeaseRecord:
        """Keep a lease learnt from its holder, of which the database may know more."""
        self._unchecked.add(record.facts.lease_id)
        return self.put(record, now)

    def is_checked(self, lease_id: LeaseId) -> bool:
        """Return whether the database has been asked about a lease where that was needed."""
        return lease_id in self._records and lease_id not in self._unchecked

    def unchecked(self) -> Sequence[LeaseRecord]:
        """Return the adopted leases that still have to be compared with the database."""
        return [self._records[lease_id] for lease_id in self._unchecked]

    def check(self, asked: Iterable[LeaseId], stored: Iterable[LeaseRecord], now: datetime) -> None:
        """Take what the database knows of the leases it was asked about.

        Args:
            asked: Ids it was asked about; one that it has no row of is new to it.
            stored: The rows it has.
            now: Counts as a sign of life of leases that only the database knows.
        """
        for row in stored:
            lease_id = row.facts.lease_id
            known = self._records.get(lease_id)
            self.put(merge(known, row) if known else replace(row, seen_at=now), now)
        self._unchecked.difference_update(asked)

    def forget_closed(self, now: datetime) -> None:
        """Drop the leases that were closed long ago, and the oldest of too many."""
        while self._closed:
            lease_id, closed_at = next(iter(self._closed.items()))
            if now - closed_at < self._memory and len(self._closed) <= self._maximum_closed:
                return
            del self._closed[lease_id]
            del self._records[lease_id]
            self._unchecked.discard(lease_id)

    def _count(self, record: LeaseRecord | None, sign: int) -> None:
        if record is None or record.place is None or not record.holds_capacity:
            return
        held = self._held.setdefault(record.place, Counter())
        held[record.facts.project_id] += sign * record.facts.choices
        if not held[record.facts.project_id]:
            del held[record.facts.project_id]
        if not held:
            del self._held[record.place]


def _is_open(record: LeaseRecord) -> bool:
    waits_for_ledger = record.settlement is not None and not record.is_final
    return record.state in LIVE_STATES or waits_for_ledger
