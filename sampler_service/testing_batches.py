"""Openings of sequences, and what a batch told about them, for tests."""

import random
from collections.abc import Callable
from typing import Any

from formwork_engine.cursor import Cursor
from formwork_engine.index import Index

from sampler_service.batch import Batch
from sampler_service.openings import Opening, SamplingOptions, SequenceKey
from sampler_service.testing import Told, run_batch
from sampler_service.testing_models import END_ID

ENDLESS = {END_ID: -1000.0}
"""A bias under which text does not end by itself."""


def key(number: int) -> SequenceKey:
    """Return the name of a sequence of stream 1."""
    return SequenceKey(1, number)


def prompt(number: int, length: int = 30) -> tuple[int, ...]:
    """Return a prompt, the same for the same number."""
    chosen = random.Random(number)  # noqa: S311 - no secrets
    return tuple(chosen.randrange(6, 300) for _ in range(length))


def opening(number: int, **changes: Any) -> Opening:  # noqa: ANN401 - fields by name
    """Return an opening; `options` are merged with those of a warm, short text."""
    fields = {"temperature": 1.2, "seed": number, "max_tokens": 30}
    options = SamplingOptions(**fields | changes.pop("options", {}))
    values: dict[str, Any] = {
        "key": key(number),
        "prompt": prompt(number),
        "options": options,
        "deadline": float("inf"),
    }
    return Opening(**values | changes)


def decode(
    batch: Batch,
    *openings: Opening,
    index: Index | None = None,
    cursor: Callable[[], Cursor] | None = None,
) -> dict[int, Told]:
    """Run a batch until its sequences have ended; return what was told, by number."""
    for one in openings:
        batch.open(one)
        if one.constrained and (index is not None or cursor is not None):
            batch.bind(one.key, cursor() if cursor is not None else index.cursor())  # type: ignore[union-attr] # one of them is there
    return {told.sequence: said for told, said in run_batch(batch).items()}


def signature(told: Told) -> tuple[object, ...]:
    """Everything of a sequence that must not depend on its company, floats bit by bit."""
    logprobs = [
        (token.token_id, token.logprob.hex(), tuple((i, value.hex()) for i, value in token.top))
        for output in told.outputs
        for token in output.logprobs
    ]
    return told.text, told.tokens, told.last.finish, tuple(logprobs)
