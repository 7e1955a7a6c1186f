"""Reads a request's body, bounded in size and time."""

import asyncio
from collections.abc import Mapping

from starlette.types import Receive

from gateway.config import GatewayConfig
from gateway.errors import BodyTimeoutError, BodyTooLargeError, RequestError

# A body not much too large is read to its end and dropped, so that the client, still sending, gets
# to see the answer; beyond that the connection is closed on it.
_DROPPED_TIMES = 4


class ClientGoneError(Exception):
    """The client has closed its connection; nobody reads an answer."""


async def read_body(receive: Receive, headers: Mapping[str, str], config: GatewayConfig) -> bytes:
    """Return the whole body of a request.

    Raises:
        BodyTooLargeError: More than `max_body_bytes`.
        BodyTimeoutError: It took longer than `body_seconds`.
        RequestError: Compressed, or its length is not a number.
        ClientGoneError: The client left.
    """
    if headers.get("content-encoding", "identity") != "identity":
        raise RequestError("A compressed body is not supported.", None, "unsupported_encoding")
    announced = headers.get("content-length", "0")
    if not announced.isdigit():
        raise RequestError("The Content-Length header is not a number.")
    if int(announced) > _DROPPED_TIMES * config.max_body_bytes:
        raise _too_large(config)
    try:
        async with asyncio.timeout(config.body_seconds):
            return await _read(receive, config)
    except TimeoutError as error:
        raise BodyTimeoutError(
            f"The request body took longer than {config.body_seconds:g} seconds."
        ) from error


async def _read(receive: Receive, config: GatewayConfig) -> bytes:
    body = bytearray()
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        size += len(message.get("body", b""))
        if size <= config.max_body_bytes:
            body += message.get("body", b"")
        elif size > _DROPPED_TIMES * config.max_body_bytes:
            raise _too_large(config)
        if not message.get("more_body", False):
            break
    if size > config.max_body_bytes:
        raise _too_large(config)
    return bytes(body)


def _too_large(config: GatewayConfig) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"The request body is too large: at most {config.max_body_bytes} bytes are read.",
        metadata={"limit": "max_body_bytes", "maximum": str(config.max_body_bytes)},
    )
