"""The sequences of one request on one worker, and the bounded queue that their frames wait in."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from formwork.sampler.v1.sampler_pb2 import Abort, DecodeRequest, Frame, Pause, Resume

from mesh.errors import FormworkError, InternalError

# Frames that may still arrive after a pause: made, or under way, before the worker heard of it.
_LATE_FRAMES = 4096

Send = Callable[[DecodeRequest], None]


class SequenceGroup:
    """What a request holds on a worker: a sequence per choice, and frames not read yet.

    A worker is told to pause when `pause_frames` wait, and to go on when only `resume_frames` do.
    Frames count as accepted when they arrive here; those that come after the end are dropped.

    Args:
        ids: Sequence ids by choice.
        send: Queues a message for the worker.
        leave: Called once with this group when no more frames are wanted.
        pause_frames: High-water mark, per sequence.
        resume_frames: Low-water mark.
    """

    def __init__(
        self,
        ids: Sequence[int],
        send: Send,
        leave: Callable[["SequenceGroup"], None],
        *,
        pause_frames: int,
        resume_frames: int,
    ) -> None:
        self.ids = tuple(ids)
        self.accepted_tokens = 0
        self.cached_prompt_tokens = 0
        self.has_begun = False
        self._send = send
        self._leave = leave
        self._pause_frames = pause_frames * len(self.ids)
        self._resume_frames = resume_frames
        self._choices = {sequence_id: choice for choice, sequence_id in enumerate(self.ids)}
        self._live = set(self.ids)
        self._waiting: deque[Frame] = deque()
        self._changed = asyncio.Event()
        self._error: FormworkError | None = None
        self._is_paused = False
        self._has_left = False

    def push(self, frame: Frame) -> None:
        """Accept a frame; never waits."""
        if self._has_left or frame.sequence_id not in self._live:
            return
        self._count(frame)
        self._waiting.append(frame)
        if frame.finish:
            self._live.discard(frame.sequence_id)
        self._changed.set()
        self._pause_where_full()
        if not self._live:
            self._end()

    def fail(self, error: FormworkError) -> None:
        """End with an error, which `frames` raises after what was accepted before it."""
        if not self._has_left:
            self._error = error
            self.abort()

    def stop(self, choice: int) -> None:
        """Stop the sequence of one choice, which is whole; what else came of it does not count."""
        sequence_id = self.ids[choice]
        frames = list(self._waiting)
        self._waiting = deque(frame for frame in frames if frame.sequence_id != sequence_id)
        self.accepted_tokens -= sum(f.tokens for f in frames if f.sequence_id == sequence_id)
        if sequence_id in self._live:
            self._send(DecodeRequest(abort=Abort(sequence_id=sequence_id)))
            self._live.discard(sequence_id)
        self._resume_where_empty()
        if not self._live:
            self._end()

    def abort(self) -> None:
        """Stop every live sequence; idempotent."""
        if self._has_left:
            return
        for sequence_id in self._live:
            self._send(DecodeRequest(abort=Abort(sequence_id=sequence_id)))
        self._live.clear()
        self._end()

    async def frames(self) -> AsyncIterator[tuple[int, Frame]]:
        """Yield accepted frames with their choice, until every sequence has ended.

        Raises:
            FormworkError: Why the group failed.
        """
        while True:
            while self._waiting:
                frame = self._waiting.popleft()
                self._resume_where_empty()
                yield self._choices[frame.sequence_id], frame
            if self._error is not None:
                raise self._error
            if not self._live:
                return
            self._changed.clear()
            await self._changed.wait()

    def _count(self, frame: Frame) -> None:
        self.has_begun = True
        self.accepted_tokens += frame.tokens
        if frame.sequence_id == self.ids[0]:
            self.cached_prompt_tokens = max(self.cached_prompt_tokens, frame.cached_prompt_tokens)

    def _pause_where_full(self) -> None:
        if len(self._waiting) > self._pause_frames + _LATE_FRAMES:
            self.fail(InternalError("The worker goes on after it was told to pause."))
        elif not self._is_paused and len(self._waiting) >= self._pause_frames and self._live:
            self._is_paused = True
            for sequence_id in self._live:
                self._send(DecodeRequest(pause=Pause(sequence_id=sequence_id)))

    def _resume_where_empty(self) -> None:
        if self._is_paused and len(self._waiting) <= self._resume_frames:
            self._is_paused = False
            for sequence_id in self._live:
                self._send(DecodeRequest(resume=Resume(sequence_id=sequence_id)))

    def _end(self) -> None:
        if self._has_left:
            return
        self._has_left = True
        self._changed.set()
        self._leave(self)
