"""Measures a model folder: `python -m models.training.evaluate --model DIR --n 300`."""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer

from models.training.constraint import END, constraint_for, load_constraint_tokenizer
from models.training.decode import greedy
from models.training.export import load_model
from models.training.samples import Sample, prompt_text
from models.training.scoring import Score, score
from models.training.tasks import held_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.training.llama import Llama

ROWS = 60
LIMIT = 256
SEED = 20_000
# Task, and what its row in the table is called.
ROWS_OF = {
    "extract": "extract, seen keys", "extract_new": "extract, new keys", "wild": "wild schemas",
    "json_mode": "JSON mode", "classify": "classify", "tools": "tool calls",
    "idle_tools": "tools not needed", "question": "question", "chat": "chat",
    "harmless": "dark words, harmless", "refuse": "harmful request",
}  # fmt: skip
MARK_START, MARK_END = "<!-- figures -->", "<!-- /figures -->"


def answers(
    model: Llama, folder: Path, samples: Sequence[Sample], *, constrained: bool
) -> Iterator[tuple[Sample, str, bool]]:
    """Yield each sample with the answer's text and whether it ended by itself."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    guide = load_constraint_tokenizer(folder)
    ordered = sorted(samples, key=lambda s: len(prompt_text(s)))
    for group in _batched(ordered):
        prompts = [tokenizer.encode(prompt_text(s)).ids for s in group]
        rules = [constraint_for(s, guide) if constrained else None for s in group]
        replies = greedy(model, prompts, rules, end=END, limit=LIMIT)
        for sample, reply in zip(group, replies, strict=True):
            ended = reply[-1] == END
            text = tokenizer.decode(reply[:-1] if ended else reply, skip_special_tokens=False)
            yield sample, text, ended


def _batched(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    return (samples[i : i + ROWS] for i in range(0, len(samples), ROWS))


def measure(model: Llama, folder: Path, task: str, n: int, *, constrained: bool) -> Score:
    """Score n held-out samples of a task."""
    samples = list(itertools.islice(held_out(task, SEED), n))
    total = Score()
    for sample, text, ended in answers(model, folder, samples, constrained=constrained):
        score(total, sample, text, ended=ended)
    return total


def percent(part: int, whole: int) -> str:
    """Write a share in per cent, or a dash where there is nothing to count."""
    return f"{100 * part / whole:.1f}" if whole else "-"


def table_row(task: str, mode: str, s: Score) -> str:
    """Write one line of the table."""
    cells = (
        ROWS_OF[task], mode, str(s.answers), percent(s.ended, s.answers),
        percent(s.valid, s.structured), percent(s.right_fields, s.fields),
        percent(s.exact, s.answers), percent(s.right_names, s.calls), percent(s.refused, s.answers),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def table(model: Llama, folder: Path, n: int, tasks: Sequence[str], *, show: int = 0) -> str:
    """Return the Markdown table of every task, free and constrained."""
    lines = [
        (
            "| task | decoding | n | ended % | valid of ended % | fields % | exact % "
            "| call names % | refused % |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for task in tasks:
        for mode in ("free", "constrained"):
            result = measure(model, folder, task, n, constrained=mode == "constrained")
            lines.append(table_row(task, mode, result))
            print(lines[-1], flush=True)  # noqa: T201 - progress of a command
            for wanted, got in result.wrong[:show]:
                print("   want", wanted, "\n   got ", got, flush=True)  # noqa: T201 - asked for
    return "\n".join(lines)


def write_into_card(card: Path, text: str) -> None:
    """Replace what stands between the marks of the card."""
    before, _, rest = card.read_text().partition(MARK_START)
    _, _, after = rest.partition(MARK_END)
    card.write_text(f"{before}{MARK_START}\n{text}\n{MARK_END}{after}")


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--tasks", nargs="*", default=list(ROWS_OF))
    parser.add_argument("--card", type=Path, help="write the table between this card's marks")
    parser.add_argument("--show", type=int, default=0, help="print this many wrong answers each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    text = table(
        load_model(options.model), options.model, options.n, options.tasks, show=options.show
    )
    print(f"{time.monotonic() - began:.0f} s")  # noqa: T201 - the command's answer
    if options.card:
        write_into_card(options.card, text)


if __name__ == "__main__":
    main()
