"""A step on CUDA: tiles of one fixed number of rows, each the replay of a graph.

Whatever a step is made of, its kernels have the same shapes, so that their sums have the same
order; only attention is launched for fewer rows where a tile is not full, which changes no row. A
tile's keys are written before the next tile begins: a run of a prompt may go over several.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sampler_service.attention import Attention
from sampler_service.llama import Llama, StepPlan
from sampler_service.runner import Masks
from sampler_service.step_rows import PlacedRow
from sampler_service.tiles import CUDA_ROWS
from sampler_service.uploads import SideStream, pin

Work = Callable[[], None]
MakeAttention = Callable[[Tensor, Tensor, int], Attention]
"""Of bases and lengths of the rows, and of how many are not padding; see `row_attention`."""

_PASSES = (16, 64, CUDA_ROWS)  # rows that attention is launched for


class TileForward:
    """Computes the rows of a step in tiles.

    Args:
        model: The model.
        cache: Its keys and values; the last place is for padding rows.
        attend: Makes the attention of a tile.
        capture: Makes what replays a tile's work.
        sizes: Numbers of rows to launch attention for, ascending; the last one is a tile's.
    """

    def __init__(
        self,
        model: Llama,
        cache: Tensor,
        *,
        attend: MakeAttention,
        capture: Callable[[Work], Work],
        sizes: Sequence[int] = _PASSES,
    ) -> None:
        self._model = model
        self._tile = sizes[-1]
        self._spare = cache.shape[2] - 1
        self._side = SideStream(model.device)
        self._inputs = torch.empty((6, self._tile), dtype=torch.int64, device=model.device)
        self._inputs.copy_(torch.from_numpy(_Tile(self._tile).table(self._spare)))
        hidden = (self._tile, model.shape.hidden)
        self._last = torch.zeros(hidden, dtype=model.dtype, device=model.device)
        bases, lengths = self._inputs[3:5]
        self._passes = {
            size: capture(self._work(cache, attend(bases, lengths, size))) for size in sizes
        }

    def launch(self, rows: Sequence[PlacedRow]) -> Tensor:
        """Start a step; return logits that may not be computed yet."""
        logits = [self._compute(tile) for tile in _cut(rows, self._tile)]
        return logits[0] if len(logits) == 1 else torch.cat(logits)

    def upload(self, masks: Masks) -> Tensor:
        """Return masks where the logits are, copied while these are computed."""
        return self._side.send(torch.from_numpy(masks))

    def _compute(self, tile: "_Tile") -> Tensor:
        table = torch.from_numpy(tile.table(self._spare))
        self._inputs.copy_(pin(table, self._model.device), non_blocking=True)
        size = next(size for size in self._passes if size >= len(tile.columns))
        self._passes[size]()
        return self._model.logits(self._last[: len(tile.wanted)])

    def _work(self, cache: Tensor, attention: Attention) -> Work:
        """Return what a tile computes from the inputs: hidden states that get logits."""
        tokens, positions, places, _, _, wanted = self._inputs.unbind(0)
        plan = StepPlan(tokens, positions, places, (self._tile,), attention)

        @torch.inference_mode()
        def work() -> None:
            hidden = self._model.forward(plan, cache)
            torch.index_select(hidden, 0, wanted, out=self._last)

        return work


@dataclass
class _Tile:
    """Some rows of one token each: token, position, place, base, length."""

    size: int
    columns: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)

    def add(self, row: PlacedRow, start: int) -> int:
        """Add tokens of a row from `start` on; return how many there was room for."""
        tokens = row.tokens[start : start + self.size - len(self.columns)]
        base = row.base
        for position, token in enumerate(tokens, row.before + start):
            self.columns.append((token, position, base + position, base, position + 1))
        if row.wants_logits and tokens and start + len(tokens) == len(row.tokens):
            self.wanted.append(len(self.columns) - 1)
        return len(tokens)

    def table(self, spare: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Return the inputs of a tile, shape (6, size); padding writes to the place `spare`."""
        table = np.zeros((6, self.size), dtype=np.int64)
        table[2] = spare
        if self.columns:
            table[:5, : len(self.columns)] = np.array(self.columns, dtype=np.int64).T
        table[5, : len(self.wanted)] = self.wanted
        return table


def _cut(rows: Sequence[PlacedRow], size: int) -> list[_Tile]:
    tiles = [_Tile(size)]
    for row in rows:
        done = 0
        while done < len(row.tokens):
            if len(tiles[-1].columns) == size:
                tiles.append(_Tile(size))
            done += tiles[-1].add(row, done)
    return tiles
