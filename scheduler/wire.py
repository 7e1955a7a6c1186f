"""Between the contract's messages and the scheduler's own nouns."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import structlog
from formwork.scheduler.v1 import scheduler_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from mesh.errors import InvalidArgumentError
from mesh.ids import KeyId, LeaseId, ProjectId, RequestId, Snapshot, WorkerId, new_id
from mesh.leases import read_lease, sign_lease
from scheduler.flow import Granted
from scheduler.records import Claim, Counts, HeldLease, LeaseFacts, Outcome, Place, Source, Tier
from scheduler.workers import Load, Worker, WorkerState

log = structlog.get_logger()

MOST_EVENTS = 16
_MOST_ATTRIBUTES = 16
_MOST_TEXT = 256

_TIERS: dict[int, Tier] = {
    pb.SERVICE_TIER_UNSPECIFIED: Tier.DEFAULT,
    pb.SERVICE_TIER_PRIORITY: Tier.PRIORITY,
    pb.SERVICE_TIER_DEFAULT: Tier.DEFAULT,
    pb.SERVICE_TIER_FLEX: Tier.FLEX,
    pb.SERVICE_TIER_BATCH: Tier.BATCH,
}
_TIER_NUMBERS: dict[Tier, pb.ServiceTier.ValueType] = {
    Tier.PRIORITY: pb.SERVICE_TIER_PRIORITY,
    Tier.DEFAULT: pb.SERVICE_TIER_DEFAULT,
    Tier.FLEX: pb.SERVICE_TIER_FLEX,
    Tier.BATCH: pb.SERVICE_TIER_BATCH,
}
_OUTCOMES: dict[int, Outcome] = {
    pb.OUTCOME_COMPLETED: Outcome.COMPLETED,
    pb.OUTCOME_CANCELLED: Outcome.CANCELLED,
    pb.OUTCOME_FAILED: Outcome.FAILED,
}
_STATES: dict[int, WorkerState] = {
    pb.WORKER_STATE_STARTING: WorkerState.STARTING,
    pb.WORKER_STATE_READY: WorkerState.READY,
    pb.WORKER_STATE_DRAINING: WorkerState.DRAINING,
}
_STATE_NUMBERS: dict[WorkerState, pb.WorkerState.ValueType] = {
    WorkerState.STARTING: pb.WORKER_STATE_STARTING,
    WorkerState.READY: pb.WORKER_STATE_READY,
    WorkerState.DRAINING: pb.WORKER_STATE_DRAINING,
}

Value = TypeVar("Value")


def new_facts(request: pb.AcquireRequest, now: datetime, max_choices: int) -> LeaseFacts:
    """Return the facts of a new lease.

    Raises:
        InvalidArgumentError: A field is missing or out of its bounds, by name.
    """
    if not 1 <= request.choices <= max_choices:
        raise InvalidArgumentError(f"choices must be 1 to {max_choices}.", field="choices")
    return LeaseFacts(
        lease_id=LeaseId(new_id("lease")),
        request_id=RequestId(_text(request.request_id, "request_id")),
        project_id=ProjectId(_text(request.project_id, "project_id")),
        key_id=KeyId(_text(request.key_id, "key_id")),
        snapshot=Snapshot(_text(request.snapshot, "snapshot")),
        tier=_known(_TIERS, request.service_tier, "service_tier"),
        prompt_tokens=request.prompt_tokens,
        max_completion_tokens=request.max_completion_tokens,
        choices=request.choices,
        issued_at=now,
    )


def sign(key: bytes, granted: Granted) -> pb.SignedLease:
    """Return a granted lease as its holder carries it."""
    facts = granted.record.facts
    lease = pb.Lease(
        lease_id=facts.lease_id,
        attempt=granted.record.attempt,
        worker_id=granted.place.worker_id,
        request_id=facts.request_id,
        project_id=facts.project_id,
        key_id=facts.key_id,
        snapshot=facts.snapshot,
        service_tier=_TIER_NUMBERS[facts.tier],
        prompt_tokens=facts.prompt_tokens,
        max_completion_tokens=facts.max_completion_tokens,
        choices=facts.choices,
        issued_at=_timestamp(facts.issued_at),
        expires_at=_timestamp(granted.record.expires_at),
    )
    return sign_lease(key, lease)


def read_held(key: bytes, signed: pb.SignedLease) -> HeldLease:
    """Return the lease that a holder shows.

    Raises:
        LeaseInvalidError: The scheduler did not sign it.
    """
    lease = read_lease(key, signed)
    facts = LeaseFacts(
        lease_id=LeaseId(lease.lease_id),
        request_id=RequestId(lease.request_id),
        project_id=ProjectId(lease.project_id),
        key_id=KeyId(lease.key_id),
        snapshot=Snapshot(lease.snapshot),
        tier=_known(_TIERS, lease.service_tier, "lease.service_tier"),
        prompt_tokens=lease.prompt_tokens,
        max_completion_tokens=lease.max_completion_tokens,
        choices=lease.choices,
        issued_at=lease.issued_at.ToDatetime(tzinfo=UTC),
    )
    return HeldLease(
        facts, lease.attempt, WorkerId(lease.worker_id), lease.expires_at.ToDatetime(tzinfo=UTC)
    )


def read_claim(
    held: HeldLease, counts: pb.TokenCounts, outcome: pb.Outcome.ValueType, source: Source
) -> Claim:
    """Return what a side says that its attempt used, at most what its lease allows.

    Raises:
        InvalidArgumentError: No outcome, or more cached tokens than tokens.
    """
    if counts.cached_prompt_tokens > counts.prompt_tokens:
        raise InvalidArgumentError(
            "cached_prompt_tokens exceeds prompt_tokens.", field="counts.cached_prompt_tokens"
        )
    ended = _known(_OUTCOMES, outcome, "outcome")
    said, most = read_counts(counts), held.facts
    within = Counts(
        min(said.prompt_tokens, most.prompt_tokens),
        min(said.cached_prompt_tokens, most.prompt_tokens),
        min(said.completion_tokens, most.max_completion_tokens),
    )
    if within != said:
        log.warning("claim_exceeds_lease", lease_id=most.lease_id, source=source)
    return Claim(held.attempt, within, ended, source)


def read_counts(counts: pb.TokenCounts) -> Counts:
    """Return token counts."""
    return Counts(counts.prompt_tokens, counts.cached_prompt_tokens, counts.completion_tokens)


def read_events(events: Sequence[pb.WorkerEvent]) -> Sequence[Mapping[str, object]]:
    """Return a worker's events as the ledger keeps them: the first few, their texts cut."""
    return [
        {
            "type": cut(event.type),
            "at": event.at.ToDatetime(tzinfo=UTC).isoformat(),
            "attributes": {
                cut(name): cut(value)
                for name, value in sorted(event.attributes.items())[:_MOST_ATTRIBUTES]
            },
        }
        for event in events[:MOST_EVENTS]
    ]


def read_worker(request: pb.RenewRequest, now: float) -> Worker:
    """Return a worker as it describes itself.

    Raises:
        InvalidArgumentError: A field is missing, by name.
    """
    place = Place(
        WorkerId(_text(request.worker_id, "worker_id")),
        _text(request.worker_address, "worker_address"),
    )
    load = Load(
        request.load.slots,
        request.load.slots_used,
        request.load.waiting,
        request.load.tokens_per_second,
    )
    state = _known(_STATES, request.state, "state")
    return Worker(place, Snapshot(_text(request.snapshot, "snapshot")), state, load, now)


def write_worker(worker: Worker) -> pb.Worker:
    """Return a worker as ListWorkers shows it."""
    return pb.Worker(
        worker_id=worker.place.worker_id,
        worker_address=worker.place.address,
        snapshot=worker.snapshot,
        state=_STATE_NUMBERS[worker.state],
        load=pb.Load(
            slots=worker.load.slots,
            slots_used=worker.load.slots_used,
            waiting=worker.load.waiting,
            tokens_per_second=worker.load.tokens_per_second,
        ),
    )


def write_duration(seconds: float) -> Duration:
    """Return a duration."""
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration


def _timestamp(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def _known(table: Mapping[int, Value], number: int, field: str) -> Value:
    if number not in table:
        raise InvalidArgumentError(f"{field} is missing or unknown.", field=field)
    return table[number]


def _text(value: str, field: str) -> str:
    if not 0 < len(value) <= _MOST_TEXT or "\0" in value:
        raise InvalidArgumentError(f"{field} must have 1 to {_MOST_TEXT} characters.", field=field)
    return value


def cut(value: str) -> str:
    """Return a free text as the ledger keeps it."""
    return value.replace("\0", "")[:_MOST_TEXT]
