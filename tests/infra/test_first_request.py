import re
from pathlib import Path

from infra.client_env import read_key
from infra.first_request import (
    FirstAnswer,
    describe_answer,
    describe_request,
    read_server_timing,
)


def test_a_server_timing_header_is_read() -> None:
    header = "queue;dur=0.3, compile;dur=68.5, prefill;desc=x;dur=14, total"
    assert read_server_timing(header) == {"queue": 0.3, "compile": 68.5, "prefill": 14.0}
    assert read_server_timing("") == {}


def test_the_request_is_shown_with_its_schema() -> None:
    assert "guests: integer" in describe_request()


def test_where_the_time_went_adds_up() -> None:
    answer = FirstAnswer(
        "{}", "m", "stop", None, 1500.0, 700.0, {"queue": 50.0, "compile": 100.0, "decode": 450.0}
    )
    [line] = [line for line in describe_answer(answer).splitlines() if "in all" in line]
    total, *parts = map(float, re.findall(r"([\d.]+) ms", line))
    assert sum(parts) == total == 1500.0


def test_the_key_is_read_back_from_client_env(tmp_path: Path) -> None:
    path = tmp_path / "client.env"
    assert read_key(path) is None
    path.write_text("OPENAI_BASE_URL=http://x/v1\n")
    assert read_key(path) is None
    path.write_text("OPENAI_BASE_URL=http://x/v1\nOPENAI_API_KEY=abc=\n")
    assert read_key(path) == "abc="
