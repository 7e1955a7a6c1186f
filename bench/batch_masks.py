"""Batches of masks: on one thread and two; memory.

    python bench/batch_masks.py [--batch 256]

The vocabulary is the 131,072 tokens of `mistral_common/data/tekken_240911.json` (`pip install
--no-deps mistral-common==1.13.1`, or the file itself in TEKKEN_JSON). Texts are random walks
that close in time. Run it on a quiet machine with two free cores: the figures are wall time, and
each is the median of repeated runs.
"""

import argparse
import base64
import importlib.util
import json
import os
import pathlib
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from formwork_engine import (
    Index,
    JsonSchema,
    Vocabulary,
    compile_index,
    fill_masks,
)
from numpy.typing import NDArray

SPECIALS, END, WALK = 1000, 2, 60  # a byte is the token SPECIALS + byte
HOSTILE = {
    "type": "array",
    "items": {"type": "string", "pattern": "^(?:[a-f]|[c-k]x?)*(?:ab|[a-k]c)[a-k]{24}$"},
}
IRREGULAR = {
    "type": "array",
    "items": {
        "type": "string",
        "pattern": r"^(?:[\p{L}--]x?|[a-z]{3}){0,40}(?:ab|[\p{Lu}]c)[\p{L}]{24}$",
    },
}


def load_vocabulary() -> Vocabulary:
    """Return the vocabulary of the installed data file."""
    data = json.loads(_file().read_bytes())
    size = data["config"]["default_vocab_size"]
    tokens = [b""] * size
    for entry in data["vocab"][: size - SPECIALS]:
        tokens[SPECIALS + entry["rank"]] = base64.b64decode(entry["token_bytes"])
    return Vocabulary(tokens, special_ids=range(SPECIALS), end_ids=[END])


def _file() -> pathlib.Path:
    if path := os.environ.get("TEKKEN_JSON"):
        return pathlib.Path(path)
    spec = importlib.util.find_spec("mistral_common")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("pip install --no-deps mistral-common==1.13.1")
    return pathlib.Path(spec.submodule_search_locations[0]) / "data" / "tekken_240911.json"


def schema_of(seed: int) -> dict[str, object]:
    """Return one of many schemas of the kind that callers send."""
    rng = np.random.default_rng(seed)
    kinds: list[dict[str, object]] = [
        {"type": "string"},
        {"type": "integer", "minimum": 0, "maximum": int(rng.integers(10, 9999))},
        {"type": "string", "enum": [f"option {n}" for n in range(int(rng.integers(2, 9)))]},
        {"type": "array", "items": {"type": "string", "maxLength": 40}, "maxItems": 4},
        {"type": "string", "format": "date"},
        {"type": "boolean"},
    ]
    names = [f"{stem}_{seed}" for stem in ("title", "count", "choice", "tags", "day", "ready")]
    chosen = rng.permutation(len(kinds))[: int(rng.integers(2, 7))]
    properties = {names[place]: kinds[place] for place in sorted(chosen.tolist())}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


class Walk:
    """A cursor that is led at random to the end of its text, again and again."""

    def __init__(self, index: Index, seed: int) -> None:
        self.index, self.rng = index, np.random.default_rng(seed)
        self.row = np.zeros(index.vocabulary.words, dtype=np.int32)
        self.tokens = self._tokens()
        self.restart()

    def _tokens(self) -> list[int]:
        cursor, tokens = self.index.cursor(), list[int]()
        cursor.close_within(WALK)
        while not cursor.is_finished:
            cursor.fill_mask(self.row)
            token = self._chosen()
            if not cursor.leaves_room(token):
                cursor.fill_closing_mask(self.row)
                token = self._chosen()
            cursor.advance(token)
            tokens.append(token)
        return tokens

    def _chosen(self) -> int:
        bits = np.unpackbits(self.row.view(np.uint8), bitorder="little")
        return int(self.rng.choice(np.flatnonzero(bits)))

    def restart(self) -> None:
        """Begin at the start again."""
        self.cursor, self.place = self.index.cursor(), 0

    def step(self) -> None:
        """Take the next token."""
        if self.place == len(self.tokens):
            self.restart()
        self.cursor.advance(self.tokens[self.place])
        self.place += 1
        if self.cursor.is_finished:
            self.restart()


def measure(repetitions: int, work: Callable[[], object]) -> list[float]:
    """Return the seconds of each of some runs."""
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times


def report_threads(walks: list[Walk], out: NDArray[np.int32]) -> None:
    """Print what two threads are worth, for masks that are remembered and for first ones."""
    cursors, rows = [walk.cursor for walk in walks], list(range(len(walks)))
    for _ in range(5):
        fill_masks(cursors, rows, out, 2)
    ratios = []
    for _ in range(30):
        one, two = (measure(5, partial(fill_masks, cursors, rows, out, n)) for n in (1, 2))
        ratios.append((statistics.median(one), statistics.median(two)))
    medians = [statistics.median(times) * 1e6 for times in zip(*ratios, strict=True)]
    best = max(a / b for a, b in ratios)
    print(f"remembered: {medians[0]:.0f} us on one thread, {medians[1]:.0f} us on two")
    print(f"  {medians[0] / medians[1]:.2f} times as fast at the median, {best:.2f} at best")
    first: dict[int, list[float]] = {1: [], 2: []}
    for repetition in range(6):
        threads = 1 + repetition % 2
        fresh = [
            compile_index(JsonSchema(json.dumps(schema_of(seed))), out_vocabulary(walks))
            for seed in rows
        ]
        places = [index.cursor() for index in fresh]
        for cursor, walk in zip(places, walks, strict=True):
            for token in walk.tokens[: walk.place]:
                cursor.advance(token)
        first[threads] += measure(1, partial(fill_masks, places, rows, out, threads))
    alone, both = (statistics.median(first[threads]) * 1e3 for threads in (1, 2))
    print(f"first ones: {alone:.1f} ms on one thread, {both:.1f} on two: {alone / both:.2f} times")


def out_vocabulary(walks: list[Walk]) -> Vocabulary:
    """Return the vocabulary of some walks."""
    return walks[0].index.vocabulary


def report_memory(walks: list[Walk]) -> None:
    """Print what a cursor takes, with its tokens."""

    def in_use() -> int:
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before, cursors = in_use(), []
    for number in range(40_000):
        walk = walks[number % len(walks)]
        cursor = walk.index.cursor()
        for token in walk.tokens[:-1]:
            cursor.advance(token)
        cursors.append(cursor)
    each = (in_use() - before) / len(cursors)
    print(f"memory: {each:.0f} bytes a cursor of some {WALK} tokens")


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=256)
    given = parser.parse_args()
    vocabulary = load_vocabulary()
    schemas = [JsonSchema(json.dumps(schema_of(seed))) for seed in range(given.batch)]
    start = time.perf_counter()
    walks = [Walk(compile_index(s, vocabulary), seed) for seed, s in enumerate(schemas)]
    print(f"{given.batch} walks that close in {WALK}: {time.perf_counter() - start:.1f} s")
    for seed, walk in enumerate(walks):
        for _ in range(seed % 20):
            walk.step()
    report_threads(walks, np.zeros((given.batch, vocabulary.words), dtype=np.int32))
    report_memory(walks)


if __name__ == "__main__":
    main()
