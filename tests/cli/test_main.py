from pathlib import Path

import pytest

from cli.main import UsageError, main, open_client, read_schema


def test_without_a_mesh_in_the_environment_it_says_what_to_source(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert main(["models"]) == 1
    assert "client.env" in capsys.readouterr().err


def test_the_environment_names_the_mesh() -> None:
    with open_client({"OPENAI_BASE_URL": "http://here/v1", "OPENAI_API_KEY": "k"}) as client:
        assert str(client.base_url) == "http://here/v1/"


def test_a_schema_file_becomes_a_response_format(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text('{"type": "object"}')
    assert read_schema(path)["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize("content", [None, "{"])
def test_an_unreadable_schema_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "schema.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=r"schema\.json"):
        read_schema(path)
