"""Batches that other processes make for a training."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from models.training.feeding import Feed, MakersLostError
from models.training.train import Plan

TOKENIZER = Path(__file__).parents[2] / "models" / "formwork-mini" / "tokenizer.json"


def feed(tokenizer_file: Path) -> Feed:
    plan = Plan(seconds=1.0, batch_tokens=2048, makers=1)
    return Feed(tokenizer_file, plan, seed=1, warm=1)


def test_batches_come_until_nobody_is_left_to_make_them() -> None:
    with feed(TOKENIZER) as source:
        batches = iter(source)
        assert all(0 < batch.tokens.numel() <= 2048 for batch in islice(batches, 3))
        for process in source._processes:
            process.kill()
            process.join()
        with pytest.raises(MakersLostError, match=r"exit statuses \[-9\]"):
            list(islice(batches, 100))


def test_makers_that_cannot_begin_are_an_error(tmp_path: Path) -> None:
    with feed(tmp_path / "nothing.json") as source, pytest.raises(MakersLostError, match=r"\[1\]"):
        next(iter(source))
