"""The grammar engine's figures beside llguidance's, from one run: `make bench-engine`.

    python bench/engine_table.py HARNESS [--sample 400] [--seed 1] [--python PYTHON]

HARNESS is the folder of the engines' benchmark harness (`maskbench.py` and its siblings); PYTHON is
one in which its packages and this engine are installed. Every part runs alone, on one core; a
quiet machine is up to the caller. Speed is taken with the default options, which write one
spelling in the schema's order; coverage with whitespace, all spellings and any order.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
ADAPTER = str(HERE / "engine_adapter.py")
PEER = "llguidance"
SUITE = "jsts-draft2020-12-core"


@dataclass(frozen=True)
class Bench:
    """Where the harness is, what runs it, and which schemas it takes."""

    harness: Path
    python: str
    sample: int
    seed: int

    def run(self, title: str, script: str, *arguments: str, **environment: str) -> None:
        """Run one script of the harness, or of this folder, and show what it prints."""
        print(f"\n## {title}", flush=True)
        path = self.harness / script if (self.harness / script).exists() else HERE / script
        subprocess.run(  # noqa: S603 - scripts of the caller's own folder
            [self.python, str(path), *arguments],
            cwd=self.harness,
            env={**os.environ, **environment},
            check=False,
        )

    def vocabulary(self) -> str:
        """Return where the harness's Python keeps the vocabulary."""
        code = "import mistral_common; print(mistral_common.__path__[0])"
        found = subprocess.run(  # noqa: S603 - as above
            [self.python, "-c", code], check=True, capture_output=True, text=True
        )
        return str(Path(found.stdout.strip()) / "data" / "tekken_240911.json")

    def masks(self, engine: str, out: Path, **environment: str) -> None:
        """Run the schemas' instances through an engine."""
        taken = ("--sample", str(self.sample), "--seed", str(self.seed))
        self.run(
            f"masks: {engine}", "maskbench.py", "--engine", engine, *taken, "--out", str(out),
            **environment,
        )  # fmt: skip


def show_table(bench: Bench, folder: Path) -> None:
    """Print every part of the table."""
    wide, suite = folder / "wide.jsonl", folder / "suite.jsonl"
    ours, peer = folder / "ours.jsonl", folder / "peer.jsonl"
    bench.masks(f"{ADAPTER}:wide", wide)
    bench.run(
        "suite", "maskbench.py", "--engine", f"{ADAPTER}:wide+annotate", "--prefix", SUITE,
        "--out", str(suite), BENCH_VOCAB="bytes",
    )  # fmt: skip
    bench.run("keywords", "matrix.py", "--engines", f"{ADAPTER}:wide", PEER)
    bench.masks(ADAPTER, ours, BENCH_COMPACT="1")
    bench.masks(PEER, peer, BENCH_COMPACT="1")
    both = ("--summary", str(ours), str(peer), "--common", "compiled")
    bench.run("speed, schemas that both compile", "maskbench.py", *both)
    bench.run("filled and loaded", "filled.py", "--engine", ADAPTER, BENCH_COMPACT="1")
    for engine in (ADAPTER, PEER):
        bench.run(f"tool sets: {engine}", "tools.py", "--engine", engine)
    bench.run("batches, memory", "batch_masks.py")
    worker = replace(bench, python=sys.executable)  # the harness's has no worker
    worker.run("a hostile sequence in a batch", "hostile_batch.py", TEKKEN_JSON=bench.vocabulary())
    bench.run("forced tokens", "forced_tokens.py", ".", "--llguidance")


def main() -> None:
    """Parse the command line and run the benches."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("harness", type=Path)
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    if not (given.harness / "maskbench.py").is_file():
        parser.error(f"no maskbench.py in {given.harness}: name the harness's folder")
    bench = Bench(given.harness.resolve(), given.python, given.sample, given.seed)
    with tempfile.TemporaryDirectory() as folder:
        show_table(bench, Path(folder))


if __name__ == "__main__":
    main()
