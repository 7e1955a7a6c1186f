"""Measures a model folder: `python -m models.training.evaluate --model DIR --n 300`."""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Row:
    """A row of the table: its name, the task, and whether wordings are held out too."""

    name: str
    task: str
    new_wordings: bool = True


TABLE = (
    Row("extract, seen keys", "extract", new_wordings=False),
    Row("extract, new keys", "extract_new", new_wordings=False),
    Row("extract, seen keys, new wordings", "extract"),
    Row("extract, new keys, new wordings", "extract_new"),
    Row("wild schemas", "wild"), Row("JSON mode", "json_mode"), Row("classify", "classify"),
    Row("tool calls", "tools"), Row("tools not needed", "idle_tools"), Row("question", "question"),
    Row("chat", "chat"), Row("dark words, harmless", "harmless"), Row("harmful request", "refuse"),
)  # fmt: skip
MODES = ("free", "constrained")
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


@dataclass(frozen=True)
class Bench:
    """A model folder under measurement: n samples for each row of the goal, `rest` for others."""

    model: Llama
    folder: Path
    n: int
    rest: int

    def measure(self, row: Row, *, constrained: bool) -> Score:
        """Score held-out samples of a row."""
        source = held_out(row.task, SEED, new_wordings=row.new_wordings)
        samples = list(itertools.islice(source, self.rest if row.new_wordings else self.n))
        total = Score()
        for sample, text, ended in answers(
            self.model, self.folder, samples, constrained=constrained
        ):
            score(total, sample, text, ended=ended)
        return total


def percent(part: int, whole: int) -> str:
    """Write a share in per cent, or a dash where there is nothing to count."""
    return f"{100 * part / whole:.1f}" if whole else "-"


def table_row(name: str, mode: str, s: Score) -> str:
    """Write one line of the table."""
    cells = (
        name, mode, str(s.answers), percent(s.ended, s.answers),
        percent(s.valid, s.structured), percent(s.right_fields, s.fields),
        percent(s.exact, s.answers), percent(s.right_names, s.calls), percent(s.refused, s.answers),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def table(bench: Bench, rows: Sequence[Row], modes: Sequence[str] = MODES, show: int = 0) -> str:
    """Return the Markdown table of the rows, free and constrained."""
    lines = [
        (
            "| task | decoding | n | ended % | valid of ended % | fields % | exact % "
            "| call names % | refused % |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        for mode in modes:
            result = bench.measure(row, constrained=mode == "constrained")
            lines.append(table_row(row.name, mode, result))
            print(lines[-1], flush=True)  # noqa: T201 - progress of a command
            for sample, got in result.wrong[:show]:
                text = repr(sample.messages[-1][1])
                print(f"  text {text}\n  want {sample.answer}\n  got  {got}", flush=True)  # noqa: T201 - asked for
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
    parser.add_argument("--rest", type=int, help="samples for rows outside the goal, if not n")
    parser.add_argument("--tasks", nargs="*", help="only the rows of these tasks")
    parser.add_argument("--modes", nargs="*", default=list(MODES))
    parser.add_argument("--card", type=Path, help="write the table between this card's marks")
    parser.add_argument("--show", type=int, default=0, help="print this many wrong answers each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    rows = [row for row in TABLE if not options.tasks or row.task in options.tasks]
    rest = options.n if options.rest is None else options.rest
    bench = Bench(load_model(options.model), options.model, options.n, rest)
    text = table(bench, rows, options.modes, options.show)
    print(f"{time.monotonic() - began:.0f} s")  # noqa: T201 - the command's answer
    if options.card:
        write_into_card(options.card, text)


if __name__ == "__main__":
    main()
