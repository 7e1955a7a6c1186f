"""Sends a generation as server-sent events, at the pace of its reader, and not for ever."""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.body import ClientGoneError
from gateway.chunks import write_chunks
from gateway.config import GatewayConfig
from gateway.disconnects import while_connected
from gateway.errors import SlowClientError, event_of
from gateway.generation import Generation
from gateway.http_protocol import ABORT_EXTENSION
from mesh.errors import DeadlineExceededError, DrainingError, FormworkError

log = structlog.get_logger()

_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # proxies such as nginx pass events on at once
}


class EventStream(Response):
    """The streamed answer of a generation, which it closes however it ends.

    Args:
        generation: Begun, not yet read.
        config: How slow a client may be.
        remaining: Seconds that the request has left.
        note: Told how the stream ended, for the request's log event.
    """

    def __init__(
        self,
        generation: Generation,
        config: GatewayConfig,
        remaining: float,
        note: Callable[[str], None],
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._generation = generation
        self._config = config
        self._remaining = remaining
        self._note = note
        self._ended_as = "cancelled"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; returns when the last one was taken, or the client has left."""
        pace = _Pace(scope, send, self._config.slow_client_seconds)
        try:
            await while_connected(self._send_all(pace), receive)
        except ClientGoneError:
            log.info("client_gone")
        except SlowClientError as error:
            self._generation.metrics.slow_clients.inc()
            self._ended_as = error.reason
        except asyncio.CancelledError:  # the server does not wait any longer
            await self._end_with(DrainingError("The server is going away."), pace)
            raise
        finally:
            self._generation.close()
            self._note(self._ended_as)

    async def _send_all(self, pace: "_Pace") -> None:
        await pace.send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self._generation.is_promised = True
        try:
            async with asyncio.timeout(self._remaining):
                async for event in write_chunks(self._generation):
                    await pace.send_body(event)
            self._ended_as = "completed"
        except SlowClientError:
            raise
        except (FormworkError, TimeoutError) as error:
            await self._end_with(_named(error), pace)
        await pace.send_body(b"", is_last=True)

    async def _end_with(self, error: FormworkError, pace: "_Pace") -> None:
        self._ended_as = error.reason
        self._generation.fail()
        log.info("stream_failed", reason=error.reason, message=error.message)
        await pace.send_body(event_of(error))


class _Pace:
    """Sends messages, each within the time that a client may take to make room for it."""

    def __init__(self, scope: Scope, send: Send, seconds: float) -> None:
        self._abort = (scope.get("extensions") or {}).get(ABORT_EXTENSION)
        self._send = send
        self._seconds = seconds

    async def send(self, message: MutableMapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._send(message)
        except TimeoutError as error:
            if self._abort is not None:
                self._abort()  # closing politely would wait for the client
                await asyncio.sleep(0)  # lets the server notice
            raise SlowClientError(
                f"The client took nothing for {self._seconds:g} seconds."
            ) from error

    async def send_body(self, body: bytes, *, is_last: bool = False) -> None:
        message = {"type": "http.response.body", "body": body, "more_body": not is_last}
        await self.send(message)


def _named(error: FormworkError | TimeoutError) -> FormworkError:
    if isinstance(error, FormworkError):
        return error
    return DeadlineExceededError("The request took too long.")
