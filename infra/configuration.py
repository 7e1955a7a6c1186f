"""The configuration that the launcher generates, with the operator's own laid over it."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import SetupError
from infra.home import Home, ensure_secret, write_private
from infra.ports import LOOPBACK

REPOSITORY = Path(__file__).resolve().parent.parent
BUILT_IN_MODEL = "formwork-mini-2026-11-26"
BUILT_IN_ALIAS = "formwork-mini"
BUILT_IN_FOLDER = REPOSITORY / "models" / "formwork-mini"
_BUILT_IN_CREATED = 1_795_651_200  # 2026-11-26
OPERATORS_FILE = "formwork.toml"

# Only the engine knows which tokens end, and only the compiler and the sampler may import it.
_FINGERPRINT = """\
import sys
from pathlib import Path
from formwork_engine import load_vocabulary
sys.stdout.write(load_vocabulary(Path(sys.argv[1])).fingerprint)
"""

Document = dict[str, Any]


@dataclass(frozen=True)
class MeshPorts:
    """Where the mesh listens, all on loopback."""

    http: int
    compiler: int
    scheduler: int


def ensure_secrets(home: Home) -> None:
    """Make the mesh token and the key that signs leases, where they are missing."""
    ensure_secret(home.secrets / "mesh.token")
    ensure_secret(home.secrets / "lease.key")


def write_configuration(home: Home, ports: MeshPorts) -> tuple[Path, Document]:
    """Write `run/formwork.toml`; return it and what it says.

    FORMWORK_HOME/formwork.toml, where there is one, is laid over what is generated; the tokenizer
    fingerprint of each of its models is filled in where it is missing.

    Raises:
        SetupError: The operator's file is malformed, or a model folder unusable.
    """
    document = _merge(_generated(home, ports), _read_operators(home))
    for snapshot, model in document["models"].items():
        folder = home.folder / str(model.get("folder", ""))
        model["folder"] = str(folder)
        _check_folder(snapshot, folder)
        if "tokenizer_fingerprint" not in model:
            model["tokenizer_fingerprint"] = fingerprint(snapshot, folder)
    path = home.run / OPERATORS_FILE
    write_private(path, "# Written by `make run`; yours is ../formwork.toml.\n" + to_toml(document))
    return path, document


def _check_folder(snapshot: str, folder: Path) -> None:
    whole = (folder / "config.json").is_file() and (folder / "tokenizer.json").is_file()
    if not whole or not any(folder.glob("*.safetensors")):
        repair = "check the repository out again" if folder == BUILT_IN_FOLDER else "repair it"
        raise SetupError(
            f"models.{snapshot}: {folder} lacks config.json, tokenizer.json or weights "
            f"(*.safetensors): {repair}, or name another folder in FORMWORK_HOME/{OPERATORS_FILE}"
        )


def _generated(home: Home, ports: MeshPorts) -> Document:
    return {
        "mesh": {
            "token_file": str(home.secrets / "mesh.token"),
            "lease_key_file": str(home.secrets / "lease.key"),
            "compiler_address": f"{LOOPBACK}:{ports.compiler}",
            "scheduler_address": f"{LOOPBACK}:{ports.scheduler}",
        },
        "gateway": {"http_host": LOOPBACK, "http_port": ports.http},
        "sampler": {"spool_folder": str(home.folder / "spool")},
        "models": {BUILT_IN_MODEL: _built_in_model()},
        "aliases": {BUILT_IN_ALIAS: BUILT_IN_MODEL},
    }


def _built_in_model() -> Document:
    """Return the model table's row of the built-in model, as its card describes it."""
    try:
        card = json.loads((BUILT_IN_FOLDER / "card.json").read_text(encoding="utf-8"))
        capabilities = card["capabilities"]
        return {
            "folder": str(BUILT_IN_FOLDER),
            "family": card["chat_family"],
            "context": card["context_tokens"],
            "structured": capabilities["structured"],
            "tools": capabilities["tools"],
            "refusal": capabilities["refusal"],
            "determinism": "seeded",
            "created": _BUILT_IN_CREATED,
        }
    except (OSError, ValueError, KeyError) as error:
        raise SetupError(
            f"the built-in model in {BUILT_IN_FOLDER} is not whole ({error}): check it out again"
        ) from error


def _read_operators(home: Home) -> Document:
    path = home.folder / OPERATORS_FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetupError(f"{path}: {error}") from error


def _merge(below: Document, above: Mapping[str, Any]) -> Document:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def fingerprint(snapshot: str, folder: Path) -> str:
    """Return the engine's fingerprint of a model folder's tokenizer.

    Raises:
        SetupError: The engine cannot read it.
    """
    answer = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", _FINGERPRINT, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        lines = answer.stderr.strip().splitlines() or ["no message"]
        raise SetupError(f"models.{snapshot}: cannot read the tokenizer in {folder}: {lines[-1]}")
    return answer.stdout


def to_toml(document: Mapping[str, Any], prefix: str = "") -> str:
    """Return a document of tables, text, numbers, booleans and lists as TOML."""
    tables = {key: value for key, value in document.items() if isinstance(value, Mapping)}
    lines = [
        f"{json.dumps(key)} = {_to_value(value)}\n"
        for key, value in document.items()
        if key not in tables
    ]
    if prefix and (lines or not tables):
        lines.insert(0, f"\n[{prefix}]\n")
    for key, table in tables.items():
        lines.append(to_toml(table, f"{prefix}.{json.dumps(key)}" if prefix else json.dumps(key)))
    return "".join(lines)


def _to_value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_to_value, value))}]"
    # JSON's text, numbers and booleans are TOML's, once what ASCII lacks stays as it is.
    return json.dumps(value, ensure_ascii=False)
