"""Trains the built-in model: `python -m models.training.train --minutes N --out DIR --resume`."""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from models.training.batches import Batch, batches
from models.training.initial import write_copying_heads
from models.training.llama import Llama, LlamaConfig
from models.training.tasks import MIX, stream

if TYPE_CHECKING:
    from models.training.samples import Sample

BUILT_IN = LlamaConfig(hidden_size=256, intermediate_size=512, layers=5, heads=4, kv_heads=4)
# Copying is learnt first on short texts; the warm-up mix leans on it.
WARM_MIX = {**MIX, "echo": 0.5, "follow_up": 0.0}


@dataclass(frozen=True)
class Plan:
    """Settings of a run; times are in seconds of wall clock, budgets in tokens."""

    seconds: float
    batch_tokens: int = 1536
    warm_steps: int = 150
    rate: float = 6e-4
    decay_share: float = 0.5
    weight_decay: float = 0.01
    average: float = 0.998
    checkpoint_seconds: float = 180.0


def rate_factor(plan: Plan, step: int, spent: float) -> float:
    """Warm up over 100 steps, hold, then fall linearly to 2 % at the deadline."""
    warm = min(1.0, (step + 1) / 100)
    left = max(0.0, 1 - spent / plan.seconds)
    return max(0.02, warm * min(1.0, left / plan.decay_share))


@dataclass
class Run:
    """A model in training with its optimiser and its averaged weights."""

    model: Llama
    plan: Plan
    step: int = 0
    spent: float = 0.0
    tokens: int = 0
    averaged: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.adam = torch.optim.AdamW(
            self.model.parameters(), betas=(0.9, 0.98), weight_decay=self.plan.weight_decay
        )
        self.averaged = {n: p.detach().clone() for n, p in self.model.state_dict().items()}

    def train_on(self, batch: Batch) -> float:
        """Take one step; return the mean loss of the answer's tokens in nats."""
        hidden, _ = self.model.hidden(batch.tokens, batch.positions)
        logits = self.model.logits(hidden.flatten(0, 1)[batch.where])
        loss = functional.cross_entropy(logits, batch.targets)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.adam.param_groups[0]["lr"] = self.plan.rate * rate_factor(
            self.plan, self.step, self.spent
        )
        self.adam.step()
        self.adam.zero_grad()
        self._average()
        self.step += 1
        self.tokens += batch.tokens.numel()
        return loss.item()

    def _average(self) -> None:
        weight = min(self.plan.average, (self.step + 1) / (self.step + 10))
        for name, value in self.model.state_dict().items():
            self.averaged[name].lerp_(value, 1 - weight)

    def save(self, path: Path) -> None:
        """Write a checkpoint in one move."""
        state = {
            "model": self.model.state_dict(),
            "averaged": self.averaged,
            "adam": self.adam.state_dict(),
            "step": self.step,
            "spent": self.spent,
            "tokens": self.tokens,
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        state = torch.load(path)
        self.model.load_state_dict(state["model"])
        self.adam.load_state_dict(state["adam"])
        self.averaged = state["averaged"]
        self.step, self.spent, self.tokens = state["step"], state["spent"], state["tokens"]


def train(run: Run, tokenizer: Tokenizer, checkpoint: Path, log: TextIO) -> None:
    """Train until the plan's time is spent; the clock goes on where a checkpoint left it."""
    seed = run.step
    warm, mixed = stream(seed, WARM_MIX), stream(seed + 1)

    def draw() -> Sample:
        return next(warm if run.step < run.plan.warm_steps else mixed)

    began, saved, losses = time.monotonic() - run.spent, time.monotonic(), 0.0
    for batch in batches(tokenizer, draw, run.plan.batch_tokens, random.Random(seed)):
        losses += run.train_on(batch)
        run.spent = time.monotonic() - began
        if run.step % 50 == 0:
            per_second = run.tokens / run.spent
            print(
                f"step {run.step} minutes {run.spent / 60:.1f} loss {losses / 50:.4f}"
                f" tokens {run.tokens} ({per_second:.0f}/s)",
                file=log, flush=True,
            )  # fmt: skip
            losses = 0.0
        if time.monotonic() - saved > run.plan.checkpoint_seconds or run.spent > run.plan.seconds:
            run.save(checkpoint)
            saved = time.monotonic()
        if run.spent > run.plan.seconds:
            return


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, required=True, help="training time in total")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint and log")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "formwork-mini")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    model = Llama(BUILT_IN)
    write_copying_heads(model)
    run = Run(model, Plan(seconds=options.minutes * 60))
    checkpoint = options.out / "checkpoint.pt"
    if options.resume:
        run.load(checkpoint)
    tokenizer = Tokenizer.from_file(str(options.folder / "tokenizer.json"))
    with (options.out / "log.txt").open("a") as log:
        train(run, tokenizer, checkpoint, log)


if __name__ == "__main__":
    main()
