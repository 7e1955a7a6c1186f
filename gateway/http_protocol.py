"""uvicorn's HTTP protocol with what it lacks: bounded heads, and a way to cut a connection."""

import asyncio
import socket
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.config import GatewayConfig

ABORT_EXTENSION = "formwork.abort"
_MAX_HEAD_BYTES = 64 * 1024
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """One connection: its request heads are bounded in size and time.

    The scope's extension `formwork.abort` drops the connection with what is still unsent.
    """

    header_seconds: ClassVar[float] = 20.0
    socket_send_bytes: ClassVar[int] = 64 * 1024
    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
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
        """Refuse a head that never ends."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

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

    def _await_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._in_head = True
        self._head_timer = self.loop.call_later(self.header_seconds, self.transport.close)

    def _end_head(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def protocol_for(config: GatewayConfig) -> type[BoundedProtocol]:
    """Return the protocol with the bounds of a configuration."""

    class ConfiguredProtocol(BoundedProtocol):
        header_seconds = config.header_seconds
        socket_send_bytes = config.socket_send_bytes

    return ConfiguredProtocol
