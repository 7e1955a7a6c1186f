"""Fetching the bytes of indexes from the compiler: those asked for together come in one call."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from formwork.compiler.v1.compiler_pb2 import (
    FetchIndexesRequest,
    FetchIndexesResponse,
    FetchIndexRequest,
)
from google.rpc.status_pb2 import Status

from mesh.batches import cut_into_batches
from mesh.channels import Caller
from mesh.errors import (
    FormworkError,
    InternalError,
    LimitExceededError,
    ServiceUnavailableError,
    from_status,
)
from sampler_service.config import SamplerConfig

log = structlog.get_logger()

# Of one call; of grammars, where there are any.
_CALL_INDEXES = 128
_CALL_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True)
class IndexName:
    """An index as a Bind names it; `grammar` is empty where the compiler has persisted it.

    `data` are its bytes, where they came with the name: then nothing is fetched.
    """

    index_id: str
    revision: int
    grammar: bytes = b""
    data: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True)
class Fetched:
    """The bytes of an index, at the revision that the compiler had."""

    data: bytes
    revision: int


@dataclass
class _Wanted:
    """One index of a call: what has come of it, and who waits."""

    name: IndexName
    done: asyncio.Future[Fetched]
    data: bytearray = field(default_factory=bytearray)
    revision: int = 0
    total: int = 0


class IndexFetcher:
    """Fetches each index that it is asked for.

    What is asked for in one turn of the event loop comes in one call.

    Args:
        fetch_method: The compiler stub's FetchIndexes.
        caller: Makes the calls.
        config: Bounds and deadlines.
    """

    def __init__(
        self, fetch_method: Callable[..., object], caller: Caller, config: SamplerConfig
    ) -> None:
        self._fetch_method = fetch_method
        self._caller = caller
        self._config = config
        self._asked: list[_Wanted] = []
        self._calls: set[asyncio.Task[None]] = set()

    async def fetch(self, name: IndexName) -> Fetched:
        """Return the bytes of an index.

        A call ends when nobody waits for any of its indexes.

        Raises:
            LimitExceededError: It has more bytes than the worker takes.
            FormworkError: As the compiler says it.
        """
        wanted = _Wanted(name, asyncio.get_running_loop().create_future())
        self._asked.append(wanted)
        if len(self._asked) == 1:
            self._start()
        return await wanted.done

    async def close(self) -> None:
        """Cancel what is being fetched."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    def _start(self) -> None:
        """Have what is asked for in this turn of the event loop called for in the next."""
        task = asyncio.create_task(self._call_for_asked())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _call_for_asked(self) -> None:
        asked, self._asked = self._asked, []
        calls = cut_into_batches(
            asked,
            lambda one: len(one.name.grammar),
            most_size=_CALL_BYTES,
            most_items=_CALL_INDEXES,
        )
        await asyncio.gather(*map(self._call, calls))

    async def _call(self, wanted: Sequence[_Wanted]) -> None:
        reading = asyncio.create_task(self._read(wanted))
        settled = asyncio.gather(*(one.done for one in wanted), return_exceptions=True)
        ends: tuple[asyncio.Future[Any], ...] = (reading, settled)
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()  # no effect where it is done
            await asyncio.wait({reading})
            for one in wanted:
                _fail(one, _why_broken_off(reading))

    async def _read(self, wanted: Sequence[_Wanted]) -> None:
        request = FetchIndexesRequest(requests=[_to_request(one.name) for one in wanted])
        try:
            async for response in self._caller.stream(
                self._fetch_method, request, timeout_seconds=self._config.index_attempt_seconds
            ):
                self._take(wanted[response.number], response)
        except FormworkError as error:
            for one in wanted:
                _fail(one, error)

    def _take(self, one: _Wanted, response: FetchIndexesResponse) -> None:
        """Add a message to the index that it is of, unless that is settled."""
        if one.done.done():
            return
        if response.WhichOneof("kind") == "status":
            _fail(one, from_status(Status.FromString(response.status)))
            return
        if not one.data:
            one.total, one.revision = response.part.total_bytes, response.part.revision
        one.data += response.part.chunk
        size = max(one.total, len(one.data))
        if size > self._config.max_index_bytes:
            _fail(one, _too_large(size, self._config.max_index_bytes))
        elif len(one.data) == one.total:
            one.done.set_result(Fetched(bytes(one.data), one.revision))


def _to_request(name: IndexName) -> FetchIndexRequest:
    return FetchIndexRequest(
        index_id=name.index_id, revision=name.revision, canonical_grammar=name.grammar
    )


def _why_broken_off(reading: asyncio.Task[None]) -> FormworkError:
    fault = None if reading.cancelled() else reading.exception()
    if fault is None:
        return ServiceUnavailableError("The compiler's answer broke off.")
    log.error("answer_not_understood", exc_info=fault)
    return InternalError("The compiler's answer makes no sense.")


def _fail(one: _Wanted, error: FormworkError) -> None:
    if not one.done.done():
        one.done.set_exception(error)


def _too_large(size: int, maximum: int) -> LimitExceededError:
    return LimitExceededError(
        f"The index has {size} bytes.",
        metadata={"limit": "max_index_bytes", "maximum": str(maximum), "value": str(size)},
    )
