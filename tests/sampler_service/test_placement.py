"""Where a model is computed."""

from pathlib import Path

import pytest
import torch

from mesh.models import ModelEntry
from sampler_service import runners
from sampler_service.model_folder import ModelFolderError


def entry(device: str) -> ModelEntry:
    return ModelEntry(Path(), "", dtype="bfloat16", device=device)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def test_a_processor_computes_in_single_precision() -> None:
    assert runners.place(entry("cpu")).dtype == torch.float32


def test_a_device_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelFolderError, match="cuda"):
        runners.place(entry("cuda"))


@pytest.mark.usefixtures("cuda")
def test_cuda_without_its_compiler_is_an_error_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runners, "find_spec", lambda _: None)
    with pytest.raises(ModelFolderError, match="triton"):
        runners.place(entry("auto"))
    assert runners.place(entry("cpu")).device.type == "cpu"
