"""The runner over the native forward: dense slots for keys and values, ragged steps.

A paged cache and CUDA graphs go behind the same interface; see `runner.Runner`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
import torch
from torch import Tensor

from sampler_service.llama import Llama, Span, StepPlan, causal_mask
from sampler_service.runner import BLOCK, KvBlock, Logits, Masks, Row, RunnerInfo, Slot
from sampler_service.tiles import Tilings

log = structlog.get_logger()


class NativeRunner:
    """Computes with a `Llama`, in slots of its whole context.

    Args:
        model: The forward.
        slots: How many sequences have keys and values at a time.
        determinism: What to tell of the numbers.
    """

    def __init__(self, model: Llama, *, slots: int, determinism: str = "seeded") -> None:
        self._model = model
        shape = model.shape
        self.info = RunnerInfo(
            slots=slots,
            context=shape.context,
            vocabulary=model.vocabulary,
            device_class=f"{model.device.type}/{str(model.dtype).removeprefix('torch.')}",
            determinism=determinism,
        )
        self._lengths = [0] * slots
        # one place more, which padding rows write to; pages are touched when they are used
        places = (shape.layers, 2, slots * shape.context + 1, shape.kv_heads, shape.head_dim)
        self._cache = torch.empty(places, dtype=model.dtype, device=model.device)

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
        spare = self._cache.shape[2] - 1
        builder = _PlanBuilder(self._model.device, self._model.tilings, spare)
        wanted = [builder.add(row, self._base(row.slot), self._advance(row)) for row in rows]
        hidden = self._model.forward(builder.build(), self._cache)
        last = [place for place in wanted if place is not None]
        logits = self._model.logits(hidden[last])
        return Logits(logits, torch.from_numpy(masks()).to(logits.device))

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

    def _advance(self, row: Row) -> int:
        """Count a row's tokens to its slot; return how many were there before."""
        before = self._lengths[row.slot]
        after = before + len(row.tokens)
        if after > self.info.context:
            raise ValueError(f"{after} tokens in a slot for {self.info.context}")
        if row.prompt and row.tokens and before // BLOCK != (after - 1) // BLOCK:
            raise ValueError(f"a run of a prompt from {before} to {after} crosses a block")
        self._lengths[row.slot] = after
        return before


@dataclass
class _Part:
    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    spans: list[tuple[int, int, int, int]] = field(default_factory=list)

    def add(self, tokens: Sequence[int], base: int, before: int) -> None:
        self.tokens += tokens
        positions = range(before, before + len(tokens))
        self.positions += positions
        self.places += [base + position for position in positions]

    def pad(self, length: int, spare: int) -> None:
        missing = length - len(self.tokens)
        self.tokens += [0] * missing
        self.positions += [0] * missing
        self.places += [spare] * missing


class _PlanBuilder:
    """Collects the rows of a step: single tokens in one part, runs of prompts in the other."""

    def __init__(self, device: torch.device, tilings: Tilings, spare: int) -> None:
        self._device = device
        self._tilings = tilings
        self._spare = spare
        self._singles = _Part()
        self._runs = _Part()

    def add(self, row: Row, base: int, before: int) -> int | None:
        """Add a row; return the place of its last token among singles if it wants logits."""
        part = self._runs if row.prompt else self._singles
        start = len(part.tokens)
        part.add(row.tokens, base, before)
        if row.prompt:
            part.spans.append((start, len(part.tokens), base, before + len(row.tokens)))
        else:
            for number in range(len(row.tokens)):
                part.spans.append((start + number, start + number + 1, base, before + number + 1))
        if row.wants_logits and row.prompt:
            raise ValueError("a prompt's run has no logits: its last token goes apart")
        return len(part.tokens) - 1 if row.wants_logits else None

    def build(self) -> StepPlan:
        cuts = self._pad()
        offset = len(self._singles.tokens)
        return StepPlan(
            tokens=self._tensor(self._singles.tokens + self._runs.tokens),
            positions=self._tensor(self._singles.positions + self._runs.positions),
            places=self._tensor(self._singles.places + self._runs.places),
            cuts=cuts,
            singles=tuple(Span(*span) for span in self._singles.spans),
            runs=tuple(self._run(offset, *span) for span in self._runs.spans),
        )

    def _pad(self) -> tuple[int, ...]:
        """Pad both parts, or what they make together where they share tiles; return the tiles."""
        singles, runs = self._singles, self._runs
        if self._tilings.shared:
            whole = self._tilings.prompts.pad(len(singles.tokens) + len(runs.tokens))
            runs.pad(whole - len(singles.tokens), self._spare)
            return self._tilings.prompts.cut(whole)
        singles.pad(self._tilings.tokens.pad(len(singles.tokens)), self._spare)
        runs.pad(self._tilings.prompts.pad(len(runs.tokens)), self._spare)
        own = self._tilings.tokens.cut(len(singles.tokens))
        return own + self._tilings.prompts.cut(len(runs.tokens))

    def _run(self, offset: int, start: int, stop: int, base: int, length: int) -> Span:
        before = length - (stop - start)
        mask = causal_mask(before, length, self._device) if before else None
        return Span(offset + start, offset + stop, base, length, mask)

    def _tensor(self, values: list[int]) -> Tensor:
        return torch.tensor(values, device=self._device)
