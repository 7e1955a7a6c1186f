from pathlib import Path

from infra.logfiles import bound_logs, open_log, tail


def test_a_log_that_grew_too_large_is_cut_below_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with open_log(path) as log:
        log.write(b"x" * 100)
        bound_logs(tmp_path, max_bytes=99)
        log.write(b"later\n")
    assert path.read_bytes() == b"later\n"
    assert (tmp_path / "a.log.1").read_bytes() == b"x" * 100


def test_a_small_log_stays(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("kept")
    bound_logs(tmp_path, max_bytes=4)
    assert (tmp_path / "a.log").read_text() == "kept"


def test_the_tail_skips_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("first\nlast\n\n\n")
    assert tail(tmp_path / "a.log") == "last"
    assert tail(tmp_path / "none.log") == ""
