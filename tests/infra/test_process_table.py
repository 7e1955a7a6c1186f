import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from infra.process_table import Identity, end_group, find_living, group_members, identify
from infra.testing import wait_until

# A leader that ignores SIGTERM where told to, with a child in its group.
_FAMILY = """
import signal, subprocess, sys, time
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


class Family:
    def __init__(self, kind: str) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _FAMILY, kind],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.child = psutil.Process(int(self.process.stdout.readline()))
        identity = identify(self.process.pid)
        assert identity is not None
        self.identity = identity


@pytest.fixture(params=["polite", "stubborn"])
def family(request: pytest.FixtureRequest) -> Iterator[Family]:
    family = Family(request.param)
    yield family
    for process in group_members(family.identity):
        process.kill()
    family.process.wait()
    family.process.stdout.close()


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_group_ends_with_its_leader_whatever_it_ignores(family: Family) -> None:
    end_group(family.identity, signal.SIGTERM, 0.5)
    wait_until(lambda: find_living(family.identity) is None, "the leader ends")
    wait_until(lambda: is_gone(family.child), "its child ends")


def test_what_a_dead_leader_left_is_found(family: Family) -> None:
    family.process.kill()
    family.process.wait()
    assert [process.pid for process in group_members(family.identity)] == [family.child.pid]
    end_group(family.identity, signal.SIGTERM, 0.5)
    wait_until(lambda: is_gone(family.child), "its child ends")


def test_a_pid_of_another_time_is_somebody_else() -> None:
    stale = Identity(os.getpid(), created=1_000_000.0)
    assert find_living(stale) is None
    end_group(Identity(os.getpgid(0), created=4e9), signal.SIGKILL, 0.1)  # we are still here
