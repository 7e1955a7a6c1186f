"""What holds for the repository as a whole."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tracked() -> list[str]:
    answer = subprocess.run(
        ["git", "ls-files"],  # noqa: S607 - whichever git there is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in answer.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"])
def test_every_path_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    quoted = re.findall(r"`([\w./-]+)`", text) + re.findall(r"\]\(([\w./-]+)\)", text)
    own = {path.name for path in ROOT.iterdir()}
    paths = [name for name in quoted if "/" in name.rstrip("/") and name.split("/")[0] in own]
    missing = [name for name in paths if not (ROOT / name).exists()]
    assert paths
    assert missing == []


def test_every_folder_is_on_the_map() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folders = {name.split("/")[0] for name in tracked() if "/" in name} - {".ci"}
    assert [folder for folder in sorted(folders) if f"`{folder}/`" not in text] == []


# Pieces, so that this file does not find itself.
FORBIDDEN = {
    "a path of somebody's machine": re.compile(r"/(?:home|Users|root)/\w|/work" + r"/\w"),
    "an API key": re.compile(r"\bsk-(?:proj|admin|svcacct)-[A-Za-z0-9_-]{20,}"),
    "a private key": re.compile("BEGIN [A-Z ]*PRIVATE " + "KEY"),
}
TEXT = {".py", ".md", ".toml", ".txt", ".sh", ".proto", ".yaml", ".json", ".jinja", ".rs", ""}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    found = [
        name
        for name in tracked()
        if Path(name).suffix in TEXT
        and FORBIDDEN[what].search((ROOT / name).read_text(encoding="utf-8", errors="ignore"))
    ]
    assert found == []
