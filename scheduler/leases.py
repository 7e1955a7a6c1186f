"""The life of a lease, as pure transitions.

    granted ──Renew──▶ opened ──Settle──▶ settled      (gateway's counts)
       │  ▲               ├────quiet────▶ swept        (worker's report, else last checkpoint)
       │  └placed─ unplaced ◀──Retry── granted, opened (attempt raised, old place left)
       ├──Release──▶ released                          (nothing charged)
       └──too late──▶ expired ──late claim──▶ settled, opened

Every function returns the record that follows; the caller keeps it and writes what it must. A lease
is charged at most once: the states `settled`, `swept` and `released` have no way out.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mesh.errors import LeaseSettledError
from scheduler.records import (
    LIVE_STATES,
    Claim,
    Counts,
    HeldLease,
    LeaseFacts,
    LeaseRecord,
    LeaseState,
    Outcome,
    Place,
    Source,
)


@dataclass(frozen=True)
class Patience:
    """How long silence is borne."""

    lease_ttl: timedelta
    """Grant to first opening."""
    expiry_margin: timedelta
    """An opening at the last moment may need this long to be heard of."""
    gateway_grace: timedelta
    sweep_grace: timedelta


def grant(facts: LeaseFacts, place: Place, now: datetime, patience: Patience) -> LeaseRecord:
    """Return the first attempt of a lease."""
    return LeaseRecord(facts, 1, LeaseState.GRANTED, place, now + patience.lease_ttl, now)


def adopt(held: HeldLease, place: Place | None, now: datetime) -> LeaseRecord:
    """Return the record of a signed lease that this scheduler does not remember."""
    state = LeaseState.UNPLACED if place is None else LeaseState.GRANTED
    return LeaseRecord(held.facts, held.attempt, state, place, held.expires_at, now)


def raise_attempt(record: LeaseRecord, now: datetime, patience: Patience) -> LeaseRecord:
    """Return the lease at its next attempt, without a place; the old attempt is void from here.

    Raises:
        LeaseSettledError: The lease is over.
    """
    if record.is_final or record.settlement is not None:
        raise LeaseSettledError(
            "The lease is over.",
            metadata={"lease_id": record.facts.lease_id, "state": record.state},
        )
    return replace(
        record,
        attempt=record.attempt + 1,
        state=LeaseState.UNPLACED,
        place=None,
        expires_at=now + patience.lease_ttl,
        seen_at=now,
        checkpoint=Counts(),
        report=None,
    )


def catch_up(record: LeaseRecord, held: HeldLease) -> LeaseRecord:
    """Return the lease at its holder's attempt, where that was given before a restart."""
    if record.is_final or held.attempt <= record.attempt:
        return record
    known = adopt(held, None, record.seen_at)
    return replace(known, settlement=record.settlement)


def place(
    record: LeaseRecord, attempt: int, at: Place, now: datetime, patience: Patience
) -> LeaseRecord:
    """Return an unplaced lease with a worker.

    Raises:
        LeaseSettledError: It was closed, or raised again, while it waited.
    """
    is_waiting = record.state is LeaseState.UNPLACED and record.settlement is None
    if not is_waiting or record.attempt != attempt:
        raise LeaseSettledError(
            "The lease was closed while it waited.", metadata={"lease_id": record.facts.lease_id}
        )
    return replace(
        record,
        state=LeaseState.GRANTED,
        place=at,
        expires_at=now + patience.lease_ttl,
        seen_at=now,
    )


def displace(record: LeaseRecord) -> LeaseRecord:
    """Return a granted lease without its place: its holder never heard of the grant."""
    if record.state is not LeaseState.GRANTED:
        return record
    return replace(record, state=LeaseState.UNPLACED, place=None)


def must_stop(record: LeaseRecord, attempt: int) -> bool:
    """Return whether a worker that lives this attempt has to stop it."""
    over = record.is_final or record.settlement is not None
    reported = record.report is not None and record.report.attempt >= attempt
    return over or reported or attempt < record.attempt


def lives_at(record: LeaseRecord, at: Place, *, after: int) -> bool:
    """Return whether a later attempt has its place there.

    A worker is told to stop a lease by its id: that would end the later attempt as well.
    """
    is_open = record.state in LIVE_STATES and record.settlement is None
    return is_open and record.attempt > after and record.place == at


def renew(
    record: LeaseRecord, attempt: int, counts: Counts, at: Place, now: datetime
) -> LeaseRecord:
    """Return the lease as its worker says it is: opened there, this far, alive now.

    The caller has ruled out `must_stop`. A higher attempt than known was given before a restart.
    """
    newer = attempt > record.attempt
    return replace(
        record,
        attempt=attempt,
        state=LeaseState.OPENED,
        place=at,
        seen_at=now,
        checkpoint=counts if newer else _further(record.checkpoint, counts),
        report=None if newer else record.report,
    )


def report(record: LeaseRecord, claim: Claim, now: datetime) -> LeaseRecord:
    """Return the lease with its worker's last word, its place free: the sequences are over.

    Unchanged for an older attempt, or where the worker's word is known.
    """
    if record.is_final or claim.attempt < record.attempt:
        return record
    if claim.attempt == record.attempt and record.report is not None:
        return record
    return replace(
        record, attempt=claim.attempt, state=LeaseState.OPENED, report=claim, seen_at=now
    )


def settle(record: LeaseRecord, claim: Claim, now: datetime) -> LeaseRecord:
    """Return the lease with the gateway's word, not yet durable; its place is free.

    A gateway that never heard of a raised attempt settles an older one: its word still counts.
    """
    if record.is_final or record.settlement is not None:
        return record
    return replace(record, settlement=claim, seen_at=now)


def close(record: LeaseRecord, state: LeaseState) -> LeaseRecord:
    """Return the lease in a final state, or expired; unchanged where it is final already."""
    return record if record.is_final else replace(record, state=state)


def merge(record: LeaseRecord, stored: LeaseRecord) -> LeaseRecord:
    """Return what holds when the database may know more of a lease than its holders showed."""
    if stored.is_final or record.is_final:
        return record if record.is_final else stored
    if stored.attempt > record.attempt:
        return replace(stored, settlement=record.settlement, seen_at=record.seen_at)
    if stored.attempt < record.attempt:
        return record
    return replace(
        record,
        checkpoint=_further(record.checkpoint, stored.checkpoint),
        report=record.report or stored.report,
    )


@dataclass(frozen=True)
class Verdict:
    """What the sweeper does with a quiet lease: charges the claim, or voids it without one."""

    state: LeaseState
    claim: Claim | None = None


def judge(record: LeaseRecord, now: datetime, patience: Patience) -> Verdict | None:
    """Return what silence means for a lease by now; None while it is to be borne.

    The gateway's word counts before the worker's, that before the last checkpoint.
    """
    quiet = now - record.seen_at
    if record.is_final or (record.state is LeaseState.EXPIRED and record.settlement is None):
        return None
    if record.settlement is not None:
        due = quiet >= patience.gateway_grace
        return Verdict(LeaseState.SETTLED, record.settlement) if due else None
    if record.report is not None:
        due = quiet >= patience.gateway_grace
        return Verdict(LeaseState.SWEPT, record.report) if due else None
    if record.state is LeaseState.OPENED:
        due = quiet >= patience.sweep_grace
        return Verdict(LeaseState.SWEPT, _last_checkpoint(record)) if due else None
    due = now >= max(record.expires_at, record.seen_at) + patience.expiry_margin
    return Verdict(LeaseState.EXPIRED) if due else None


def _last_checkpoint(record: LeaseRecord) -> Claim:
    facts, seen = record.facts, record.checkpoint
    counts = Counts(
        facts.prompt_tokens,
        min(seen.cached_prompt_tokens, facts.prompt_tokens),
        min(seen.completion_tokens, facts.max_completion_tokens),
    )
    return Claim(record.attempt, counts, Outcome.FAILED, Source.SWEEPER)


def _further(one: Counts, other: Counts) -> Counts:
    return max(one, other, key=lambda counts: counts.completion_tokens)
