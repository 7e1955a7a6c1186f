"""A loaded model in service: its streams, leases and indexes, held together."""

from dataclasses import dataclass

from formwork.scheduler.v1 import scheduler_pb2

from mesh.clock import Clock
from mesh.errors import FormworkError, ServiceUnavailableError
from sampler_service.accounts import LeaseAccounts, WorkerIdentity
from sampler_service.batch import Batch
from sampler_service.config import SamplerConfig
from sampler_service.decode_thread import DecodeThread
from sampler_service.decoder import Decoder
from sampler_service.envelopes import Envelopes
from sampler_service.index_fetcher import IndexFetcher
from sampler_service.indexes import Indexes
from sampler_service.links import Links
from sampler_service.opening_messages import OpeningLimits
from sampler_service.openings import SequenceKey
from sampler_service.outputs import Output
from sampler_service.reports import Reporter
from sampler_service.runner import RunnerInfo
from sampler_service.stream import StreamServices
from sampler_service.streams import Streams


@dataclass(frozen=True)
class ServingParts:
    """What a worker has before its model is loaded."""

    worker_id: str
    snapshot: str
    lease_key: bytes
    config: SamplerConfig
    clock: Clock
    links: Links
    thread: DecodeThread
    reporter: Reporter


class Serving:
    """What there is once the model is loaded; used on the event loop.

    Args:
        parts: Of the worker.
        decoder: The model.
    """

    def __init__(self, parts: ServingParts, decoder: Decoder) -> None:
        self._thread = parts.thread
        self._reporter = parts.reporter
        self._clock = parts.clock
        self._accounts = LeaseAccounts(parts.lease_key, _identify(parts, decoder.info))
        fetcher = IndexFetcher(parts.links.compiler.FetchIndexes, parts.links.caller, parts.config)
        self._indexes = Indexes(fetcher, decoder.rules.vocabulary, parts.config, parts.clock)
        self.info = decoder.info
        self.streams = Streams(self._share(parts, decoder))

    def deliver(self, outputs: list[Output]) -> None:
        """Hand the outputs of a step to streams and leases."""
        self.streams.deliver(outputs)
        if any(output.is_last for output in outputs):
            self.report_ended()

    def report_ended(self) -> None:
        """Report the leases that are over."""
        self._reporter.record(self._accounts.take_ended(self._clock.now().timestamp()))

    def checkpoints(self) -> list[scheduler_pb2.Checkpoint]:
        """Return how far each live lease is."""
        return self._accounts.checkpoints()

    def stop_leases(self, lease_ids: set[str]) -> None:
        """End the sequences of some leases, as the scheduler wants."""
        error = ServiceUnavailableError("The scheduler stopped this lease.")
        self._fail(self._accounts.sequences_of(lease_ids), error)

    def lose_scheduler(self, *, lost: bool) -> None:
        """End every sequence and take none, until the scheduler is back."""
        error = ServiceUnavailableError("The worker has lost its scheduler.")
        self.streams.refusal = error if lost else None
        if lost:
            self.fail_all(error)

    def begin_drain(self) -> None:
        """Take nothing new; idempotent."""
        self.streams.draining = True
        self._accounts.detach_all()

    def fail_all(self, error: FormworkError) -> None:
        """End every sequence with an error."""
        self._fail(self._accounts.sequences(), error)

    async def close(self) -> None:
        """Stop fetching."""
        await self._indexes.close()

    def _fail(self, keys: list[SequenceKey], error: FormworkError) -> None:
        def fail(batch: Batch) -> None:
            for key in keys:
                batch.fail(key, error)

        self._thread.post(fail)

    def _share(self, parts: ServingParts, decoder: Decoder) -> StreamServices:
        config = parts.config
        limits = OpeningLimits(
            decoder.rules.vocabulary.size,
            decoder.info.context,
            config.max_sequence_seconds,
            config.max_stop_strings,
            config.max_stop_characters,
        )
        return StreamServices(
            parts.thread,
            self._accounts,
            self._indexes,
            Envelopes(self._indexes, decoder.rules.vocabulary, config.max_envelopes),
            decoder.rules,
            limits,
            parts.clock,
            config.max_stream_sequences,
            config.max_stream_backlog,
        )


def _identify(parts: ServingParts, info: RunnerInfo) -> WorkerIdentity:
    served_by = f"{info.device_class} {info.determinism}"
    return WorkerIdentity(parts.worker_id, parts.snapshot, served_by)
