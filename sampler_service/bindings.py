"""What a sequence is bound to: an index, or an envelope around several, as a message says it."""

import structlog
from formwork.sampler.v1 import sampler_pb2
from formwork_engine.errors import EngineError
from formwork_engine.index import Index

from mesh.errors import InternalError
from sampler_service.batch import Batch
from sampler_service.envelopes import Envelopes, WantedEnvelope
from sampler_service.index_fetcher import IndexName
from sampler_service.indexes import Indexes
from sampler_service.openings import Opening, SequenceKey

log = structlog.get_logger()

Wanted = IndexName | WantedEnvelope


def wanted_of(message: sampler_pb2.Bind) -> Wanted:
    """Return what a message names."""
    if message.HasField("envelope"):
        return WantedEnvelope.of(message.envelope)
    return IndexName(
        message.index_id, message.revision, message.canonical_grammar, message.inline_index
    )


def find(wanted: Wanted, indexes: Indexes, envelopes: Envelopes) -> Index | None:
    """Return an index that is held."""
    if isinstance(wanted, WantedEnvelope):
        return envelopes.find(wanted)
    return indexes.find(wanted)


async def get(wanted: Wanted, indexes: Indexes, envelopes: Envelopes) -> Index:
    """Return an index, fetched and linked where it is not held; raises as these do."""
    if isinstance(wanted, WantedEnvelope):
        return await envelopes.get(wanted)
    return await indexes.get(wanted)


def open_bound(opening: Opening, index: Index, batch: Batch) -> None:
    """Open a sequence whose index is there, so that its first mask is not late."""
    batch.open(opening)
    bind_to(opening.key, index, batch)


def bind_to(key: SequenceKey, index: Index, batch: Batch) -> None:
    """Bind a sequence to an index: on the batch's thread, which needs no other's way there."""
    try:
        cursor = index.cursor()
    except EngineError:
        log.exception("bind_failed")
        batch.fail(key, InternalError("Internal error."))
    else:
        batch.bind(key, cursor)
