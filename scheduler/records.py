"""The nouns of the scheduler: leases, places, claims and what the ledger keeps of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum

from mesh.ids import KeyId, LeaseId, ProjectId, RequestId, Snapshot, WorkerId


class Tier(StrEnum):
    """How one request is served; in the order in which queues are served."""

    PRIORITY = "priority"
    DEFAULT = "default"
    FLEX = "flex"
    BATCH = "batch"


class LeaseState(StrEnum):
    """Where a lease is in its life."""

    GRANTED = "granted"
    """A worker is named; it has not said yet that it opened the lease."""
    UNPLACED = "unplaced"
    """The attempt was raised; no worker is named yet."""
    OPENED = "opened"
    """A worker has renewed or reported it."""
    EXPIRED = "expired"
    """Void: nobody opened it in time. Nothing was charged, but a late claim still would be."""
    SETTLED = "settled"
    """Charged with the gateway's counts."""
    SWEPT = "swept"
    """Charged by the sweeper, with the worker's report or the last checkpoint."""
    RELEASED = "released"
    """Given back unopened; never charged."""


LIVE_STATES = frozenset({LeaseState.GRANTED, LeaseState.UNPLACED, LeaseState.OPENED})
FINAL_STATES = frozenset({LeaseState.SETTLED, LeaseState.SWEPT, LeaseState.RELEASED})


class Outcome(StrEnum):
    """How a sequence ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Source(StrEnum):
    """Whose counts a claim or a usage row holds."""

    GATEWAY = "gateway"
    WORKER = "worker"
    SWEEPER = "sweeper"


@dataclass(frozen=True)
class Place:
    """One incarnation of a worker: a replaced worker keeps its id and has a new address."""

    worker_id: WorkerId
    address: str


@dataclass(frozen=True)
class Counts:
    """Tokens of one lease, all its choices together."""

    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class Claim:
    """What one side says that an attempt of a lease used."""

    attempt: int
    counts: Counts
    outcome: Outcome
    source: Source


@dataclass(frozen=True)
class LeaseFacts:
    """What never changes about a lease, whatever attempt it is at."""

    lease_id: LeaseId
    request_id: RequestId
    project_id: ProjectId
    key_id: KeyId
    snapshot: Snapshot
    tier: Tier
    prompt_tokens: int
    max_completion_tokens: int
    choices: int
    issued_at: datetime
    """When it was first asked for; a retry keeps it."""

    @property
    def day(self) -> date:
        """The partition that holds every row of this lease, whenever it is written."""
        return self.issued_at.astimezone(UTC).date()


@dataclass(frozen=True)
class LeaseRecord:
    """A lease as the scheduler knows it."""

    facts: LeaseFacts
    attempt: int
    state: LeaseState
    place: Place | None
    expires_at: datetime
    seen_at: datetime
    """Its last sign of life."""
    checkpoint: Counts = Counts()
    report: Claim | None = None
    """The worker's, for this attempt."""
    settlement: Claim | None = None
    """The gateway's; kept until it is durable."""

    @property
    def is_final(self) -> bool:
        """Whether nothing can be charged to it any more."""
        return self.state in FINAL_STATES

    @property
    def holds_capacity(self) -> bool:
        """Whether its sequences count on its worker."""
        open_or_granted = self.state in (LeaseState.GRANTED, LeaseState.OPENED)
        return open_or_granted and self.report is None and self.settlement is None


@dataclass(frozen=True)
class UsageRow:
    """What a lease cost: exactly one for each lease that is charged."""

    facts: LeaseFacts
    claim: Claim
    created_at: datetime


@dataclass(frozen=True)
class ReportRow:
    """What one side said, kept whether it was charged or not."""

    facts: LeaseFacts
    claim: Claim
    created_at: datetime
    served_by: str = ""
    events: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True)
class Entry:
    """What is written together, in one transaction."""

    lease: LeaseRecord
    reports: tuple[ReportRow, ...] = ()
    usage: UsageRow | None = None

    @property
    def must_last(self) -> bool:
        """Whether somebody waits for it to be durable."""
        return bool(self.reports) or self.usage is not None


@dataclass(frozen=True)
class HeldLease:
    """A signed lease as its holder shows it."""

    facts: LeaseFacts
    attempt: int
    worker_id: WorkerId
    expires_at: datetime = field(compare=False)
