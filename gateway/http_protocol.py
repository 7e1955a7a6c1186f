"""uvicorn's HTTP protocol with what it lacks: bounds of what is not body, and a way to cut."""

import asyncio
import socket
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.config import GatewayConfig
from gateway.errors import HeadTooLargeError, RequestError, reply_of
from mesh.context import new_request_id
from mesh.errors import FormworkError

ABORT_EXTENSION = "formwork.abort"
UNREAD_EXTENSION = "formwork.unread"
_MAX_OTHER_BYTES = 64 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """One connection: its request heads are bounded in size and time, trailers are ignored.

    The scope's extension `formwork.abort` drops the connection with what is still unsent;
    `formwork.unread` tells whether some of the request's body has not arrived yet.
    """

    header_seconds: ClassVar[float] = 20.0
    socket_send_bytes: ClassVar[int] = 64 * 1024
    _head_timer: asyncio.TimerHandle | None = None
    _other_bytes = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Bound what the kernel buffers for a client that does not read."""
        super().connection_made(transport)
        accepted = transport.get_extra_info("socket")
        if accepted is not None:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.socket_send_bytes)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse what never becomes a request or a body: a head, a chunk's extension, trailers."""
        self._other_bytes += len(data)
        super().data_received(data)
        if self._other_bytes > _MAX_OTHER_BYTES and not self.transport.is_closing():
            message = f"At most {_MAX_OTHER_BYTES} bytes of a request may be other than its body."
            self._refuse(HeadTooLargeError(message))

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, as any other error looks."""
        self._refuse(RequestError(msg))

    def on_message_begin(self) -> None:
        """Start the time of a head, also on a connection that is used again."""
        super().on_message_begin()
        extensions: dict[str, Any] = {ABORT_EXTENSION: self.transport.abort}
        self.scope["extensions"] = extensions
        self._await_head()

    def on_headers_complete(self) -> None:
        """End the time of a head."""
        self._end_head()
        super().on_headers_complete()
        cycle = self.cycle
        self.scope["extensions"][UNREAD_EXTENSION] = lambda: cycle.more_body  # type: ignore[assignment] # ours

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers, which stand after the head, are nobody's."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Count anew."""
        self._other_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Count anew."""
        self._other_bytes = 0
        super().on_message_complete()

    def _refuse(self, error: FormworkError) -> None:
        """Close the connection, with an error where no answer has begun."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_write_reply(error))
        self.transport.close()

    def _await_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._in_head = True
        self._head_timer = self.loop.call_later(self.header_seconds, self.transport.close)

    def _end_head(self) -> None:
        self._in_head = False
        self._other_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _write_reply(error: FormworkError) -> bytes:
    reply = reply_of(error)
    headers = {
        **reply.headers,
        "content-length": str(len(reply.body)),
        "connection": "close",
        "x-request-id": new_request_id(),
    }
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + reply.body


def protocol_for(config: GatewayConfig) -> type[BoundedProtocol]:
    """Return the protocol with the bounds of a configuration."""

    class ConfiguredProtocol(BoundedProtocol):
        header_seconds = config.header_seconds
        socket_send_bytes = config.socket_send_bytes

    return ConfiguredProtocol
