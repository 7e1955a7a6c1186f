"""A step on a processor: single tokens in one part, runs of prompts in the other, both ragged."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sampler_service.attention import Span, SpanAttention, causal_mask
from sampler_service.llama import Llama, StepPlan
from sampler_service.runner import Masks
from sampler_service.step_rows import PlacedRow
from sampler_service.tiles import Tilings


class RaggedForward:
    """Computes all rows of a step at once, in the tiles that this machine's kernels allow."""

    def __init__(self, model: Llama, cache: Tensor) -> None:
        self._model = model
        self._cache = cache

    def launch(self, rows: Sequence[PlacedRow]) -> Tensor:
        """Return logits of the rows that want them."""
        spare = self._cache.shape[2] - 1
        builder = _PlanBuilder(self._model.device, self._model.tilings, spare)
        wanted = [builder.add(row) for row in rows]
        hidden = self._model.forward(builder.build(), self._cache)
        last = [place for place in wanted if place is not None]
        return self._model.logits(hidden[last])

    def upload(self, masks: Masks) -> Tensor:
        """Return masks where the logits are."""
        return torch.from_numpy(masks).to(self._model.device)


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
    """Collects the rows of a step."""

    def __init__(self, device: torch.device, tilings: Tilings, spare: int) -> None:
        self._device = device
        self._tilings = tilings
        self._spare = spare
        self._singles = _Part()
        self._runs = _Part()

    def add(self, row: PlacedRow) -> int | None:
        """Add a row; return the place of its last token among singles if it wants logits."""
        part = self._runs if row.prompt else self._singles
        start, before, base = len(part.tokens), row.before, row.base
        part.add(row.tokens, base, before)
        if row.prompt:
            part.spans.append((start, len(part.tokens), base, before + len(row.tokens)))
        else:
            for number in range(len(row.tokens)):
                part.spans.append((start + number, start + number + 1, base, before + number + 1))
        return len(part.tokens) - 1 if row.wants_logits else None

    def build(self) -> StepPlan:
        cuts = self._pad()
        offset = len(self._singles.tokens)
        return StepPlan(
            tokens=self._tensor(self._singles.tokens + self._runs.tokens),
            positions=self._tensor(self._singles.positions + self._runs.positions),
            places=self._tensor(self._singles.places + self._runs.places),
            cuts=cuts,
            attention=SpanAttention(
                singles=tuple(Span(*span) for span in self._singles.spans),
                runs=tuple(self._run(offset, *span) for span in self._runs.spans),
            ),
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
