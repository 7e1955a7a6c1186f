"""The leases in memory and the leases in the database, kept in step."""

from mesh.clock import Clock
from scheduler import leases
from scheduler.book import LeaseBook
from scheduler.journal import Journal
from scheduler.records import (
    Claim,
    Entry,
    HeldLease,
    LeaseRecord,
    LeaseState,
    ReportRow,
    Source,
    UsageRow,
)
from scheduler.store import LeaseStore


class Ledger:
    """Remembers, recalls and charges leases.

    Args:
        book: The leases in memory.
        journal: Writes to the store.
        store: The database, for what memory does not hold.
        clock: Time.
    """

    def __init__(self, book: LeaseBook, journal: Journal, store: LeaseStore, clock: Clock) -> None:
        self.book = book
        self._journal = journal
        self._store = store
        self._clock = clock
        self._has_restored = False

    def put(self, record: LeaseRecord) -> LeaseRecord:
        """Keep a record in memory; return it."""
        return self.book.put(record, self._clock.now())

    def put_down(self, record: LeaseRecord) -> LeaseRecord:
        """Keep a record in memory and have it written soon; return it."""
        self._journal.record(record)
        return self.put(record)

    async def recall(self, held: HeldLease) -> LeaseRecord:
        """Return what is known of a signed lease, asking the database where memory may know less.

        Raises:
            DatabaseUnavailableError: It had to be asked and does not answer.
        """
        lease_id = held.facts.lease_id
        if not self.book.is_checked(lease_id):
            stored = await self._store.find([held.facts])
            self.remember(held)
            self.book.check([lease_id], stored, self._clock.now())
        return self.put(leases.catch_up(self.book.get(lease_id), held))

    def remember(self, held: HeldLease) -> LeaseRecord:
        """Return what memory knows of a signed lease, which it learns where it knows nothing."""
        now = self._clock.now()
        known = self.book.find(held.facts.lease_id)
        return known or self.book.adopt(leases.adopt(held, None, now), now)

    async def record_report(self, record: LeaseRecord, row: ReportRow) -> None:
        """Return once a claim is durable, charged or not.

        Raises:
            DatabaseUnavailableError: It is not; says when to try again.
        """
        await self._journal.commit(Entry(record, reports=(row,)))

    async def charge(self, record: LeaseRecord, state: LeaseState, claim: Claim) -> bool:
        """Return once a lease is closed and charged, durably: whether by this call.

        Raises:
            DatabaseUnavailableError: It is not; says when to try again.
        """
        now = self._clock.now()
        facts = record.facts
        said_now = claim.source is Source.GATEWAY
        is_new = await self._journal.commit(
            Entry(
                leases.close(record, state),
                reports=(ReportRow(facts, claim, now),) if said_now else (),
                usage=UsageRow(facts, claim, now),
            )
        )
        self.put(leases.close(self.book.find(facts.lease_id) or record, state))
        return is_new

    async def catch_up(self) -> None:
        """Compare memory with the database: all live leases once, then those that holders showed.

        Raises:
            DatabaseUnavailableError: It does not answer; nothing is lost by asking again.
        """
        if not self._has_restored:
            self.book.check((), await self._store.find_live(), self._clock.now())
            self._has_restored = True
        unchecked = [record.facts for record in self.book.unchecked()]
        if unchecked:
            stored = await self._store.find(unchecked)
            ids = [facts.lease_id for facts in unchecked]
            self.book.check(ids, stored, self._clock.now())
