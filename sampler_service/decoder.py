"""Opening a model for decoding: everything that the decode thread does before its first step."""

from dataclasses import dataclass
from pathlib import Path

import structlog

from mesh.clock import Clock
from mesh.errors import TokenizerUnknownError
from mesh.models import ModelEntry
from sampler_service.batch import Batch
from sampler_service.config import SamplerConfig
from sampler_service.model_folder import ModelFolder, read_model_folder
from sampler_service.openings import Opening, SamplingOptions, SequenceKey
from sampler_service.runner import RunnerInfo
from sampler_service.runners import open_runner
from sampler_service.sequence import TokenRules

log = structlog.get_logger()

_WARM_UP = SequenceKey(0, 0)  # no stream has the number 0


@dataclass(frozen=True)
class Decoder:
    """A model that is ready to decode."""

    batch: Batch
    rules: TokenRules
    info: RunnerInfo


def read_checked_folder(entry: ModelEntry) -> ModelFolder:
    """Return the folder of a model, if its tokenizer is the one that the model table names.

    Raises:
        TokenizerUnknownError: It is another one: masks would be of other tokens.
        ModelFolderError: A folder that cannot be served.
    """
    folder = read_model_folder(Path(entry.folder))
    fingerprint = folder.vocabulary.fingerprint
    if fingerprint != entry.tokenizer_fingerprint:
        raise TokenizerUnknownError(
            f"{entry.folder} has the tokenizer {fingerprint}, "
            f"not {entry.tokenizer_fingerprint} as the model table says.",
            metadata={"tokenizer_fingerprint": fingerprint},
        )
    return folder


def open_decoder(entry: ModelEntry, config: SamplerConfig, clock: Clock) -> Decoder:
    """Load a model and run a step with it; call it on the thread that will decode.

    Raises:
        TokenizerUnknownError, ModelFolderError: As `read_checked_folder`.
        RuntimeError: The first step failed.
    """
    folder = read_checked_folder(entry)
    runner = open_runner(folder, entry, config)
    rules = TokenRules(folder.vocabulary, runner.info.context, folder.refusal_id)
    batch = Batch(runner, rules, config, clock)
    _warm_up(batch)
    log.info(
        "model_loaded",
        architecture=folder.architecture,
        device_class=runner.info.device_class,
        determinism=runner.info.determinism,
        slots=runner.info.slots,
        context=runner.info.context,
    )
    return Decoder(batch, rules, runner.info)


def _warm_up(batch: Batch) -> None:
    options = SamplingOptions(max_tokens=2)
    batch.open(Opening(_WARM_UP, (0, 0), options, deadline=float("inf")))
    outputs, busy = batch.step()
    while busy:
        outputs, busy = batch.step()
    if batch.failed_steps or any(output.error is not None for output in outputs):
        raise RuntimeError("the first step of the model failed")
