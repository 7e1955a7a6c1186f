"""The runner over the transformers library: for models without a native forward.

One sequence at a time, without prefix reuse; its numbers are what the library's kernels give, so
its determinism is "best effort". The library is an extra (`formwork[transformers]`), imported here
only.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mesh.models import ModelEntry
from sampler_service.config import SamplerConfig
from sampler_service.model_folder import ModelFolder, ModelFolderError
from sampler_service.runner import KvBlock, Logits, Masks, Row, RunnerInfo, Slot


class TransformersRunner:
    """Computes with a causal language model of the transformers library.

    Args:
        model: An `AutoModelForCausalLM`, in evaluation mode.
        make_cache: Returns an empty cache of keys and values for it.
        info: What it offers.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - the library is optional
        make_cache: Callable[[], Any],
        info: RunnerInfo,
    ) -> None:
        self._model = model
        self._make_cache = make_cache
        self.info = info
        self._caches: dict[Slot, Any] = {}

    def prefill(self, slot: Slot, blocks: Sequence[KvBlock]) -> None:
        """Start a slot; there are never blocks, since `snapshot` makes none."""
        if blocks:
            raise ValueError("this runner reuses no prefixes")
        self._caches[slot] = self._make_cache()

    @torch.inference_mode()
    def step(self, rows: Sequence[Row], masks: Callable[[], Masks]) -> Logits:
        """Append every row's tokens, and return logits of the rows that want them."""
        device = self._model.device
        logits = [torch.empty(0, self.info.vocabulary, device=device)]
        for row in rows:
            last = self._append(row)
            if row.wants_logits:
                logits.append(last)
        return Logits(torch.cat(logits), torch.from_numpy(masks()).to(device))

    def truncate(self, slot: Slot, length: int) -> None:
        """Forget a slot's tokens behind the first `length`."""
        extra = self._caches[slot].get_seq_length() - length
        if extra > 0:
            self._caches[slot].crop(-extra)

    def free(self, slot: Slot) -> None:
        """Forget a slot's tokens."""
        self._caches.pop(slot, None)

    def snapshot(self, slot: Slot, start: int) -> KvBlock:
        """Refuse: caches of these models have no common form."""
        raise NotImplementedError(f"no block of slot {slot} at {start}")

    def _append(self, row: Row) -> Tensor:
        """Return logits, shape (1, vocabulary), behind the row's last token."""
        tokens = torch.tensor([row.tokens], device=self._model.device)
        cache = self._caches[row.slot]
        answer = self._model(input_ids=tokens, past_key_values=cache, use_cache=True)
        last: Tensor = answer.logits[:, -1, : self.info.vocabulary].float()
        return last


def open_transformers_runner(
    folder: ModelFolder,
    entry: ModelEntry,
    device: torch.device,
    dtype: torch.dtype,
    config: SamplerConfig,
) -> TransformersRunner:
    """Load a model folder with the transformers library; its own code is never run.

    Raises:
        ModelFolderError: The library is not installed, or cannot load the folder.
    """
    try:
        import transformers  # type: ignore[import-not-found,unused-ignore] # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ModelFolderError(
            f"{folder.path}: {folder.architecture} needs the extra formwork[transformers]"
        ) from error
    try:
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            str(folder.path), dtype=dtype, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelFolderError(f"{folder.path}: {error}") from error
    model = model.to(device).eval()
    info = RunnerInfo(
        slots=config.slots + config.parked_slots,
        context=entry.context,
        vocabulary=folder.vocabulary.size,
        device_class=f"{device.type}/{str(dtype).removeprefix('torch.')}",
        determinism="best effort",
        reuses_prefixes=False,
    )
    return TransformersRunner(model, transformers.DynamicCache, info)
