"""What a lease is charged with here, and when it is over."""

from typing import Any

import pytest
from formwork.sampler.v1.sampler_pb2 import Open
from formwork.scheduler.v1 import scheduler_pb2

from mesh.errors import InternalError, LeaseInvalidError
from mesh.leases import sign_lease
from sampler_service.accounts import LeaseAccounts, WorkerIdentity
from sampler_service.openings import SequenceKey
from sampler_service.outputs import Finish, Output

KEY = b"k" * 32
NOW = 1000.0


@pytest.fixture
def accounts() -> LeaseAccounts:
    return LeaseAccounts(KEY, WorkerIdentity("w1", "small-1", "cpu/float32 seeded"))


def lease(**changes: Any) -> scheduler_pb2.SignedLease:  # noqa: ANN401 - fields by name
    values = {
        "lease_id": "l1",
        "attempt": 1,
        "worker_id": "w1",
        "snapshot": "small-1",
        "choices": 1,
        "prompt_tokens": 40,
        "max_completion_tokens": 20,
        "expires_at": {"seconds": 1060},
    }
    return sign_lease(KEY, scheduler_pb2.Lease(**values | changes))


def opened(signed: scheduler_pb2.SignedLease, choice: int = 0, tokens: int = 5) -> Open:
    sampling = {"max_tokens": 10}
    return Open(lease=signed, choice=choice, prompt_tokens=[6] * tokens, sampling=sampling)


def key(number: int) -> SequenceKey:
    return SequenceKey(1, number)


def reports(accounts: LeaseAccounts, now: float = NOW) -> list[scheduler_pb2.ReportRequest]:
    return list(accounts.take_ended(now))


def test_all_choices_count_and_the_prompt_once(accounts: LeaseAccounts) -> None:
    signed = lease(choices=2)
    for choice in (0, 1):
        message = opened(signed, choice, tokens=40)
        accounts.admit(message, NOW)
        accounts.open(key(choice), message)
    accounts.record(Output(key(0), tokens=3, cached_prompt_tokens=0))
    accounts.record(Output(key(1), tokens=4, cached_prompt_tokens=32))
    accounts.record(Output(key(0), tokens=1, finish=Finish.STOP))
    assert reports(accounts) == []
    checkpoint = accounts.checkpoints()[0]
    assert checkpoint.counts.completion_tokens == 8
    accounts.record(Output(key(1), tokens=1, finish=Finish.LENGTH))
    report = reports(accounts)[0]
    assert report.counts == scheduler_pb2.TokenCounts(prompt_tokens=40, completion_tokens=9)
    assert report.outcome == scheduler_pb2.OUTCOME_COMPLETED
    assert report.lease == signed
    assert not len(accounts)


def test_a_lease_is_reported_once_and_opens_nothing_more(accounts: LeaseAccounts) -> None:
    accounts.open(key(1), opened(lease()))
    accounts.record(Output(key(1), finish=Finish.STOP))
    assert len(reports(accounts)) == 1
    assert reports(accounts) == []
    with pytest.raises(LeaseInvalidError):
        accounts.admit(opened(lease()), NOW)


def test_attempts_are_apart(accounts: LeaseAccounts) -> None:
    accounts.open(key(1), opened(lease()))
    accounts.admit(opened(lease(attempt=2)), NOW)
    accounts.open(key(2), opened(lease(attempt=2)))
    accounts.record(Output(key(1), tokens=2, finish=Finish.STOP))
    assert [report.counts.completion_tokens for report in reports(accounts)] == [2]
    assert accounts.sequences_of({"l1"}) == [key(2)]


def test_an_unopened_choice_keeps_a_lease_until_its_stream_or_its_time_is_gone(
    accounts: LeaseAccounts,
) -> None:
    for number, stream in ((1, 1), (2, 2)):
        signed = lease(lease_id=f"l{number}", choices=2)
        accounts.open(SequenceKey(stream, 1), opened(signed))
    accounts.detach(1)
    for stream in (1, 2):
        accounts.record(Output(SequenceKey(stream, 1), finish=Finish.STOP))
    assert len(reports(accounts)) == 1
    assert len(reports(accounts, 2000.0)) == 1


@pytest.mark.parametrize(
    ("outputs", "outcome"),
    [
        ([Output(key(0), finish=Finish.ABORTED)], scheduler_pb2.OUTCOME_CANCELLED),
        ([Output(key(0), error=InternalError("x"))], scheduler_pb2.OUTCOME_FAILED),
        ([Output(key(0), finish=Finish.LENGTH)], scheduler_pb2.OUTCOME_COMPLETED),
    ],
)
def test_the_outcome_says_how_it_ended(
    accounts: LeaseAccounts, outputs: list[Output], outcome: int
) -> None:
    accounts.open(key(0), opened(lease()))
    for output in outputs:
        accounts.record(output)
    report = reports(accounts)[0]
    assert report.outcome == outcome
    assert bool(report.events) == (outcome == scheduler_pb2.OUTCOME_FAILED)


def test_an_open_lease_outlives_its_expiry_but_none_is_opened_after_it(
    accounts: LeaseAccounts,
) -> None:
    signed = lease(choices=2)
    accounts.admit(opened(signed), NOW)
    accounts.open(key(0), opened(signed))
    accounts.admit(opened(signed, 1), 5000.0)
    with pytest.raises(LeaseInvalidError):
        accounts.admit(opened(lease(lease_id="l2")), 1060.0)


def test_what_is_not_counted_here_is_left_alone(accounts: LeaseAccounts) -> None:
    accounts.record(Output(key(9), tokens=1, finish=Finish.STOP))
    assert reports(accounts) == []


def test_a_lease_is_for_so_many_tokens_over_all_choices(accounts: LeaseAccounts) -> None:
    signed = lease(choices=3)
    for choice in (0, 1):
        accounts.admit(opened(signed, choice), NOW)
        accounts.open(key(choice), opened(signed, choice))
    with pytest.raises(LeaseInvalidError, match="fewer tokens"):
        accounts.admit(opened(signed, 2), NOW)
    with pytest.raises(LeaseInvalidError, match="fewer tokens"):
        accounts.admit(opened(lease(lease_id="l2"), tokens=41), NOW)
