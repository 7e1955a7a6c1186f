"""Opening the runner that a model needs."""

import os
from dataclasses import dataclass
from importlib.util import find_spec

import structlog
import torch

from mesh.models import ModelEntry
from sampler_service.arithmetic import Arithmetic, PlainArithmetic
from sampler_service.config import SamplerConfig
from sampler_service.llama import Llama
from sampler_service.llama_shape import LlamaShape, NoNativeForwardError, read_shape
from sampler_service.model_folder import ModelFolder, ModelFolderError
from sampler_service.native_runner import NativeRunner
from sampler_service.row_check import is_row_exact
from sampler_service.runner import Runner
from sampler_service.weights import load_weights

log = structlog.get_logger()

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Placement:
    """Where a model is computed, and in which number type."""

    device: torch.device
    dtype: torch.dtype


def place(entry: ModelEntry) -> Placement:
    """Return where a model goes: CUDA when present and not ruled out; float32 on a processor.

    Raises:
        ModelFolderError: An unknown number type, a device that is not there, or CUDA without the
            compiler of its kernels.
    """
    if entry.dtype not in _DTYPES:
        raise ModelFolderError(f"dtype {entry.dtype!r}; known: {', '.join(_DTYPES)}")
    present = torch.cuda.is_available()
    if entry.device not in ("auto", "cpu", "cuda") or (entry.device == "cuda" and not present):
        raise ModelFolderError(f"device {entry.device!r} is not available here")
    if entry.device == "cpu" or not present:
        return Placement(torch.device("cpu"), torch.float32)
    if find_spec("triton") is None:
        raise ModelFolderError("CUDA needs 'triton', which torch's builds for CUDA bring")
    make_exact()
    return Placement(torch.device("cuda"), _DTYPES[entry.dtype])


def make_exact() -> None:
    """Have CUDA's libraries add up alike each time; before they are first used."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False


def open_runner(folder: ModelFolder, entry: ModelEntry, config: SamplerConfig) -> Runner:
    """Load the weights; the native forward where there is one, else the transformers library's.

    Takes seconds to minutes: call it off the event loop.

    Raises:
        ModelFolderError: A folder that cannot be served.
    """
    placement = place(entry)
    torch.set_num_threads(config.threads)
    try:
        shape = read_shape(folder.config, context=entry.context)
    except NoNativeForwardError as error:
        log.info("native_forward_missing", reason=str(error))
        from sampler_service.transformers_runner import open_transformers_runner  # noqa: PLC0415 - an extra

        return open_transformers_runner(folder, entry, placement.device, placement.dtype, config)
    weights = load_weights(folder.path, dtype=placement.dtype, device=placement.device)
    model = Llama(
        shape,
        weights,
        folder.vocabulary.size,
        seeded=config.seeded,
        arithmetic=make_arithmetic(placement.device),
    )
    exact = config.seeded and is_row_exact(model)
    if config.seeded and not exact:
        log.warning("rows_not_exact", reason="this machine's kernels mix rows")
    return NativeRunner(
        model,
        slots=_slots(shape, placement.dtype, config),
        determinism="seeded" if exact else "best effort",
    )


def make_arithmetic(device: torch.device) -> Arithmetic:
    """Return what a device computes best between its products."""
    if device.type != "cuda":
        return PlainArithmetic()
    from sampler_service.fused_arithmetic import FusedArithmetic  # noqa: PLC0415 - needs triton

    return FusedArithmetic()


def _slots(shape: LlamaShape, dtype: torch.dtype, config: SamplerConfig) -> int:
    numbers = shape.layers * 2 * shape.kv_heads * shape.head_dim * shape.context
    fitting = config.kv_bytes // (numbers * dtype.itemsize)
    return max(1, min(config.slots + config.parked_slots, fitting))
