"""The gRPC face: unpack, call, pack."""

import asyncio
from collections.abc import AsyncIterator
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

from compiler_service.config import CompilerConfig
from compiler_service.flow import IndexFlow, Obtained, Source
from compiler_service.intake import AskedGrammar, Dialect, read_grammar
from compiler_service.metrics import Metrics
from mesh.errors import FormworkError, InvalidArgumentError
from mesh.ids import Fingerprint, IndexId, ProjectId
from mesh.models import ModelTable

# Reading more text than this takes longer than a hop to a thread.
_INLINE_CHARACTERS = 16 * 1024

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
    """Answers EnsureIndex and FetchIndex.

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
        try:
            obtained = await self._ensure(request)
        except FormworkError as error:
            self._metrics.refused.labels(error.reason).inc()
            raise
        self._metrics.ensured.labels(obtained.source.name.lower()).inc()
        if obtained.source is Source.COMPILED:
            self._metrics.compile_seconds.observe(obtained.compile_seconds)
        return _pack(obtained)

    async def FetchIndex(  # noqa: N802 - the contract's name
        self,
        request: pb.FetchIndexRequest,
        context: Any,  # noqa: ANN401, ARG002 - grpc ships no types
    ) -> AsyncIterator[pb.FetchIndexResponse]:
        """Stream the bytes of an index."""
        index = await self._flow.fetch(
            IndexId(request.index_id), request.revision, request.canonical_grammar
        )
        self._metrics.fetched_bytes.inc(len(index.data))
        size = self._config.chunk_bytes
        yield pb.FetchIndexResponse(
            revision=index.revision, total_bytes=len(index.data), chunk=index.data[:size]
        )
        for start in range(size, len(index.data), size):
            yield pb.FetchIndexResponse(chunk=index.data[start : start + size])

    async def _ensure(self, request: pb.EnsureIndexRequest) -> Obtained:
        self._models.with_fingerprint(request.tokenizer_fingerprint)
        asked = _unpack(request)
        budget = self._config.budget()
        if len(request.input.json_schema) <= _INLINE_CHARACTERS:
            grammar = read_grammar(asked, budget)
        else:
            grammar = await asyncio.to_thread(read_grammar, asked, budget)
        project = ProjectId(request.project_id)
        return await self._flow.ensure(grammar, project, is_use=not request.prewarming)


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
    )


def _known(table: dict[Any, Any], value: Any, field: str) -> Any:  # noqa: ANN401 - of several enums
    if value not in table:
        raise InvalidArgumentError(f"{field} {value} is unknown.", field=field)
    return table[value]


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
