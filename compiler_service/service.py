"""The gRPC face: unpack, call, pack."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from formwork.compiler.v1 import compiler_pb2 as pb
from formwork.compiler.v1 import compiler_pb2_grpc
from formwork_engine import (
    ENGINE_VERSION,
    AnyJson,
    GrammarInput,
    IndexOptions,
    JsonSchema,
    Lark,
    PropertyOrder,
    Regex,
    Spellings,
    Whitespace,
)

from compiler_service.canonical import CanonicalGrammar
from compiler_service.compile_race import Obtained, Source
from compiler_service.config import CompilerConfig
from compiler_service.flow import IndexFlow
from compiler_service.index_store import StoredIndex
from compiler_service.intake import AskedGrammar, Dialect, read_grammar
from compiler_service.metrics import Metrics
from mesh.errors import FormworkError, InvalidArgumentError, LimitExceededError, to_status
from mesh.ids import Fingerprint, IndexId, ProjectId
from mesh.models import ModelTable
from mesh.tasks import each_when_done

# Reading more text than this takes longer than a hop to a thread.
_INLINE_CHARACTERS = 16 * 1024
_MOST_REQUESTS = 256

_DIALECTS = {pb.DIALECT_STRICT: Dialect.STRICT, pb.DIALECT_EXTENDED: Dialect.EXTENDED}
_WHITESPACE = {
    pb.WHITESPACE_COMPACT: Whitespace.COMPACT,
    pb.WHITESPACE_BOUNDED: Whitespace.BOUNDED,
}
_ORDERS = {
    pb.PROPERTY_ORDER_SCHEMA: PropertyOrder.SCHEMA,
    pb.PROPERTY_ORDER_ANY: PropertyOrder.ANY,
}
_SPELLINGS = {pb.SPELLINGS_ONE: Spellings.ONE, pb.SPELLINGS_ALL: Spellings.ALL}
_SOURCES = {
    Source.MEMORY: pb.INDEX_SOURCE_MEMORY,
    Source.DATABASE: pb.INDEX_SOURCE_DATABASE,
    Source.COMPILED: pb.INDEX_SOURCE_COMPILED,
}


class CompilerServicer(compiler_pb2_grpc.CompilerServiceServicer):
    """Answers EnsureIndex and FetchIndex, for one index and for several.

    Args:
        flow: Where indexes come from.
        models: Says which tokenizers there are.
        config: Section `compiler`.
        metrics: Counts.
    """

    def __init__(
        self, flow: IndexFlow, models: ModelTable, config: CompilerConfig, metrics: Metrics
    ) -> None:
        self._flow = flow
        self._models = models
        self._config = config
        self._metrics = metrics

    async def EnsureIndex(  # noqa: N802 - the contract's name
        self,
        request: pb.EnsureIndexRequest,
        context: Any,  # noqa: ANN401, ARG002 - grpc ships no types
    ) -> pb.EnsureIndexResponse:
        """Name the index of a grammar."""
        (outcome,) = await self._ensure_all([request])
        if isinstance(outcome, FormworkError):
            raise outcome
        (packed,) = self._pack_all([request], [outcome])
        return packed.index

    async def EnsureIndexes(  # noqa: N802 - the contract's name
        self,
        request: pb.EnsureIndexesRequest,
        context: Any,  # noqa: ANN401, ARG002 - grpc ships no types
    ) -> pb.EnsureIndexesResponse:
        """Name the index of each of several grammars, or say why there is none."""
        _check_count(request.requests)
        outcomes = await self._ensure_all(request.requests)
        return pb.EnsureIndexesResponse(outcomes=self._pack_all(request.requests, outcomes))

    async def FetchIndex(  # noqa: N802 - the contract's name
        self,
        request: pb.FetchIndexRequest,
        context: Any,  # noqa: ANN401, ARG002 - grpc ships no types
    ) -> AsyncIterator[pb.FetchIndexResponse]:
        """Stream the bytes of an index."""
        index = await self._fetch(request)
        for part in self._parts(index):
            yield part

    async def FetchIndexes(  # noqa: N802 - the contract's name
        self,
        request: pb.FetchIndexesRequest,
        context: Any,  # noqa: ANN401, ARG002 - grpc ships no types
    ) -> AsyncIterator[pb.FetchIndexesResponse]:
        """Stream the bytes of several indexes, each as it is had."""
        _check_count(request.requests)
        slots = asyncio.Semaphore(self._config.ensure_at_once)
        works = [self._fetch_into_slot(one, slots) for one in request.requests]
        async for number, found in each_when_done(works):
            for message in self._messages(number, found):
                yield message
            slots.release()  # its bytes are on their way: a peer that reads slowly is sent no more

    async def _fetch(self, request: pb.FetchIndexRequest) -> StoredIndex:
        return await self._flow.fetch(
            IndexId(request.index_id), request.revision, request.canonical_grammar
        )

    async def _fetch_into_slot(
        self, request: pb.FetchIndexRequest, slots: asyncio.Semaphore
    ) -> StoredIndex | FormworkError:
        """Take a slot, and return what is to be sent from it."""
        await slots.acquire()
        try:
            return await self._fetch(request)
        except FormworkError as error:
            return error

    def _messages(
        self, number: int, found: StoredIndex | FormworkError
    ) -> Iterator[pb.FetchIndexesResponse]:
        if isinstance(found, FormworkError):
            status = to_status(found).SerializeToString()
            yield pb.FetchIndexesResponse(number=number, status=status)
            return
        for part in self._parts(found):
            yield pb.FetchIndexesResponse(number=number, part=part)

    def _parts(self, index: StoredIndex) -> Iterator[pb.FetchIndexResponse]:
        self._metrics.fetched_bytes.inc(len(index.data))
        size, total = self._config.chunk_bytes, len(index.data)
        yield pb.FetchIndexResponse(
            revision=index.revision, total_bytes=total, chunk=index.data[:size]
        )
        for start in range(size, total, size):
            yield pb.FetchIndexResponse(chunk=index.data[start : start + size])

    async def _ensure_all(
        self, requests: Sequence[pb.EnsureIndexRequest]
    ) -> Sequence[Obtained | FormworkError]:
        """Return an outcome for each request; what is not read needs no index."""
        characters = sum(len(request.input.json_schema) for request in requests)
        if characters <= _INLINE_CHARACTERS:
            read = [self._read(request) for request in requests]
        else:
            read = await asyncio.to_thread(lambda: [self._read(request) for request in requests])
        grammars = [one for one in read if isinstance(one, CanonicalGrammar)]
        project = ProjectId(requests[0].project_id if requests else "")
        is_use = not all(request.prewarming for request in requests)
        obtained = iter(await self._flow.ensure_all(grammars, project, is_use=is_use))
        outcomes = [one if isinstance(one, FormworkError) else next(obtained) for one in read]
        for outcome in outcomes:
            self._count(outcome)
        return outcomes

    def _pack_all(
        self,
        requests: Sequence[pb.EnsureIndexRequest],
        outcomes: Sequence[Obtained | FormworkError],
    ) -> Iterator[pb.IndexOutcome]:
        """Yield the outcomes as messages, small indexes in them as long as there is room."""
        room = self._config.inline_call_bytes
        for request, outcome in zip(requests, outcomes, strict=True):
            packed = _pack_outcome(outcome)
            if isinstance(outcome, Obtained) and not request.prewarming:
                data = outcome.held.index.data
                if len(data) <= min(room, self._config.inline_bytes):
                    packed.index.inline_index = data
                    room -= len(data)
            yield packed

    def _read(self, request: pb.EnsureIndexRequest) -> CanonicalGrammar | FormworkError:
        try:
            self._models.with_fingerprint(request.tokenizer_fingerprint)
            return read_grammar(_unpack(request), self._config.budget())
        except FormworkError as error:
            return error

    def _count(self, outcome: Obtained | FormworkError) -> None:
        if isinstance(outcome, FormworkError):
            self._metrics.refused.labels(outcome.reason).inc()
            return
        self._metrics.ensured.labels(outcome.source.name.lower()).inc()
        if outcome.source is Source.COMPILED:
            self._metrics.compile_seconds.observe(outcome.compile_seconds)


def _check_count(requests: Sequence[object]) -> None:
    if len(requests) > _MOST_REQUESTS:
        raise LimitExceededError(
            f"The call has {len(requests)} requests.",
            metadata={
                "limit": "requests",
                "maximum": str(_MOST_REQUESTS),
                "value": str(len(requests)),
            },
        )


def _unpack(request: pb.EnsureIndexRequest) -> AskedGrammar:
    return AskedGrammar(
        grammar=_unpack_input(request.input),
        options=_unpack_options(request.options),
        dialect=_known(_DIALECTS, request.dialect or pb.DIALECT_EXTENDED, "dialect"),
        fingerprint=Fingerprint(request.tokenizer_fingerprint),
    )


def _unpack_input(message: pb.GrammarInput) -> GrammarInput:
    match message.WhichOneof("kind"):
        case "json_schema":
            return JsonSchema(message.json_schema)
        case "any_json":
            return AnyJson(object_only=message.any_json.object_only)
        case "regex":
            return Regex(message.regex)
        case "lark":
            return Lark(message.lark)
    raise InvalidArgumentError("The input has no kind.", field="input")


def _unpack_options(message: pb.IndexOptions) -> IndexOptions:
    defaults = IndexOptions()
    bounded = message.whitespace == pb.WHITESPACE_BOUNDED
    return IndexOptions(
        whitespace=_known(_WHITESPACE, message.whitespace or pb.WHITESPACE_COMPACT, "whitespace"),
        max_whitespace=message.max_whitespace if bounded else 0,
        property_order=_known(
            _ORDERS, message.property_order or pb.PROPERTY_ORDER_SCHEMA, "property_order"
        ),
        spellings=_known(_SPELLINGS, message.spellings or pb.SPELLINGS_ONE, "spellings"),
        item_separator=message.item_separator or defaults.item_separator,
        key_separator=message.key_separator or defaults.key_separator,
        in_json_string=message.in_json_string,
    )


def _known(table: dict[Any, Any], value: Any, field: str) -> Any:  # noqa: ANN401 - of several enums
    if value not in table:
        raise InvalidArgumentError(f"{field} {value} is unknown.", field=field)
    return table[value]


def _pack_outcome(outcome: Obtained | FormworkError) -> pb.IndexOutcome:
    if isinstance(outcome, FormworkError):
        return pb.IndexOutcome(status=to_status(outcome).SerializeToString())
    return pb.IndexOutcome(index=_pack(outcome))


def _pack(obtained: Obtained) -> pb.EnsureIndexResponse:
    index = obtained.held.index
    response = pb.EnsureIndexResponse(
        index_id=index.index_id,
        revision=index.revision,
        shortest_answer_tokens=index.shortest_answer_tokens,
        canonical_grammar=b"" if obtained.held.is_persisted else obtained.held.canonical_grammar,
        source=_SOURCES[obtained.source],
        engine_version=ENGINE_VERSION,
    )
    response.compile_time.FromNanoseconds(int(obtained.compile_seconds * 1e9))
    return response
