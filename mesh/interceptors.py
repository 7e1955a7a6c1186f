"""The server's edge, around every handler: token, context, errors and a log line on failure."""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
import structlog
from google.rpc import status_pb2
from grpc_status import rpc_status

from mesh.context import REQUEST_ID_KEY, TRACEPARENT_KEY, bind_request, read_metadata
from mesh.errors import FormworkError, InternalError, UnauthenticatedError, to_status

AUTHORIZATION_KEY = "authorization"
_OPEN_TO_ALL = ("/grpc.health.v1.Health/",)

log = structlog.get_logger()


class MeshInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg] # not generic at run time
    """Refuses calls without the mesh token, binds their context, and translates errors.

    Health checks are open: probes carry no metadata.

    Args:
        token: The mesh token.
    """

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    async def intercept_service(
        self,
        continuation: Callable[[Any], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401 - an RpcMethodHandler, which grpc does not type
        """Return the method's handler, guarded."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_OPEN_TO_ALL):
            return handler
        metadata = read_metadata(handler_call_details.invocation_metadata)
        admitted = self._admits(metadata.get(AUTHORIZATION_KEY, ""))
        return _guarded(
            handler,
            method,
            metadata.get(REQUEST_ID_KEY),
            metadata.get(TRACEPARENT_KEY),
            admitted=admitted,
        )

    def _admits(self, credentials: str) -> bool:
        return hmac.compare_digest(credentials.encode(), self._expected)


@contextmanager
def _edge(
    method: str, request_id: str | None, traceparent: str | None, *, admitted: bool
) -> Iterator[None]:
    """Bind the context of one call and turn what it raises into an `_Ended` with a status."""
    with bind_request(request_id, traceparent):
        try:
            _require_token(admitted=admitted)
            yield
        except FormworkError as error:
            log.info("call_failed", method=method, reason=error.reason, message=error.message)
            raise _EndedError(to_status(error)) from error
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            log.exception("call_crashed", method=method)
            raise _EndedError(to_status(InternalError("Internal error."))) from error


def _require_token(*, admitted: bool) -> None:
    if not admitted:
        raise UnauthenticatedError("The call carries no valid mesh token.")


class _EndedError(Exception):
    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = rpc_status.to_status(status)


def _guarded(
    handler: Any,  # noqa: ANN401 - an RpcMethodHandler
    method: str,
    request_id: str | None,
    traceparent: str | None,
    *,
    admitted: bool,
) -> Any:  # noqa: ANN401 - an RpcMethodHandler
    async def respond(request: Any, context: Any) -> Any:  # noqa: ANN401 - messages
        behaviour = handler.unary_unary or handler.stream_unary
        try:
            with _edge(method, request_id, traceparent, admitted=admitted):
                return await behaviour(request, context)
        except _EndedError as ended:
            await context.abort_with_status(ended.status)

    async def stream(request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages
        behaviour = handler.unary_stream or handler.stream_stream
        try:
            with _edge(method, request_id, traceparent, admitted=admitted):
                async for response in behaviour(request, context):
                    yield response
        except _EndedError as ended:
            await context.abort_with_status(ended.status)

    make, behaviour = {
        (False, False): (grpc.unary_unary_rpc_method_handler, respond),
        (True, False): (grpc.stream_unary_rpc_method_handler, respond),
        (False, True): (grpc.unary_stream_rpc_method_handler, stream),
        (True, True): (grpc.stream_stream_rpc_method_handler, stream),
    }[handler.request_streaming, handler.response_streaming]
    return make(behaviour, handler.request_deserializer, handler.response_serializer)
