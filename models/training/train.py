"""Trains the built-in model: `python -m models.training.train --minutes N --out DIR --resume`.

On a CPU several processes may train side by side, each on data of its own, and now and then set
their weights to the mean (local SGD, Stich 2019, arXiv:1805.09767). A busy core then slows one of
them, not all. On a GPU (`--device cuda`) one process trains, and `--makers` others make batches.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import torch
from tokenizers import Tokenizer
from torch import Tensor, distributed
from torch.multiprocessing.spawn import spawn
from torch.nn import functional

from models.training.batches import Batch, batches
from models.training.feeding import Feed
from models.training.initial import twins_of, write_copying_heads
from models.training.llama import Llama, LlamaConfig
from models.training.tasks import WARM_MIX, stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from models.training.samples import Sample

BUILT_IN = LlamaConfig(hidden_size=256, intermediate_size=512, layers=4, heads=4, kv_heads=4)
# For this many tokens of a batch the weights of its answers come to about one `Plan.answer_weight`.
BATCH_TOKENS, ANSWER_WEIGHT = 1024, 150.0


@dataclass(frozen=True)
class Plan:
    """Settings of a run; times are in seconds of wall clock, budgets in tokens."""

    seconds: float
    batch_tokens: int = BATCH_TOKENS
    warm_steps: int = 150
    rate: float = 1.5e-3
    decay_share: float = 0.5
    weight_decay: float = 0.01
    average: float = 0.995
    checkpoint_seconds: float = 180.0
    mean_seconds: float = 90.0
    processes: int = 1
    makers: int = 0

    @property
    def answer_weight(self) -> float:
        """About what the weights of the answers of a batch come to."""
        return ANSWER_WEIGHT * self.batch_tokens / BATCH_TOKENS


def rate_factor(plan: Plan, step: int, spent: float) -> float:
    """Warm up over 200 steps, hold, then fall linearly to 2 % at the deadline."""
    warm = min(1.0, (step + 1) / 200)
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
    met: int = -1
    averaged: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.adam = torch.optim.AdamW(
            self.model.parameters(),
            betas=(0.9, 0.98),
            weight_decay=self.plan.weight_decay,
            fused=self.device.type == "cuda",
        )
        self.averaged = {n: p.detach().clone() for n, p in self.model.state_dict().items()}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def train_on(self, batch: Batch) -> Tensor:
        """Take one step; return the weighted sum of the loss of the answers' tokens in nats.

        It is a sum because a mean would make the tokens of tasks with short answers, which share
        batches, count several times.
        """
        hidden = self.model.hidden_from(batch.first, batch.tokens, batch.positions)
        logits = self.model.logits(hidden.flatten(0, 1)[batch.where])
        loss = batch.weights @ functional.cross_entropy(logits, batch.targets, reduction="none")
        (loss / self.plan.answer_weight).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.adam.param_groups[0]["lr"] = self.plan.rate * rate_factor(
            self.plan, self.step, self.spent
        )
        self.adam.step()
        self.adam.zero_grad()
        self._average()
        self.step += 1
        self.tokens += batch.tokens.numel()
        return loss.detach()

    def _average(self) -> None:
        weight = min(self.plan.average, (self.step + 1) / (self.step + 10))
        state = self.model.state_dict()
        torch._foreach_lerp_(
            [self.averaged[name] for name in state], list(state.values()), 1 - weight
        )

    def take_mean(self) -> None:
        """Set the weights of every process to their mean, each counting by its steps since."""
        share = torch.tensor([self.step - self.met + 1e-3])
        total = share.clone()
        distributed.all_reduce(total)
        for state in (self.model.state_dict(), self.averaged):
            flat = torch.cat([value.flatten() for value in state.values()]) * (share / total)
            distributed.all_reduce(flat)
            parts = torch.split(flat, [v.numel() for v in state.values()])
            for value, mean in zip(state.values(), parts, strict=True):
                value.copy_(mean.view_as(value))
        self.met = self.step

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
        state = torch.load(path, map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.adam.load_state_dict(state["adam"])
        self.averaged = state["averaged"]
        self.step, self.spent, self.tokens = state["step"], state["spent"], state["tokens"]
        self.met = self.step - 1


def train(run: Run, source: Iterable[Batch], rank: int, checkpoint: Path, log: TextIO) -> None:
    """Train until the plan's time is spent; the clock goes on where a checkpoint left it."""
    plan, losses, answers = run.plan, torch.zeros((), device=run.device), 0.0
    began, saved, met = time.monotonic() - run.spent, run.spent, run.spent
    for batch in source:
        answers += float(batch.weights.sum())
        losses += run.train_on(batch.to(run.device))
        run.spent = time.monotonic() - began
        if run.step % 50 == 0:
            _report(run, losses.item() / answers, log)
            losses, answers = torch.zeros_like(losses), 0.0
        # Whole intervals only, so that every process meets the others equally often.
        while plan.processes > 1 and met + plan.mean_seconds <= min(run.spent, plan.seconds):
            run.take_mean()
            met += plan.mean_seconds
        ended = run.spent > plan.seconds
        if rank == 0 and (run.spent - saved > plan.checkpoint_seconds or ended):
            run.save(checkpoint)
            saved = run.spent
        if ended:
            return


def own_batches(run: Run, tokenizer: Tokenizer, rank: int) -> Iterator[Batch]:
    """Yield batches made in this process, warm-up first."""
    seed = run.step * run.plan.processes + rank
    warm, mixed = stream(seed, WARM_MIX), stream(seed + 1_000_000)

    def draw() -> Sample:
        return next(warm if run.step < run.plan.warm_steps else mixed)

    return batches(tokenizer, draw, run.plan.batch_tokens, random.Random(seed))


def _report(run: Run, loss: float, log: TextIO) -> None:
    print(
        f"step {run.step} minutes {run.spent / 60:.1f} loss {loss:.4f} tokens {run.tokens}",
        file=log, flush=True,
    )  # fmt: skip


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    plan: Plan
    out: Path
    folder: Path
    resume: bool
    device: str = "cpu"


def train_process(rank: int, options: Options) -> None:
    """Train as one of the plan's processes, on one thread."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.set_float32_matmul_precision("high")  # TF32, where there is a GPU
    torch.manual_seed(rank)
    if options.plan.processes > 1:
        meeting = (options.out / "meeting").resolve().as_uri()
        distributed.init_process_group(
            "gloo", init_method=meeting, rank=rank, world_size=options.plan.processes
        )
    model = Llama(BUILT_IN)
    tokenizer_file = options.folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    write_copying_heads(model, twins_of(tokenizer.get_vocab()))
    run = Run(model.to(options.device), options.plan)
    checkpoint = options.out / "checkpoint.pt"
    if options.resume:
        run.load(checkpoint)
    elif options.plan.processes > 1:
        run.take_mean()
    with (options.out / f"log{rank}.txt").open("a") as log:
        if not options.plan.makers:
            train(run, own_batches(run, tokenizer, rank), rank, checkpoint, log)
            return
        warm = max(0, options.plan.warm_steps - run.step)
        seed = run.step * options.plan.processes + rank
        with Feed(tokenizer_file, options.plan, seed=seed, warm=warm) as feed:
            train(run, feed, rank, checkpoint, log)


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, required=True, help="training time in total")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint and log")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--processes", type=int, default=1, help="one thread each")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--makers", type=int, default=0, help="processes that make the batches")
    parser.add_argument("--batch-tokens", type=int, default=BATCH_TOKENS)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--average", type=float, default=0.995, help="of the averaged weights")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "formwork-mini")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "meeting").unlink(missing_ok=True)
    plan = Plan(
        seconds=given.minutes * 60,
        batch_tokens=given.batch_tokens,
        rate=given.rate,
        average=given.average,
        processes=given.processes,
        makers=given.makers,
    )
    options = Options(plan, given.out, given.folder, given.resume, given.device)
    spawn(train_process, (options,), nprocs=given.processes)  # type: ignore[no-untyped-call]  # torch leaves it untyped


if __name__ == "__main__":
    main()
