"""Cutting work into calls that messages have room for."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def cut_into_batches(
    items: Iterable[T], size_of: Callable[[T], int], *, most_size: int, most_items: int
) -> Iterator[list[T]]:
    """Yield the items in order, in as few batches as fit; one that is too large is alone in its."""
    batch: list[T] = []
    total = 0
    for item in items:
        size = size_of(item)
        if batch and (total + size > most_size or len(batch) == most_items):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield batch
