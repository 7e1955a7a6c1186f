"""A service that the gateway calls: one channel, one stub, and patience with a short restart."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import grpc.aio

from mesh.channels import Caller
from mesh.errors import ServiceUnavailableError

Stub = TypeVar("Stub")


class Peer(Generic[Stub]):
    """Calls one service of the mesh.

    Args:
        channel: To its address.
        make_stub: Its stub's class.
        caller: Adds token, context and deadline.
        reconnect_seconds: How long a call waits, once, for a peer that is away.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        make_stub: Callable[[grpc.aio.Channel], Stub],
        caller: Caller,
        reconnect_seconds: float,
    ) -> None:
        self.channel = channel
        self.stub = make_stub(channel)
        self._caller = caller
        self._reconnect_seconds = reconnect_seconds

    async def call(
        self,
        method: Callable[..., Any],
        request: object,
        *,
        timeout_seconds: float,
    ) -> Any:  # noqa: ANN401 - the method's response
        """Return the answer of a unary call, tried a second time where the peer was away.

        Raises:
            FormworkError: As the peer raised it, or ServiceUnavailableError.
        """
        try:
            return await self._caller.unary(method, request, timeout_seconds=timeout_seconds)
        except ServiceUnavailableError:
            await self._wait_until_ready()
            return await self._caller.unary(method, request, timeout_seconds=timeout_seconds)

    async def _wait_until_ready(self) -> None:
        try:
            await asyncio.wait_for(self.channel.channel_ready(), self._reconnect_seconds)
        except TimeoutError as error:
            raise ServiceUnavailableError("A service of the mesh does not answer.") from error
