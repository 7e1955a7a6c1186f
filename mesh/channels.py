"""Calling another service: token, context and deadline on every call, named errors back."""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio
from grpc_status import rpc_status

from mesh.config import MeshConfig
from mesh.context import request_metadata
from mesh.errors import (
    DeadlineExceededError,
    FormworkError,
    InternalError,
    ServiceUnavailableError,
    UnauthenticatedError,
    from_status,
)
from mesh.interceptors import AUTHORIZATION_KEY

Response = TypeVar("Response")

_OF_CODE: dict[grpc.StatusCode, type[FormworkError]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.UNAVAILABLE: ServiceUnavailableError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
}


def open_channel(address: str, config: MeshConfig) -> grpc.aio.Channel:
    """Return a channel that notices a dead peer within seconds and reconnects at most 1 s later."""
    return grpc.aio.insecure_channel(
        address,
        options=[
            ("grpc.max_receive_message_length", config.max_message_bytes),
            ("grpc.max_send_message_length", config.max_message_bytes),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 5_000),
            ("grpc.use_local_subchannel_pool", 1),
        ],
    )


class Caller:
    """Makes calls in the current context.

    Args:
        token: The mesh token.
    """

    def __init__(self, token: str) -> None:
        self._credentials = (AUTHORIZATION_KEY, f"Bearer {token}")

    def metadata(self) -> grpc.aio.Metadata:
        """Return what a call carries: for streams, which are opened without `unary`."""
        return grpc.aio.Metadata(self._credentials, *request_metadata())

    async def unary(
        self,
        method: Callable[..., Any],
        request: object,
        *,
        timeout_seconds: float,
        wait_for_ready: bool = False,
    ) -> Any:  # noqa: ANN401 - the method's response
        """Return the answer of a unary call.

        Args:
            method: A stub's method.
            request: Its request.
            timeout_seconds: Deadline of the whole call.
            wait_for_ready: Wait for a peer that is not up yet, within the deadline.

        Raises:
            FormworkError: As the server raised it, or why it could not be reached.
        """
        try:
            return await method(
                request,
                timeout=timeout_seconds,
                metadata=self.metadata(),
                wait_for_ready=wait_for_ready,
            )
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error) from error

    async def stream(
        self, method: Callable[..., Any], request: object, *, timeout_seconds: float
    ) -> AsyncIterator[Any]:
        """Yield the answers of a server-streaming call; raises as `unary` does."""
        try:
            async for response in method(
                request, timeout=timeout_seconds, metadata=self.metadata()
            ):
                yield response
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error) from error


def error_of_call(error: grpc.aio.AioRpcError) -> FormworkError:
    """Return the named error that a failed call stands for."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # has all it reads
    if status is not None and status.details:
        return from_status(status)
    kind = _OF_CODE.get(error.code(), InternalError)
    return kind(error.details() or error.code().name, metadata={"code": error.code().name})
