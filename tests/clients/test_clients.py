"""The clients that people use, unchanged, against a whole mesh with the built-in model."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from infra.testing import MeshForTests

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "docs" / "clients.md"
OWN = HERE.parents[1] / ".venv" / "bin" / "python"
NODE = "node"
PYTHON = HERE / "python" / ".venv" / "bin" / "python"


SCRIPTS = (
    (OWN, "python/openai_checks.py"),
    (PYTHON, "python/openai_checks.py"),
    (PYTHON, "python/instructor_checks.py"),
    (PYTHON, "python/langchain_checks.py"),
    (NODE, "node/openai.mjs"),
    (NODE, "node/ai.mjs"),
)

Check = dict[str, str | None]
Drive = Callable[[Path | str, str], list[Check]]


@pytest.fixture(scope="module")
def drive(trained_mesh: MeshForTests, trained_key: str) -> Drive:
    """Return what has a script driven, once, and returns what came of its checks."""

    @cache
    def driven(interpreter: Path | str, script: str) -> list[Check]:
        return run_checks(trained_mesh, trained_key, str(interpreter), HERE / script)

    return driven


@pytest.mark.parametrize(("interpreter", "script"), SCRIPTS)
def test_what_docs_say_of_a_client_is_what_works(
    drive: Drive, interpreter: Path | str, script: str
) -> None:
    found = drive(interpreter, script)
    assert found
    assert [f"{check['what']}: {check['error']}" for check in found if check["error"]] == []
    documented = read_table()
    rows = [write_row(check) for check in found]
    missing = [row for row in rows if row not in documented]
    assert not missing, "\n".join(["docs/clients.md lacks:", *missing])
    about = {row for row in documented if pair_of(row) == pair_of(rows[0])}
    assert about == set(rows)


def test_every_row_is_of_a_client_and_version_that_were_driven(drive: Drive) -> None:
    has_node = shutil.which(NODE) is not None
    scripts = [(by, script) for by, script in SCRIPTS if has_node or by != NODE]
    driven = {pair_of(write_row(check)) for by, script in scripts for check in drive(by, script)}
    _, _, *rows = read_table()  # without its head
    documented = {pair_of(row) for row in rows if has_node or "(Node)" not in row}
    assert documented == driven


def test_what_is_installed_is_what_the_lock_files_have_hashes_of() -> None:
    pinned = (HERE / "python" / "requirements.in").read_text(encoding="utf-8").split()
    locked = (HERE / "python" / "requirements.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^(\S+==\S+) \\\n    --hash=sha256:", locked, re.MULTILINE)
    assert sorted(map(spell, entries)) == sorted(map(spell, pinned))
    packages = json.loads((HERE / "node" / "package-lock.json").read_bytes())["packages"]
    without = [name for name, entry in packages.items() if name and "integrity" not in entry]
    assert without == []


def spell(pin: str) -> str:
    """Return a pin with its name as registries compare it."""
    return pin.lower().replace("_", "-")


def run_checks(mesh: MeshForTests, key: str, interpreter: str, script: Path) -> list[Check]:
    """Return what came of each check of a script."""
    if shutil.which(interpreter) is None and interpreter == NODE:
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


def write_row(check: Check) -> str:
    """Return a check as a row of the table in docs/clients.md."""
    return f"| {check['client']} | {check['version']} | {check['what']} |"


def pair_of(row: str) -> tuple[str, str]:
    """Return client and version of a row."""
    client, version = row.split("|")[1:3]
    return client.strip(), version.strip()


def read_table() -> list[str]:
    """Return the rows of the table in docs/clients.md."""
    return re.findall(r"^\|.*\|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
