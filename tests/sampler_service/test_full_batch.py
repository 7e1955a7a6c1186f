"""The load that benches measure a batch under."""

from collections.abc import Callable
from itertools import count

from formwork_engine.index import Index

from bench.full_batch import FullBatch, deal
from sampler_service.batch import Batch


def test_a_batch_stays_full_of_sequences_of_the_same_kinds(
    make_batch: Callable[..., Batch], index: Index
) -> None:
    batch, ticks = make_batch(slots=4), count()
    load = FullBatch(batch, [*deal([index], 2), *deal([], 2)], lambda: next(ticks), range(6, 36))
    opened = {sequence.key for sequence in batch.roster}
    kinds = []
    for _ in range(120):
        assert load.step() == 1000.0
        kinds.append(sorted(sequence.opening.constrained for sequence in batch.roster))
    assert kinds == [[False, False, True, True]] * 120
    assert opened.isdisjoint(sequence.key for sequence in batch.roster)
    assert load.failed == 0
    assert load.tokens >= 4 * 100
