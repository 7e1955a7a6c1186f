"""Batches keep to both bounds, and to the order."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mesh.batches import cut_into_batches


@given(st.lists(st.integers(0, 20)), st.integers(1, 30), st.integers(1, 5))
def test_batches_are_as_large_as_fits(sizes: list[int], most: int, count: int) -> None:
    batches = list(cut_into_batches(sizes, lambda size: size, most_size=most, most_items=count))
    assert [size for batch in batches for size in batch] == sizes
    for batch in batches:
        assert 1 <= len(batch) <= count
        assert sum(batch) <= most or len(batch) == 1
    for batch, following in itertools.pairwise(batches):
        assert len(batch) == count or sum(batch) + following[0] > most
