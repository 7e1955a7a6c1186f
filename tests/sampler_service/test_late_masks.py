"""A mask that takes long holds up its own sequence, and changes no byte of anybody's."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from formwork_engine.cursor import Cursor, MaskStatus, fill_masks
from formwork_engine.index import Index, compile_index
from formwork_engine.inputs import Budget, JsonSchema
from numpy.typing import NDArray

from mesh.errors import LimitExceededError
from sampler_service import token_masks
from sampler_service.batch import Batch
from sampler_service.model_folder import ModelFolder
from sampler_service.outputs import Finish, Output
from sampler_service.testing import run_batch
from sampler_service.testing_batches import ENDLESS, decode, key, opening, signature

if TYPE_CHECKING:
    from sampler_service.openings import SequenceKey

MakeBatch = Callable[..., Batch]
HOSTILE = {
    "type": "array",
    "items": {
        "allOf": [
            {"type": "string"},
            *({"pattern": f"x.{{{distance}}}y"} for distance in (5, 9, 12, 15)),
        ]
    },
    "minItems": 1,
}
"""Cheap to begin with; then there is much to keep apart."""


class LateMasks:
    """Stands in for the engine: each mask of some cursors is late for so many calls.

    Args:
        delays: Calls, by cursor.
    """

    def __init__(self, delays: dict[Cursor, int]) -> None:
        self._delays = delays
        self._left = dict(delays)

    def fill(
        self,
        cursors: Sequence[Cursor],
        rows: Sequence[int],
        out: NDArray[np.int32],
        threads: int = 1,
        step_fuel: int | None = None,
    ) -> list[MaskStatus]:
        statuses = fill_masks(cursors, rows, out, threads, step_fuel)
        for place, cursor in enumerate(cursors):
            if self._left.get(cursor, 0) > 0:
                self._left[cursor] -= 1
                out[rows[place]] = 0
                statuses[place] = MaskStatus.LATER
            else:
                self._left[cursor] = self._delays.get(cursor, 0)
        return statuses


@pytest.fixture
def delay(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[Cursor, int]], None]:
    def delay(delays: dict[Cursor, int]) -> None:
        monkeypatch.setattr(token_masks, "fill_masks", LateMasks(delays).fill)

    return delay


def test_late_masks_change_no_byte_of_anybody(
    make_batch: MakeBatch, index: Index, delay: Callable[[dict[Cursor, int]], None]
) -> None:
    options = {"max_tokens": 80, "top_logprobs": 2}
    many = [opening(number, constrained=True, options=options) for number in range(6)]
    free = opening(9, options={"logit_bias": ENDLESS})
    expected = {
        n: signature(told) for n, told in decode(make_batch(), *many, free, index=index).items()
    }
    batch, cursors = make_batch(), [index.cursor() for _ in many]
    delay({cursors[0]: 1, cursors[1]: 3, cursors[4]: 7})
    batch.open(free)
    for one, cursor in zip(many, cursors, strict=True):
        batch.open(one)
        batch.bind(one.key, cursor)
    told = run_batch(batch)
    assert {k.sequence: signature(said) for k, said in told.items()} == expected


def test_a_late_mask_holds_up_nobody_else(
    make_batch: MakeBatch, index: Index, delay: Callable[[dict[Cursor, int]], None]
) -> None:
    batch, never, soon = make_batch(slots=1), index.cursor(), index.cursor()
    delay({never: 10**9})
    for number, cursor in enumerate((never, soon)):
        batch.open(opening(number, constrained=True, options={"max_tokens": 100}))
        batch.bind(key(number), cursor)
    told = run_batch(batch, mask_seconds=0)
    assert set(told) == {key(1)}
    assert json.loads(told[key(1)].text)
    assert batch.awaits_masks
    outputs, busy = batch.step()
    assert (outputs, busy) == ([], False)


def test_a_place_lost_while_a_mask_is_late_changes_nothing(
    make_batch: MakeBatch, index: Index, delay: Callable[[dict[Cursor, int]], None]
) -> None:
    ours = opening(100, constrained=True, options={"max_tokens": 80})
    expected = signature(decode(make_batch(), ours, index=index)[100])
    batch, cursor = make_batch(slots=12), index.cursor()
    delay({cursor: 40})
    batch.open(ours)
    batch.bind(ours.key, cursor)
    batch.step()
    for number in range(14):
        batch.open(opening(number, options={"max_tokens": 12, "logit_bias": ENDLESS}))
    lost = False
    told: dict[SequenceKey, list[Output]] = {}
    while batch.roster.find(ours.key) is not None:
        sequence = batch.roster.find(ours.key)
        lost = lost or (sequence is not None and sequence.held and sequence.slot is None)
        for output in batch.step()[0]:
            told.setdefault(output.key, []).append(output)
    assert lost
    assert "".join(output.text for output in told[ours.key]) == expected[0]


def test_a_paused_sequence_keeps_waiting_for_its_mask(
    make_batch: MakeBatch, index: Index, delay: Callable[[dict[Cursor, int]], None]
) -> None:
    batch, cursor = make_batch(), index.cursor()
    delay({cursor: 2})
    batch.open(opening(1, constrained=True, options={"max_tokens": 100}))
    batch.bind(key(1), cursor)
    batch.step()
    batch.pause(key(1), paused=True)
    assert batch.step() == ([], False)
    assert not batch.awaits_masks
    batch.pause(key(1), paused=False)
    assert json.loads(run_batch(batch)[key(1)].text)


@pytest.mark.parametrize("steps", [1, 300])
def test_real_late_masks_give_the_same_bytes(
    make_batch: MakeBatch, index: Index, steps: int
) -> None:
    """With so little fuel, most masks that are not remembered are late."""
    many = [opening(n, constrained=True, options={"max_tokens": 100}) for n in range(5)]
    expected = decode(make_batch(), *many, index=index)
    fresh = Index.load(index.dump(), index.vocabulary)
    told = decode(make_batch(mask_step_fuel=steps), *many, index=fresh)
    for number, said in expected.items():
        assert signature(told[number]) == signature(said)


def test_a_hostile_grammar_fails_alone_by_its_limit(
    make_batch: MakeBatch, folder: ModelFolder, index: Index
) -> None:
    budget = Budget(mask_fuel=300)
    hostile = compile_index(JsonSchema(json.dumps(HOSTILE)), folder.vocabulary, budget=budget)
    batch = make_batch(mask_step_fuel=50)
    for number, one in enumerate((index, hostile)):
        batch.open(opening(number, constrained=True, options={"max_tokens": 400}))
        batch.bind(key(number), one.cursor())
    told = run_batch(batch)
    error = told[key(1)].last.error
    assert isinstance(error, LimitExceededError)
    assert error.metadata == {"limit": "mask_fuel", "maximum": "300"}
    assert told[key(0)].last.finish is Finish.STOP
