import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from formwork_client.testing import ScriptedServer, calls, says

README = Path(__file__).parents[2] / "client" / "README.md"


def test_the_first_example_of_the_readme_runs(
    start: Callable[..., ScriptedServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = start(calls(("price", {"item": "pear", "amount": 3})), says("2.25 euros"))
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    example = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example[1], encoding="utf-8")
    runpy.run_path(str(script))
    assert capsys.readouterr().out == "2.25 euros\n"
    assert server.requests[1]["messages"][-1]["content"] == "2.25"
