"""The clients that people use, unchanged, against a whole mesh with the built-in model."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.testing import MeshForTests

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "docs" / "clients.md"
OWN = HERE.parents[1] / ".venv" / "bin" / "python"
PYTHON = HERE / "python" / ".venv" / "bin" / "python"


@pytest.mark.parametrize(
    ("interpreter", "script"),
    [
        (OWN, "python/openai_checks.py"),
        (PYTHON, "python/openai_checks.py"),
        (PYTHON, "python/instructor_checks.py"),
        (PYTHON, "python/langchain_checks.py"),
        ("node", "node/openai.mjs"),
        ("node", "node/ai.mjs"),
    ],
)
def test_what_docs_say_of_a_client_is_what_works(
    trained_mesh: MeshForTests, trained_key: str, interpreter: Path | str, script: str
) -> None:
    found = run_checks(trained_mesh, trained_key, str(interpreter), HERE / script)
    assert found
    assert [f"{check['what']}: {check['error']}" for check in found if check["error"]] == []
    documented = read_table()
    rows = [write_row(check) for check in found]
    missing = [row for row in rows if row not in documented]
    assert not missing, "\n".join(["docs/clients.md lacks:", *missing])
    about = {row for row in documented if row.split("|")[1:3] == rows[0].split("|")[1:3]}
    assert about == set(rows)


def run_checks(
    mesh: MeshForTests, key: str, interpreter: str, script: Path
) -> list[dict[str, str | None]]:
    """Return what came of each check of a script."""
    if shutil.which(interpreter) is None and interpreter == "node":
        pytest.skip("node is not there: it is the one thing that `make clients` does not install")
    assert shutil.which(interpreter), f"{interpreter} is not there: type `make clients` first"
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {"OPENAI_BASE_URL": mesh.base_url, "OPENAI_API_KEY": key}
    answer = subprocess.run(  # noqa: S603 - our own scripts
        [interpreter, str(script)],
        env={**environment, "FORMWORK_MODEL": "formwork-mini"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def write_row(check: dict[str, str | None]) -> str:
    """Return a check as a row of the table in docs/clients.md."""
    return f"| {check['client']} | {check['version']} | {check['what']} |"


def read_table() -> list[str]:
    """Return the rows of the table in docs/clients.md."""
    return re.findall(r"^\|.*\|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
