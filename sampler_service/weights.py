"""Weights of a Hugging Face model folder: safetensors, in one file or many."""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sampler_service.model_folder import ModelFolderError, read_object

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_IGNORED_SUFFIXES = (".rotary_emb.inv_freq",)  # computed, not learnt


class Weights:
    """The tensors of a model by name; each is taken once, and none may be left over.

    Args:
        tensors: By name, converted to the number type and device of the forward.
        folder: For messages.
    """

    def __init__(self, tensors: dict[str, Tensor], folder: Path) -> None:
        self._tensors = tensors
        self._folder = folder

    def take(self, name: str, *shape: int) -> Tensor:
        """Return a tensor of this shape.

        Raises:
            ModelFolderError: It is missing, or has another shape.
        """
        tensor = self.find(name, *shape)
        if tensor is None:
            raise ModelFolderError(f"{self._folder}: no tensor {name}")
        return tensor

    def find(self, name: str, *shape: int) -> Tensor | None:
        """Return a tensor of this shape, or None where there is none of the name."""
        tensor = self._tensors.pop(name, None)
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ModelFolderError(
                f"{self._folder}: {name} has shape {tuple(tensor.shape)}, not {shape}"
            )
        return tensor

    def check_all_taken(self) -> None:
        """Refuse a model with parts that the forward does not know.

        Raises:
            ModelFolderError: Names one of them.
        """
        if self._tensors:
            raise ModelFolderError(
                f"{self._folder}: {len(self._tensors)} tensors are not used, "
                f"for example {min(self._tensors)}"
            )


def load_weights(folder: Path, *, dtype: torch.dtype, device: torch.device) -> Weights:
    """Read every tensor of a folder.

    Raises:
        ModelFolderError: No safetensors, or damaged ones.
    """
    tensors: dict[str, Tensor] = {}
    for path in _weight_files(folder):
        for name, tensor in _read_file(path):
            if not name.endswith(_IGNORED_SUFFIXES):
                tensors[name] = tensor.to(device=device, dtype=dtype)
    return Weights(tensors, folder)


def _weight_files(folder: Path) -> list[Path]:
    if (folder / INDEX_FILE).exists():
        places = read_object(folder / INDEX_FILE).get("weight_map")
        if not isinstance(places, dict) or not places:
            raise ModelFolderError(f"{folder / INDEX_FILE}: no weight_map")
        return [_inside(folder, str(name)) for name in sorted(set(places.values()))]
    if not (folder / SINGLE_FILE).exists():
        raise ModelFolderError(f"{folder}: neither {SINGLE_FILE} nor {INDEX_FILE}")
    return [folder / SINGLE_FILE]


def _inside(folder: Path, name: str) -> Path:
    if Path(name).name != name:
        raise ModelFolderError(f"{folder / INDEX_FILE}: {name!r} is not the name of a file")
    return folder / name


def _read_file(path: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                yield name, file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise ModelFolderError(f"{path}: {error}") from error
