import subprocess
import sys
from pathlib import Path

from infra.postgres import find_server
from infra.testing import wait_until

_TESTS = """
import os, signal
from infra.testing import temporary_postgres
with temporary_postgres() as postgres:
    print(postgres.home.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_tests_that_are_killed_leave_nothing_running() -> None:
    killed = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _TESTS], stdout=subprocess.PIPE, text=True, check=False
    )
    home = Path(killed.stdout.strip())
    assert home.name.startswith("fw-")
    wait_until(lambda: not home.exists(), "the home is removed")
    assert find_server(home / "postgres" / "data") is None
