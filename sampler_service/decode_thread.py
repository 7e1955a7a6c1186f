"""The one thread that computes: it owns the batch; everybody else sends it commands."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import structlog
from formwork_engine.index import Index

from mesh.clock import Clock
from sampler_service.batch import Batch
from sampler_service.bindings import bind_to
from sampler_service.decoder import Decoder
from sampler_service.load import Load, TokenRate
from sampler_service.openings import SequenceKey
from sampler_service.outputs import Output

log = structlog.get_logger()

Command = Callable[[Batch], None]

_MOST_FAILED_STEPS = 3
_IDLE_SECONDS = 0.05  # between looks at deadlines, while nothing can be computed
_MASK_SECONDS = 0.001  # the same, while nothing but a late mask is waited for


class DecodeThread:
    """Runs a batch's steps; made and used on the event loop that gets its outputs.

    Args:
        open_decoder: Loads the model and returns it with its batch; called on the thread.
        deliver: Called on the event loop with the outputs of a step.
        clock: For the token rate.
    """

    def __init__(
        self,
        open_decoder: Callable[[], Decoder],
        deliver: Callable[[list[Output]], None],
        clock: Clock,
    ) -> None:
        self._open_decoder = open_decoder
        self._deliver = deliver
        self._clock = clock
        self._commands: SimpleQueue[Command | None] = SimpleQueue()
        self._coming: dict[SequenceKey, Index] = {}
        """Of sequences that are to be bound, until that is done."""
        self._rate = TokenRate()
        self._load = Load()
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[Decoder] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Done when the thread has ended; with the exception, where one ended it."""
        self._thread = threading.Thread(target=self._main, name="decode", daemon=True)

    @property
    def load(self) -> Load:
        """How busy the batch was after its last step."""
        return self._load

    async def start(self) -> Decoder:
        """Return what was opened, once it can decode; raises what opening it raises."""
        self._thread.start()
        return await asyncio.shield(self._opened)

    def post(self, command: Command) -> None:
        """Have something done to the batch before its next step."""
        self._commands.put(command)

    def bind(self, key: SequenceKey, index: Index) -> None:
        """Bind a sequence: before the next step, or in the one that computes its first logits."""
        self._coming[key] = index
        self.post(partial(self._bind, key, index))

    async def stop(self) -> None:
        """End the thread after its step; live sequences end with it."""
        if self._thread.is_alive():
            self._commands.put(None)
        if self._thread.ident is not None:
            await asyncio.wait([self.ended])

    def _bind(self, key: SequenceKey, index: Index, batch: Batch) -> None:
        self._coming.pop(key, None)  # a name that is used again may have been told of twice
        bind_to(key, index, batch)

    def _main(self) -> None:
        try:
            decoder = self._open_decoder()
        except Exception as error:  # noqa: BLE001 - crosses to the event loop
            self._tell(self._opened, error)
            self._tell(self.ended, None)
            return
        self._load = self._look(decoder.batch)
        self._tell(self._opened, decoder)
        failure: Exception | None = None
        try:
            self._run(decoder.batch)
        except Exception as error:
            log.exception("decode_thread_crashed")
            failure = error
        finally:
            decoder.batch.close()
            self._tell(self.ended, failure)

    def _run(self, batch: Batch) -> None:
        busy = False
        while self._obey(batch, wait=not busy):
            outputs, busy = batch.step(self._coming)
            self._rate.record(sum(output.tokens for output in outputs), self._clock.monotonic())
            self._load = self._look(batch)
            if outputs:
                self._loop.call_soon_threadsafe(self._deliver, outputs)
            if batch.failed_steps >= _MOST_FAILED_STEPS:
                raise RuntimeError(f"{batch.failed_steps} steps in a row have failed")

    def _obey(self, batch: Batch, *, wait: bool) -> bool:
        """Do what has been asked for; wait for something if asked to. False: the end."""
        try:
            timeout = _idle_seconds(batch) if wait else None
            command = self._commands.get(block=wait, timeout=timeout)
            while command is not None:
                command(batch)
                command = self._commands.get_nowait()
        except Empty:
            return True
        return False

    def _look(self, batch: Batch) -> Load:
        return Load(
            slots=batch.roster.turns,
            slots_used=sum(sequence.decoding for sequence in batch.roster),
            waiting=batch.roster.waiting_count,
            tokens_per_second=self._rate.per_second(self._clock.monotonic()),
        )

    def _tell(self, future: asyncio.Future[Any], result: object) -> None:
        def settle() -> None:
            if future.done():
                return
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        # an event loop that has closed has nobody to tell
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(settle)


def _idle_seconds(batch: Batch) -> float | None:
    """Return how long nothing can happen by itself; None: for ever."""
    if batch.awaits_masks:
        return _MASK_SECONDS
    return _IDLE_SECONDS if len(batch.roster) else None
