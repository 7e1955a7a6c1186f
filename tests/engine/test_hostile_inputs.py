"""Inputs made to cost much, each in a process of its own, with default budgets.

python bench/hostile_inputs.py --sizes 34,21,13 --seeds 5 tries more of them, and larger ones.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = "5"  # of a busy machine's processor: a free one takes less than one for each
SIZE = "5"


def test_any_input_gives_an_index_or_a_typed_error_in_bounded_time_and_memory() -> None:
    command = ["bench/hostile_inputs.py", "--sizes", SIZE, "--seconds", SECONDS]
    tried = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr
