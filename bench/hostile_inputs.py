"""Whatever the input: an index or a typed error, soon, and in little memory.

    python bench/hostile_inputs.py [--sizes 34,13] [--seeds 3] [--shapes fan,ladder] [--walk 3]

Each input is compiled in a process of its own, with default budgets; then its mask is followed
for a few tokens. Prints a line for every input that breaks a limit, then how many there were and
the worst; exits with 1 if any did. Seconds are of a processor; memory is what compiling adds to the
process.
"""

import argparse
import json
import os
import random
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from formwork_engine import (
    EngineError,
    GrammarInput,
    Index,
    IndexOptions,
    PropertyOrder,
    Spellings,
    Vocabulary,
    Whitespace,
    compile_index,
)
from formwork_engine.testing import small_vocabulary

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.hostile_values import ALL as SHAPES

MOST_BYTES, MEBIBYTES, WATCHED_SECONDS = 1 << 20, 256, 30
WIDE = IndexOptions(
    whitespace=Whitespace.BOUNDED,
    max_whitespace=1,
    property_order=PropertyOrder.ANY,
    spellings=Spellings.ALL,
)


@dataclass
class Outcome:
    """What became of one input."""

    shape: str
    size: int
    seed: int
    answer: str = "no answer: crashed, or stopped after too long"
    seconds: float = WATCHED_SECONDS
    mebibytes: int = 0
    mask_seconds: float = 0.0

    def breaks(self, seconds: float) -> bool:
        """Return whether it took longer or more than it may, or ended otherwise."""
        slow = max(self.seconds, self.mask_seconds / 2) > seconds
        return slow or self.mebibytes > MEBIBYTES or self.answer.startswith("no answer")


def status(field: str) -> int:
    """Return a field of this process's status, in mebibytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) // 1024


def compile_watched(
    outcome: Outcome, grammar: GrammarInput, vocabulary: Vocabulary, options: IndexOptions
) -> Index | None:
    """Compile and measure."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start, index = status("VmRSS"), time.process_time(), None
    try:
        index = compile_index(grammar, vocabulary, options)
        outcome.answer = "an index"
    except EngineError as error:
        outcome.answer = f"{type(error).__name__}: {error}"[:100]
    outcome.seconds = time.process_time() - start
    outcome.mebibytes = status("VmHWM") - before
    return index


def follow(outcome: Outcome, index: Index, dice: random.Random, tokens: int) -> None:
    """Take tokens that the mask allows, and measure the longest step."""
    cursor, row = index.cursor(), np.zeros(index.vocabulary.words, dtype=np.int32)
    for _ in range(tokens):
        start = time.process_time()
        try:
            cursor.fill_mask(row)
            allowed = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little"))
            cursor.advance(int(dice.choice(allowed)))
        except EngineError:
            return
        finally:
            outcome.mask_seconds = max(outcome.mask_seconds, time.process_time() - start)
        if cursor.is_finished:
            return


def answer(outcome: Outcome, vocabulary: Vocabulary, tokens: int, pipe: int) -> NoReturn:
    """Do the work of one process, and write what came of it."""
    resource.setrlimit(resource.RLIMIT_CPU, (WATCHED_SECONDS, WATCHED_SECONDS))
    dice = random.Random(f"{outcome.shape} {outcome.size} {outcome.seed}")
    grammar = SHAPES[outcome.shape](dice, outcome.size)
    options = WIDE if dice.random() < 0.3 else IndexOptions()
    index = compile_watched(outcome, grammar, vocabulary, options)
    if index is not None:
        follow(outcome, index, dice, tokens)
    os.write(pipe, json.dumps(asdict(outcome)).encode())
    os._exit(0)


def run(outcome: Outcome, vocabulary: Vocabulary, tokens: int) -> Outcome:
    """Try one input in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        answer(outcome, vocabulary, tokens, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        written = pipe.read()
    os.waitpid(child, 0)
    return Outcome(**json.loads(written)) if written else outcome


def main() -> int:
    """Try all inputs that were asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="34,13")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--walk", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    asked = parser.parse_args()
    vocabulary = small_vocabulary()
    sizes = [int(size) for size in asked.sizes.split(",")]
    inputs = [
        Outcome(shape, size, seed)
        for shape in asked.shapes.split(",")
        for size in sizes
        for seed in range(asked.seeds)
    ]
    outcomes = [run(each, vocabulary, asked.walk) for each in inputs]
    broken = [outcome for outcome in outcomes if outcome.breaks(asked.seconds)]
    for outcome in broken:
        print(outcome)
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    largest = max(outcomes, key=lambda outcome: outcome.mebibytes)
    print(f"{len(outcomes)} inputs, {len(broken)} beyond a limit")
    print(f"slowest: {slowest}\nlargest: {largest}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
