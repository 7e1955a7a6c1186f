"""`client.env`: what makes any OpenAI client talk to this mesh."""

import subprocess
import sys
from pathlib import Path

import httpx

from infra.errors import SetupError
from infra.home import write_private
from infra.urls import Url

_SECONDS = 10.0
_PROJECT = "default"


def read_key(path: Path) -> str | None:
    """Return the key in a client.env, if it has one."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("OPENAI_API_KEY="):
            return line.partition("=")[2] or None
    return None


def key_works(base_url: str, key: str) -> bool:
    """Tell whether the gateway takes the key.

    Raises:
        SetupError: The gateway answers neither yes nor no.
    """
    try:
        answer = httpx.get(
            f"{base_url}/models",
            headers={"authorization": f"Bearer {key}"},
            timeout=_SECONDS,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        raise SetupError(f"the gateway at {base_url} does not answer: {error}") from error
    if answer.status_code not in (httpx.codes.OK, httpx.codes.UNAUTHORIZED):
        raise SetupError(
            f"GET {base_url}/models answered {answer.status_code}: see log/gateway.log"
        )
    return answer.status_code == httpx.codes.OK


def create_key(database: Url) -> str:
    """Return a new key of the project `default`, made by the gateway's own command.

    Args:
        database: URL for the gateway's role.

    Raises:
        SetupError: The command fails.
    """
    answer = subprocess.run(  # noqa: S603 - our own interpreter
        [
            sys.executable,
            "-m",
            "gateway.provision",
            "create-key",
            f"--project={_PROJECT}",
            "--name=make run",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"DATABASE_URL": str(database), "PYTHONUNBUFFERED": "1"},
    )
    key = answer.stdout.strip()
    if answer.returncode != 0 or not key:
        lines = answer.stderr.strip().splitlines() or ["no message"]
        raise SetupError(f"no key could be made: {lines[-1]}")
    return key


def ensure_client_env(path: Path, base_url: str, database: Url) -> tuple[str, bool]:
    """Return a key that works, and whether it is new; client.env then holds it and the URL."""
    key = read_key(path)
    is_new = key is None or not key_works(base_url, key)
    if key is None or is_new:
        key = create_key(database)
    write_private(path, f"OPENAI_BASE_URL={base_url}\nOPENAI_API_KEY={key}\n")
    return key, is_new
