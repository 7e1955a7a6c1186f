"""The outermost layer: request id, headers, load bound, metrics, and one log event per request."""

import asyncio
import contextlib
from collections.abc import Iterable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.config import GatewayConfig
from gateway.errors import ErrorReply, OverloadedError, reply_of
from gateway.http_protocol import UNREAD_EXTENSION
from gateway.metrics import Metrics
from mesh.clock import Clock
from mesh.context import REQUEST_ID_KEY, TRACEPARENT_KEY, bind_request
from mesh.errors import DrainingError, FormworkError, InternalError

log = structlog.get_logger()

API_VERSION = "2020-10-01"
LOG_KEY = "formwork.log"
HELD_KEY = "formwork.held"
"""An exit stack in the scope: what a request holds until its last byte."""
_LIMITED = "/v1/"
_LINGER_SECONDS = 1.0


class Edge:
    """Wraps the application.

    Args:
        app: Answers requests; what it raises is rendered here.
        config: Bound of requests in flight.
        metrics: Counts requests.
        clock: Measures them.
    """

    def __init__(self, app: ASGIApp, config: GatewayConfig, metrics: Metrics, clock: Clock) -> None:
        self._app = app
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _headers_of(scope, (REQUEST_ID_KEY, TRACEPARENT_KEY))
        with bind_request(headers.get(REQUEST_ID_KEY), headers.get(TRACEPARENT_KEY)) as request_id:
            exchange = _Exchange(scope, receive, send, request_id, self._clock)
            await self._serve(exchange, receive)

    def _count(self, change: int) -> None:
        self._in_flight += change
        self._metrics.in_flight.inc(change)

    async def _serve(self, exchange: "_Exchange", receive: Receive) -> None:
        self._count(+1)
        exchange.in_flight.callback(self._count, -1)
        try:
            await self._answer(exchange, receive)
        except asyncio.CancelledError:
            await exchange.reply(DrainingError("The server is going away."))
            raise
        except FormworkError as error:
            await exchange.reply(error)
        except Exception:
            log.exception("request_crashed")
            await exchange.reply(InternalError("Internal error."))
        finally:
            exchange.in_flight.close()
            self._record(exchange)

    async def _answer(self, exchange: "_Exchange", receive: Receive) -> None:
        scope = exchange.scope
        if scope["path"].startswith(_LIMITED) and self._in_flight > self._config.max_in_flight:
            raise OverloadedError("Too many requests are in flight.", retry_after_seconds=1)
        with contextlib.ExitStack() as held:
            scope[HELD_KEY] = held
            await self._app(scope, receive, exchange.send)

    def _record(self, exchange: "_Exchange") -> None:
        route = getattr(exchange.scope.get("route"), "path", "other")
        seconds = exchange.seconds()
        self._metrics.requests.labels(route, str(exchange.status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        log.info(
            "request",
            method=exchange.scope["method"],
            route=route,
            status=exchange.status,
            duration_ms=round(seconds * 1000, 1),
            **exchange.scope[LOG_KEY],
        )


class _Exchange:
    """One request and its response: adds the headers that every response has.

    A connection on which a body was not read to its end is closed; a client that is still sending
    gets a moment to see the answer, and is not in flight any longer: it may have no key.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, request_id: str, clock: Clock
    ) -> None:
        self.in_flight = contextlib.ExitStack()
        """Closed when it counts as in flight no longer."""
        self._receive = receive
        self._unread = (scope.get("extensions") or {}).get(UNREAD_EXTENSION, lambda: False)
        self._closes = False
        self.scope = scope
        self.scope[LOG_KEY] = {}
        self.status = 0
        self._send = send
        self._request_id = request_id
        self._clock = clock
        self._started = clock.monotonic()

    def seconds(self) -> float:
        return self._clock.monotonic() - self._started

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._closes = self._unread()
            message["headers"] = [*message.get("headers", ()), *self._common()]
        elif self._closes and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            self.in_flight.close()
            await self._drop_body()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _drop_body(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while self._unread():
                    if (await self._receive())["type"] == "http.disconnect":
                        return

    async def reply(self, error: FormworkError) -> None:
        """Send an error, where nothing was sent yet."""
        self.scope[LOG_KEY]["reason"] = error.reason
        if self.status:
            return
        reply = reply_of(error)
        start = {"type": "http.response.start", "status": reply.status, "headers": _raw(reply)}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": reply.body, "more_body": False})

    def _common(self) -> list[tuple[bytes, bytes]]:
        milliseconds = int(self.seconds() * 1000)
        closing = [(b"connection", b"close")] if self._closes else []
        return [
            *closing,
            (b"x-request-id", self._request_id.encode()),
            (b"openai-processing-ms", str(milliseconds).encode()),
            (b"openai-version", API_VERSION.encode()),
        ]


def _raw(reply: ErrorReply) -> list[tuple[bytes, bytes]]:
    headers = {**reply.headers, "content-length": str(len(reply.body))}
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _headers_of(scope: Scope, names: Iterable[str]) -> dict[str, str]:
    wanted = {name.encode(): name for name in names}
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name in wanted:
            found.setdefault(wanted[name], value.decode("latin-1"))
    return found
