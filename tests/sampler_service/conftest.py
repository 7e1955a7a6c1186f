"""A small model, a batch over it, and a whole worker with its neighbours' doubles."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import torch
from formwork_engine.index import Index, compile_index
from formwork_engine.inputs import JsonSchema

from mesh.clock import Clock, SystemClock
from mesh.models import ModelEntry
from sampler_service.batch import Batch
from sampler_service.config import SamplerConfig
from sampler_service.model_folder import ModelFolder, read_model_folder
from sampler_service.native_runner import NativeRunner
from sampler_service.runner import Runner
from sampler_service.runners import open_runner
from sampler_service.sequence import TokenRules
from sampler_service.testing import StreamClient
from sampler_service.testing_mesh import RunningWorker, WorkerMesh, run_worker, serve_doubles
from sampler_service.testing_models import make_model_folder

SCHEMA = """{"type": "object", "additionalProperties": false, "required": ["name", "age", "tags"],
"properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer",
"minimum": 0, "maximum": 120}, "tags": {"type": "array", "maxItems": 3, "items":
{"enum": ["one", "two"]}}}}"""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return read_model_folder(make_model_folder(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="session")
def runner(folder: ModelFolder) -> NativeRunner:
    """One runner for many batches: it has no state of its own but its slots."""
    entry = ModelEntry(folder.path, folder.vocabulary.fingerprint, context=1024)
    opened = open_runner(folder, entry, SamplerConfig(slots=8, parked_slots=4))
    assert isinstance(opened, NativeRunner)
    return opened


@pytest.fixture(scope="session")
def index(folder: ModelFolder) -> Index:
    return compile_index(JsonSchema(SCHEMA), folder.vocabulary)


@pytest.fixture
def make_batch(folder: ModelFolder, runner: NativeRunner) -> Iterator[Callable[..., Batch]]:
    made: list[Batch] = []

    def make(clock: Clock | None = None, runner: Runner = runner, **changes: int) -> Batch:
        settings = {"slots": 8, "parked_slots": 4} | changes
        rules = TokenRules(folder.vocabulary, runner.info.context, folder.refusal_id)
        batch = Batch(runner, rules, SamplerConfig(**settings), clock or SystemClock())
        made.append(batch)
        return batch

    yield make
    for batch in made:
        for sequence in list(batch.roster):
            batch.abort(sequence.key)
        batch.close()


# -- a worker over real gRPC ----------------------------------------------------------------------


@pytest.fixture
def sampler_options() -> dict[str, object]:
    """Overridden by tests that need other bounds."""
    return {}


@pytest.fixture
async def mesh(
    tmp_path: Path, folder: ModelFolder, sampler_options: dict[str, object]
) -> AsyncIterator[WorkerMesh]:
    async with serve_doubles(tmp_path, folder, sampler_options) as mesh:
        yield mesh


@pytest.fixture
async def running(mesh: WorkerMesh) -> AsyncIterator[RunningWorker]:
    async with run_worker(mesh) as running:
        yield running


@pytest.fixture
async def gateway(running: RunningWorker) -> AsyncIterator[StreamClient]:
    gateway = running.connect()
    yield gateway
    await gateway.close()
