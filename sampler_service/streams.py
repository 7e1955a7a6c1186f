"""All streams of a worker."""

import asyncio
from collections import defaultdict

from mesh.errors import DrainingError, FormworkError
from sampler_service.outputs import Output
from sampler_service.stream import DecodeStream, StreamServices


class Streams:
    """All streams of a worker; hands each what the thread made for it.

    Args:
        services: Shared by the streams.
    """

    def __init__(self, services: StreamServices) -> None:
        self._services = services
        self._streams: dict[int, DecodeStream] = {}
        self._opened = 0
        self._changed = asyncio.Event()
        self.draining = False
        self.refusal: FormworkError | None = None
        """Why nothing new is taken, other than draining."""

    @property
    def live(self) -> int:
        """Sequences that have not ended, over all streams."""
        return sum(stream.live for stream in self._streams.values())

    def open(self) -> DecodeStream:
        """Return a new stream."""
        self._opened += 1
        stream = DecodeStream(self._opened, self._services, self._find_refusal)
        self._streams[stream.number] = stream
        return stream

    def close(self, stream: DecodeStream) -> None:
        """Abort what lives on a stream, and forget it."""
        if self._streams.pop(stream.number, None) is not None:
            stream.close()
            self._changed.set()

    async def wait_idle(self) -> None:
        """Return when no sequence is live."""
        while self.live:
            self._changed.clear()
            await self._changed.wait()

    def lose_all(self, error: FormworkError) -> None:
        """End every stream with an error."""
        for stream in list(self._streams.values()):
            stream.lose(error)

    def deliver(self, outputs: list[Output]) -> None:
        """Hand the outputs of a step to their streams, and count them to their leases."""
        of_stream: dict[int, list[Output]] = defaultdict(list)
        for output in outputs:
            self._services.accounts.record(output)
            of_stream[output.key.stream].append(output)
        for number, own in of_stream.items():
            stream = self._streams.get(number)
            if stream is not None:
                stream.deliver(own)
        self._changed.set()

    def _find_refusal(self) -> FormworkError | None:
        if self.draining:
            return DrainingError("The worker is going away.", retry_after_seconds=1.0)
        return self.refusal
