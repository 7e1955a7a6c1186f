import os
import subprocess
import sys
import time

import openai
import pytest

from infra.testing import MeshForTests, wait_until


def provision(mesh: MeshForTests, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "gateway.provision", *arguments],
        env={"DATABASE_URL": str(mesh.database("gateway")), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )


def is_admitted(client: openai.OpenAI) -> bool:
    try:
        client.models.list()
    except openai.AuthenticationError:
        return False
    return True


def test_a_wrong_key_is_401(mesh: MeshForTests, client: openai.OpenAI) -> None:
    assert is_admitted(client)
    with pytest.raises(openai.AuthenticationError) as caught:
        client.with_options(api_key="sk-proj-wrong").models.list()
    assert caught.value.code == "invalid_api_key"
    assert "sk-proj-wrong" not in (mesh.home.log / "gateway.log").read_text()


def test_a_revoked_key_stops_working_within_a_second(
    mesh: MeshForTests, client: openai.OpenAI
) -> None:
    made = provision(mesh, "create-key", "--project=short", "--name=short-lived")
    key_id = made.stderr.split()[1]
    holder = client.with_options(api_key=made.stdout.strip())
    assert is_admitted(holder)
    provision(mesh, "revoke-key", key_id)
    revoked = time.monotonic()
    wait_until(lambda: not is_admitted(holder), "the key is refused", seconds=1.0)
    assert time.monotonic() - revoked < 1.0


def test_no_log_holds_a_key(mesh: MeshForTests, client: openai.OpenAI) -> None:
    client.models.list()
    for path in mesh.home.log.glob("*.log*"):
        assert client.api_key not in path.read_text(errors="replace"), path.name
