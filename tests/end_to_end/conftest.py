"""One whole mesh for all tests of this folder, driven by the official client."""

from collections.abc import Iterator

import openai
import pytest

from infra.configuration import BUILT_IN_FOLDER, BUILT_IN_MODEL
from infra.testing import MeshForTests, temporary_mesh

# A model that nobody serves, and an alias that falls back from it.
ABSENT_MODEL, FALLBACK_ALIAS = "absent-1", "either"

# Short enough that what a dead process held is settled while a test waits.
_CONFIGURATION: dict[str, dict[str, object]] = {
    "mesh": {"drain_seconds": 20.0},
    "scheduler": {
        "no_worker_seconds": 60.0,
        "gateway_grace_seconds": 3.0,
        "sweep_grace_seconds": 6.0,
        "sweep_seconds": 0.5,
    },
    "models": {ABSENT_MODEL: {"folder": str(BUILT_IN_FOLDER), "workers": 0}},
    "aliases": {FALLBACK_ALIAS: [ABSENT_MODEL, BUILT_IN_MODEL]},
}


def open_client(mesh: MeshForTests) -> openai.OpenAI:
    """Return the official client of a mesh, with a new key; nothing is tried twice."""
    return openai.OpenAI(
        base_url=mesh.base_url,
        api_key=mesh.create_key(),
        max_retries=0,
        timeout=60,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )


@pytest.fixture(scope="session")
def mesh() -> Iterator[MeshForTests]:
    with temporary_mesh(_CONFIGURATION) as running:
        yield running


@pytest.fixture(scope="session")
def client(mesh: MeshForTests) -> Iterator[openai.OpenAI]:
    with open_client(mesh) as opened:
        yield opened
