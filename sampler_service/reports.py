"""Reports to the scheduler: kept on disk until it has acknowledged them."""

import asyncio
from collections.abc import Callable, Iterable

import structlog
from formwork.scheduler.v1.scheduler_pb2 import ReportRequest

from mesh.channels import Caller
from mesh.clock import Clock
from mesh.errors import FormworkError, InvalidArgumentError
from sampler_service.spool import Spool

log = structlog.get_logger()

_FIRST_WAIT = 0.2
_LONGEST_WAIT = 5.0


class Reporter:
    """Spools reports and sends them until each is acknowledged.

    Args:
        spool: Keeps them.
        report_method: The scheduler stub's Report.
        caller: Makes the calls.
        clock: Between two tries.
        timeout_seconds: Deadline of one call.
    """

    def __init__(
        self,
        spool: Spool,
        report_method: Callable[..., object],
        caller: Caller,
        clock: Clock,
        timeout_seconds: float,
    ) -> None:
        self._spool = spool
        self._report_method = report_method
        self._caller = caller
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._new: list[ReportRequest] = []
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._wake.set()  # whatever an earlier worker has left

    def record(self, reports: Iterable[ReportRequest]) -> None:
        """Take reports of leases that are over."""
        self._new.extend(reports)
        del self._new[: -self._spool.max_reports]
        if self._new:
            self._settled.clear()
            self._wake.set()

    async def wait_settled(self) -> None:
        """Return when everything is acknowledged."""
        await self._settled.wait()

    async def run(self) -> None:
        """Spool and send, until cancelled."""
        wait = _FIRST_WAIT
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.keep()
            if await self._send_pending():
                wait = _FIRST_WAIT
                if not self._new:
                    self._settled.set()
                continue
            await self._clock.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
            self._wake.set()

    async def keep(self) -> None:
        """Write what is new to disk; a report that cannot be written is tried again."""
        new, self._new = self._new, []
        for place, report in enumerate(new):
            try:
                await asyncio.to_thread(self._spool.put, report)
            except OSError as error:
                log.warning("spool_failed", cause=str(error))
                self._new = new[place:] + self._new
                return

    async def _send_pending(self) -> bool:
        """Send what is on disk; return whether nothing is left."""
        whole = not self._new
        for name, report in list(self._spool.pending()):
            try:
                await self._send(report)
            except FormworkError as error:
                log.info("report_failed", reason=error.reason, message=error.message)
                whole = False
                continue
            await asyncio.to_thread(self._spool.remove, name)
        return whole

    async def _send(self, report: ReportRequest) -> None:
        try:
            await self._caller.unary(
                self._report_method, report, timeout_seconds=self._timeout_seconds
            )
        except InvalidArgumentError as error:
            # trying again would not help: say so once, and let it go
            log.warning("report_refused", reason=error.reason, message=error.message)
