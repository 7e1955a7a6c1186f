"""What crosses the wire is held to the lease it comes with."""

from datetime import UTC, datetime

import pytest
from formwork.scheduler.v1 import scheduler_pb2 as pb

from mesh.errors import InvalidArgumentError
from mesh.ids import WorkerId
from scheduler.records import Counts, HeldLease, Source
from scheduler.testing import make_facts
from scheduler.wire import read_claim

FACTS = make_facts()
HELD = HeldLease(FACTS, 1, WorkerId("w"), datetime(2026, 1, 1, tzinfo=UTC))


def claim(prompt: int, cached: int, completion: int) -> Counts:
    counts = pb.TokenCounts(
        prompt_tokens=prompt, cached_prompt_tokens=cached, completion_tokens=completion
    )
    return read_claim(HELD, counts, pb.OUTCOME_COMPLETED, Source.GATEWAY).counts


def test_a_claim_within_its_lease_is_taken_as_it_is() -> None:
    assert claim(FACTS.prompt_tokens, 1, 1) == Counts(FACTS.prompt_tokens, 1, 1)


def test_a_claim_beyond_its_lease_is_cut_to_it() -> None:
    most = Counts(FACTS.prompt_tokens, FACTS.prompt_tokens, FACTS.max_completion_tokens)
    assert claim(2**31, 2**31, 2**31) == most


def test_more_cached_tokens_than_tokens_are_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        claim(1, 2, 1)
