"""Writes what happened: in batches, in order, and with a durable answer where one is waited for.

One writer takes whatever has come while the last batch was written (group commit), so that a busy
scheduler makes few transactions and an idle one answers at once.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from mesh.clock import Clock
from mesh.errors import DatabaseUnavailableError, FormworkError, InternalError
from scheduler.records import Entry, LeaseRecord
from scheduler.store import LeaseStore

log = structlog.get_logger()

_FIRST_BACKOFF_SECONDS = 0.1
_RETRY_AFTER_SECONDS = 1.0


@dataclass(frozen=True)
class JournalLimits:
    """Bounds of writing."""

    retry_seconds: float
    """How long a batch is tried again while the database is away."""
    max_pending: int
    max_batch: int


@dataclass(eq=False)
class _Pending:
    entry: Entry
    done: asyncio.Future[bool] | None = field(default=None)


class Journal:
    """Takes entries and has them written by `run`.

    Args:
        store: Where to.
        clock: Time.
        limits: Bounds.
    """

    def __init__(self, store: LeaseStore, clock: Clock, limits: JournalLimits) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._pending: deque[_Pending] = deque()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def record(self, lease: LeaseRecord) -> None:
        """Have a lease's row written soon: it waits for a database that is away.

        Dropped when too many wait, which is bearable: the lease is signed, its holders carry it.
        """
        if len(self._pending) < self._limits.max_pending:
            self._add(_Pending(Entry(lease)))
        else:
            log.warning("lease_row_dropped", lease_id=lease.facts.lease_id)

    async def commit(self, entry: Entry) -> bool:
        """Return once the entry is durable: whether its usage row was new.

        A caller that is cancelled no longer hears of it; the entry is written all the same.

        Raises:
            DatabaseUnavailableError: Not written; says when to try again.
        """
        if len(self._pending) >= self._limits.max_pending:
            raise _unavailable()
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._add(_Pending(entry, done))
        return await done

    async def run(self) -> None:
        """Write until cancelled; who still waits then is told to try again."""
        try:
            while True:
                await self._work.wait()
                await self._write_batch(self._take_batch())
                if not self._pending:
                    self._work.clear()
                    self._idle.set()
        finally:
            _fail(self._pending, _unavailable())

    async def flush(self) -> None:
        """Return when nothing is left to write; needs `run`, and the database."""
        await self._idle.wait()

    def _add(self, pending: _Pending) -> None:
        self._pending.append(pending)
        self._idle.clear()
        self._work.set()

    async def _write_batch(self, batch: list[_Pending]) -> None:
        try:
            await self._write(batch)
        finally:
            _fail(batch, _unavailable())

    def _take_batch(self) -> list[_Pending]:
        size = min(len(self._pending), self._limits.max_batch)
        return [self._pending.popleft() for _ in range(size)]

    async def _write(self, batch: list[_Pending]) -> None:
        try:
            charged = await self._write_patiently([pending.entry for pending in batch])
        except DatabaseUnavailableError:
            log.warning("database_away", entries=len(batch))
            _fail(batch, _unavailable())
            self._put_back(batch)
        except Exception:  # the driver's errors are many; the writer outlives them
            log.exception("write_refused", entries=len(batch))
            await self._write_singly(batch)
        else:
            for pending, is_new in zip(batch, charged, strict=True):
                _resolve(pending, is_new=is_new)

    async def _write_singly(self, batch: list[_Pending]) -> None:
        """Find the entry that the database refuses, so that it fails alone."""
        if len(batch) == 1:
            lease_id = batch[0].entry.lease.facts.lease_id
            log.error("entry_refused", lease_id=lease_id)
            _fail(batch, InternalError("The ledger refused the entry."))
            return
        for pending in batch:
            await self._write([pending])

    def _put_back(self, batch: list[_Pending]) -> None:
        """Have the rows that nobody waits for written later, before what has come since."""
        rows = newest_leases([pending.entry for pending in batch if pending.done is None])
        room = self._limits.max_pending - len(self._pending)
        if len(rows) > room:
            log.warning("lease_rows_dropped", rows=len(rows) - room)
        self._pending.extendleft(_Pending(Entry(row)) for row in rows[:room])

    async def _write_patiently(self, entries: Sequence[Entry]) -> Sequence[bool]:
        deadline = self._clock.monotonic() + self._limits.retry_seconds
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            try:
                return await self._store.write(entries)
            except DatabaseUnavailableError:
                if self._clock.monotonic() + backoff > deadline:
                    raise
            await self._clock.sleep(backoff)
            backoff *= 2


def newest_leases(entries: Sequence[Entry]) -> Sequence[LeaseRecord]:
    """Return the last record of each lease, in the order of ids: one order for all writers.

    A final one is the last, whatever was recorded behind it: a worker's report may come while the
    gateway's word is being written.
    """
    newest: dict[str, LeaseRecord] = {}
    for entry in entries:
        known = newest.get(entry.lease.facts.lease_id)
        if known is None or not known.is_final:
            newest[entry.lease.facts.lease_id] = entry.lease
    return [newest[lease_id] for lease_id in sorted(newest)]


def _resolve(pending: _Pending, *, is_new: bool) -> None:
    if pending.done is not None and not pending.done.done():
        pending.done.set_result(is_new)


def _fail(batch: Iterable[_Pending], error: FormworkError) -> None:
    for pending in batch:
        if pending.done is not None and not pending.done.done():
            pending.done.set_exception(error)


def _unavailable() -> DatabaseUnavailableError:
    return DatabaseUnavailableError(
        "The ledger cannot be written now.", retry_after_seconds=_RETRY_AFTER_SECONDS
    )
