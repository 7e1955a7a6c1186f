"""What each lease has generated here, from its first sequence to its report."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from formwork.sampler.v1.sampler_pb2 import Open
from formwork.scheduler.v1 import scheduler_pb2
from formwork.scheduler.v1.scheduler_pb2 import Lease, SignedLease

from mesh.errors import LeaseInvalidError
from mesh.leases import read_lease
from sampler_service.openings import SequenceKey
from sampler_service.outputs import Finish, Output

LeaseKey = tuple[str, int]


@dataclass(frozen=True)
class WorkerIdentity:
    """What a lease must name to be served here."""

    worker_id: str
    snapshot: str
    served_by: str
    """Device class and determinism, as reports tell them."""


@dataclass
class Account:
    """One lease and its sequences; tokens are counted over all choices, the prompt once."""

    signed: SignedLease
    lease: Lease
    live: set[SequenceKey] = field(default_factory=set)
    choices: set[int] = field(default_factory=set)
    allotted: int = 0
    """Most completion tokens of its choices so far."""
    prompt_tokens: int = 0
    cached_prompt_tokens: int | None = None
    completion_tokens: int = 0
    aborted: bool = False
    failure: str | None = None
    detached: bool = False
    """Its stream is gone: no further choice can come."""

    @property
    def counts(self) -> scheduler_pb2.TokenCounts:
        """Its tokens so far."""
        return scheduler_pb2.TokenCounts(
            prompt_tokens=self.prompt_tokens,
            cached_prompt_tokens=self.cached_prompt_tokens or 0,
            completion_tokens=self.completion_tokens,
        )

    @property
    def outcome(self) -> scheduler_pb2.Outcome.ValueType:
        """How it ended; the worst of its sequences counts."""
        if self.failure is not None:
            return scheduler_pb2.OUTCOME_FAILED
        return scheduler_pb2.OUTCOME_CANCELLED if self.aborted else scheduler_pb2.OUTCOME_COMPLETED

    def record(self, output: Output) -> None:
        """Count what a sequence made."""
        self.completion_tokens += output.tokens
        if self.cached_prompt_tokens is None:
            self.cached_prompt_tokens = output.cached_prompt_tokens
        if output.is_last:
            self.live.discard(output.key)
            self.aborted |= output.finish is Finish.ABORTED
        if output.error is not None:
            self.failure = output.error.reason


class LeaseAccounts:
    """Every lease with sequences here.

    Args:
        key: Signs leases.
        identity: Of this worker.
    """

    def __init__(self, key: bytes, identity: WorkerIdentity) -> None:
        self._key = key
        self._identity = identity
        self._accounts: dict[LeaseKey, Account] = {}
        self._of_sequence: dict[SequenceKey, LeaseKey] = {}
        self._closed: dict[LeaseKey, float] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    def admit(self, message: Open, now: float) -> Lease:
        """Return the lease of a sequence to be opened, if it allows that; nothing is kept yet.

        Args:
            message: Its lease, choice, prompt and most tokens count here.
            now: Seconds since 1970.

        Raises:
            LeaseInvalidError: Forged, expired, for another worker, used up, or for less.
        """
        signed, choice = message.lease, message.choice
        lease = read_lease(self._key, signed)
        key = (lease.lease_id, lease.attempt)
        if (lease.worker_id, lease.snapshot) != (self._identity.worker_id, self._identity.snapshot):
            raise LeaseInvalidError("The lease is for another worker.")
        account = self._accounts.get(key)
        if key in self._closed or (account is None and _expiry(lease) <= now):
            raise LeaseInvalidError("The lease has expired.")
        if choice >= max(lease.choices, 1) or (account is not None and choice in account.choices):
            raise LeaseInvalidError(f"The lease has no further choice {choice}.")
        allowed = lease.max_completion_tokens - (account.allotted if account is not None else 0)
        if (
            message.sampling.max_tokens > allowed
            or len(message.prompt_tokens) > lease.prompt_tokens
        ):
            raise LeaseInvalidError("The lease is for fewer tokens.")
        return lease

    def open(self, key: SequenceKey, message: Open) -> None:
        """Count a sequence to its lease, which `admit` has let in."""
        lease = read_lease(self._key, message.lease)
        lease_key = (lease.lease_id, lease.attempt)
        account = self._accounts.setdefault(lease_key, Account(message.lease, lease))
        account.live.add(key)
        account.choices.add(message.choice)
        account.allotted += message.sampling.max_tokens
        account.prompt_tokens = max(account.prompt_tokens, len(message.prompt_tokens))
        self._of_sequence[key] = lease_key

    def record(self, output: Output) -> None:
        """Count what a sequence made."""
        lease_key = self._of_sequence.get(output.key)
        if lease_key is None:
            return
        self._accounts[lease_key].record(output)
        if output.is_last:
            del self._of_sequence[output.key]

    def detach(self, stream: int) -> None:
        """A stream is gone: its leases get no further choices."""
        for key, lease_key in self._of_sequence.items():
            if key.stream == stream:
                self._accounts[lease_key].detached = True

    def detach_all(self) -> None:
        """Nothing new is taken: no lease gets further choices."""
        for account in self._accounts.values():
            account.detached = True

    def take_ended(self, now: float) -> Iterator[scheduler_pb2.ReportRequest]:
        """Close the leases that are over, and yield the report of each.

        Args:
            now: Seconds since 1970.
        """
        for key, account in list(self._accounts.items()):
            whole = len(account.choices) >= max(account.lease.choices, 1)
            if not account.live and (whole or account.detached or _expiry(account.lease) <= now):
                del self._accounts[key]
                self._closed[key] = _expiry(account.lease)
                yield self._report(account, now)
        # an expired lease cannot be opened again anyway
        self._closed = {key: expiry for key, expiry in self._closed.items() if expiry > now}

    def checkpoints(self) -> list[scheduler_pb2.Checkpoint]:
        """Return how far each live lease is."""
        return [
            scheduler_pb2.Checkpoint(lease=account.signed, counts=account.counts)
            for account in self._accounts.values()
        ]

    def sequences_of(self, lease_ids: set[str]) -> list[SequenceKey]:
        """Return the live sequences of some leases, whatever their attempt."""
        return [key for key, (lease_id, _) in self._of_sequence.items() if lease_id in lease_ids]

    def sequences(self) -> list[SequenceKey]:
        """Return all live sequences."""
        return list(self._of_sequence)

    def _report(self, account: Account, now: float) -> scheduler_pb2.ReportRequest:
        report = scheduler_pb2.ReportRequest(
            lease=account.signed,
            counts=account.counts,
            outcome=account.outcome,
            served_by=self._identity.served_by,
        )
        if account.failure is not None:
            event = report.events.add(type="sampler.sequence_failed")
            event.at.FromNanoseconds(int(now * 1e9))
            event.attributes["reason"] = account.failure
        return report


def _expiry(lease: Lease) -> float:
    return float(lease.expires_at.seconds + lease.expires_at.nanos / 1e9)
