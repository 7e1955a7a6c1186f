"""SamplerService: unpacks calls for the streams, and tells about the worker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from formwork.sampler.v1 import sampler_pb2, sampler_pb2_grpc

from sampler_service.stream import DecodeStream
from sampler_service.streams import Streams


class SamplerServicer(sampler_pb2_grpc.SamplerServiceServicer):
    """The gRPC face of a worker.

    Args:
        find_streams: Returns the worker's streams; raises while it is not ready.
        drain: Starts draining.
        describe: Returns the worker's status.
    """

    def __init__(
        self,
        find_streams: Callable[[], Streams],
        drain: Callable[[], None],
        describe: Callable[[], sampler_pb2.GetStatusResponse],
    ) -> None:
        self._find_streams = find_streams
        self._drain = drain
        self._describe = describe

    async def Decode(  # noqa: N802 - the contract's name
        self,
        request_iterator: AsyncIterator[sampler_pb2.DecodeRequest],
        context: Any,  # noqa: ANN401, ARG002 - grpc ships no types; not needed
    ) -> AsyncIterator[sampler_pb2.DecodeResponse]:
        """Carry one gateway's sequences."""
        streams = self._find_streams()
        stream = streams.open()
        reading = asyncio.create_task(_read(request_iterator, stream))
        try:
            async for response in stream.responses():
                yield response
        finally:
            reading.cancel()
            streams.close(stream)

    async def Drain(  # noqa: N802 - the contract's name
        self,
        request: sampler_pb2.DrainRequest,  # noqa: ARG002 - empty
        context: Any,  # noqa: ANN401, ARG002 - grpc ships no types; not needed
    ) -> sampler_pb2.DrainResponse:
        """Let live sequences end, refuse new ones."""
        self._drain()
        return sampler_pb2.DrainResponse()

    async def GetStatus(  # noqa: N802 - the contract's name
        self,
        request: sampler_pb2.GetStatusRequest,  # noqa: ARG002 - empty
        context: Any,  # noqa: ANN401, ARG002 - grpc ships no types; not needed
    ) -> sampler_pb2.GetStatusResponse:
        """Say what the worker serves and how loaded it is."""
        return self._describe()


async def _read(requests: AsyncIterator[sampler_pb2.DecodeRequest], stream: DecodeStream) -> None:
    """Hand messages on until the caller sends no more."""
    try:
        async for request in requests:
            stream.handle(request)
    finally:
        stream.half_close()
