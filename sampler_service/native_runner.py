"""The runner over the native forward: dense slots for keys and values."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sampler_service.graphs import Graphs
from sampler_service.llama import Llama
from sampler_service.ragged_forward import RaggedForward
from sampler_service.runner import BLOCK, KvBlock, Logits, Masks, Row, RunnerInfo, Slot
from sampler_service.step_rows import Forward, PlacedRow
from sampler_service.tile_forward import TileForward


class NativeRunner:
    """Computes with a `Llama`, in slots of its whole context.

    Args:
        model: The model.
        slots: How many sequences have keys and values at a time.
        determinism: What to tell of the numbers.
        context: Tokens of a slot, where fewer than the model's are wanted.
        make_forward: Of the model and its cache; the device's by default.
    """

    def __init__(
        self,
        model: Llama,
        *,
        slots: int,
        determinism: str = "seeded",
        context: int | None = None,
        make_forward: Callable[[Llama, Tensor], Forward] | None = None,
    ) -> None:
        shape = model.shape
        self.info = RunnerInfo(
            slots=slots,
            context=context or shape.context,
            vocabulary=model.vocabulary,
            device_class=f"{model.device.type}/{str(model.dtype).removeprefix('torch.')}",
            determinism=determinism,
        )
        self._lengths = [0] * slots
        # one place more, which padding rows write to; pages are touched when they are used
        places = slots * self.info.context + 1
        sizes = (shape.layers, 2, places, shape.kv_heads, shape.head_dim)
        self._cache = torch.empty(sizes, dtype=model.dtype, device=model.device)
        self._forward = (make_forward or _make_forward)(model, self._cache)

    def prefill(self, slot: Slot, blocks: Sequence[KvBlock]) -> None:
        """Start a slot with a prompt's first blocks."""
        base = self._base(slot)
        for number, block in enumerate(blocks):
            start = base + number * BLOCK
            if not isinstance(block.values, Tensor):
                raise TypeError("a block of another runner")
            self._cache[:, :, start : start + BLOCK] = block.values
        self._lengths[slot] = len(blocks) * BLOCK

    @torch.inference_mode()
    def step(self, rows: Sequence[Row], masks: Callable[[], Masks]) -> Logits:
        """Append every row's tokens, and return logits of the rows that want them."""
        logits = self._forward.launch([self._place(row) for row in rows])
        return Logits(logits, self._forward.upload(masks()))

    def truncate(self, slot: Slot, length: int) -> None:
        """Forget a slot's tokens behind the first `length`."""
        self._lengths[slot] = min(self._lengths[slot], length)

    def free(self, slot: Slot) -> None:
        """Forget a slot's tokens."""
        self._lengths[slot] = 0

    def snapshot(self, slot: Slot, start: int) -> KvBlock:
        """Return a copy of the block of a slot that begins with token `start`."""
        if start % BLOCK or start + BLOCK > self._lengths[slot]:
            raise ValueError(f"no whole block at {start} of {self._lengths[slot]} tokens")
        base = self._base(slot) + start
        values = self._cache[:, :, base : base + BLOCK].clone()
        return KvBlock(values, values.nbytes)

    def _base(self, slot: Slot) -> int:
        return slot * self.info.context

    def _place(self, row: Row) -> PlacedRow:
        """Count a row's tokens to its slot; return where they go."""
        before = self._lengths[row.slot]
        after = before + len(row.tokens)
        if after > self.info.context:
            raise ValueError(f"{after} tokens in a slot for {self.info.context}")
        if row.prompt and row.tokens and before // BLOCK != (after - 1) // BLOCK:
            raise ValueError(f"a run of a prompt from {before} to {after} crosses a block")
        if row.prompt and row.wants_logits:
            raise ValueError("a prompt's run has no logits: its last token goes apart")
        self._lengths[row.slot] = after
        return PlacedRow(row.tokens, self._base(row.slot), before, row.prompt, row.wants_logits)


def _make_forward(model: Llama, cache: Tensor) -> Forward:
    if model.device.type != "cuda":
        return RaggedForward(model, cache)
    from sampler_service.row_attention import RowAttention  # noqa: PLC0415 - needs triton

    return TileForward(model, cache, attend=RowAttention, capture=Graphs().capture)
