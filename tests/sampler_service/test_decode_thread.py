"""The thread that owns the batch, and what it is told."""

import threading
from collections.abc import Callable

from formwork_engine.index import Index

from mesh.clock import SystemClock
from mesh.errors import InternalError
from sampler_service.batch import Batch
from sampler_service.decode_thread import DecodeThread
from sampler_service.decoder import Decoder
from sampler_service.model_folder import ModelFolder
from sampler_service.native_runner import NativeRunner
from sampler_service.outputs import Output
from sampler_service.sequence import TokenRules
from sampler_service.testing import eventually
from sampler_service.testing_batches import key, opening


async def test_a_sequence_that_is_bound_twice_before_a_step_ends_nobody(
    make_batch: Callable[..., Batch], folder: ModelFolder, runner: NativeRunner, index: Index
) -> None:
    batch, told, gate = make_batch(), list[Output](), threading.Event()
    rules = TokenRules(folder.vocabulary, runner.info.context, folder.refusal_id)
    decoder = Decoder(batch, rules, runner.info)
    thread = DecodeThread(lambda: decoder, told.extend, SystemClock())
    await thread.start()
    thread.post(lambda _: gate.wait() and None)
    thread.post(lambda batch: batch.open(opening(1, constrained=True)))
    for _ in range(2):  # a peer may use the name of a sequence again
        thread.bind(key(1), index)
    thread.post(lambda batch: batch.open(opening(2)))
    thread.post(lambda batch: batch.fail(key(1), InternalError("over")))
    gate.set()
    await eventually(lambda: {one.key for one in told if one.is_last} == {key(1), key(2)})
    assert not thread._coming
    await thread.stop()
    assert thread.ended.result() is None
