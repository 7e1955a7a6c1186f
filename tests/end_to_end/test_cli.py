import json
from pathlib import Path

import openai
import pytest

from cli.main import main


@pytest.fixture(autouse=True)
def environment(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", str(client.base_url))
    monkeypatch.setenv("OPENAI_API_KEY", client.api_key)


def test_the_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert "formwork-mini-2026-11-26" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("how", [[], ["--stream"]])
def test_an_answer_to_a_schema_is_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, how: list[str]
) -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["cat", "dog"]}},
        "required": ["kind"],
        "additionalProperties": False,
    }
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(schema))
    assert main(["chat", "A cat.", "--schema", str(path), *how]) == 0
    assert capsys.readouterr().out.strip()  # a random model may also refuse, in its own words


def test_an_unknown_model_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "Hello", "--model", "none"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "none" in line
