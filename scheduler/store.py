"""What the scheduler needs of a database."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from scheduler.records import Entry, LeaseFacts, LeaseRecord


class LeaseStore(Protocol):
    """Leases, reports and the usage ledger, durable.

    Every method raises DatabaseUnavailableError while the database does not answer.
    """

    async def write(self, entries: Sequence[Entry]) -> Sequence[bool]:
        """Write entries in one transaction; return for each whether its usage row was new.

        A lease has one usage row and each (lease, attempt, source) one report: what is there stays.
        A lease's row never leaves a final state and never goes back to an older attempt.
        """

    async def find(self, leases: Sequence[LeaseFacts]) -> Sequence[LeaseRecord]:
        """Return what is known of these leases; those without a row are left out."""

    async def find_live(self) -> Sequence[LeaseRecord]:
        """Return the leases that were not closed, with their reports."""

    async def ensure_partitions(self, today: date) -> None:
        """Have partitions ready for today and the days to come."""

    async def close(self) -> None:
        """Close every connection."""
