"""Reports outlive the worker, whatever happens to it."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from formwork.scheduler.v1.scheduler_pb2 import Lease, ReportRequest, SignedLease

from sampler_service.spool import Spool, SpoolError

WRITER = """
    import sys, time
    from pathlib import Path
    from formwork.scheduler.v1.scheduler_pb2 import Lease, ReportRequest, SignedLease
    from sampler_service.spool import Spool

    spool = Spool(Path(sys.argv[1]), "w1", 100)
    for number in range(3):
        lease = Lease(lease_id=f"l{number}").SerializeToString()
        spool.put(ReportRequest(lease=SignedLease(lease=lease)))
    print("written", flush=True)
    time.sleep(60)
"""


def report(number: int) -> ReportRequest:
    lease = Lease(lease_id=f"l{number}").SerializeToString()
    made = ReportRequest(lease=SignedLease(lease=lease))
    made.counts.completion_tokens = number
    return made


def pending(spool: Spool) -> list[int]:
    return [one.counts.completion_tokens for _, one in spool.pending()]


def test_reports_stay_until_they_are_removed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "w1", 10)
    names = [spool.put(report(number)) for number in (1, 2, 3)]
    spool.remove(names[1])
    spool.close()
    assert sorted(pending(Spool(tmp_path, "w1", 10))) == [1, 3]


def test_a_report_of_the_same_lease_replaces_the_earlier(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "w1", 10)
    spool.put(report(1))
    spool.put(report(1))
    assert len(spool) == 1


def test_a_worker_takes_over_what_dead_ones_left_but_not_from_the_living(tmp_path: Path) -> None:
    dead, living = Spool(tmp_path, "w1", 10), Spool(tmp_path, "w2", 10)
    dead.put(report(1))
    living.put(report(2))
    dead.close()
    heir = Spool(tmp_path, "w3", 10)
    assert pending(heir) == [1]
    assert pending(living) == [2]
    assert not (tmp_path / "w1").exists()


def test_reports_survive_a_kill(tmp_path: Path) -> None:
    process = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        with pytest.raises(SpoolError, match="belongs to a worker that runs"):
            Spool(tmp_path, "w1", 10)
        process.send_signal(signal.SIGKILL)
    assert len(Spool(tmp_path, "w1", 10)) == 3


def test_damaged_and_half_written_reports_are_dropped(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "w1", 10)
    names = [spool.put(report(number)) for number in range(5)]
    spool.close()
    folder = tmp_path / "w1"
    (folder / names[0]).write_bytes(b"")
    (folder / names[1]).write_bytes(b"FWR1abcdnonsense")
    data = (folder / names[2]).read_bytes()
    (folder / names[2]).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (folder / f"{names[3]}.new").write_bytes(data[:5])
    again = Spool(tmp_path, "w1", 10)
    assert sorted(pending(again)) == [3, 4]
    assert len(again) == 2


def test_the_oldest_is_dropped_when_the_spool_is_full(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "w1", 3)
    for number in range(5):
        spool.put(report(number))
    assert pending(spool) == [2, 3, 4]


@pytest.mark.parametrize("owner", ["", "..", "a/b", ".hidden", "x" * 200])
def test_an_owner_that_cannot_name_a_folder_is_refused(tmp_path: Path, owner: str) -> None:
    with pytest.raises(SpoolError):
        Spool(tmp_path, owner, 3)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError):
        Spool(tmp_path / "file", "w1", 3)
