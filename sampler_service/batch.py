"""The worker's loop: one ragged step after another over all live sequences.

A step computes pieces of prompts and the last tokens of whoever decodes, in one forward; masks
are computed in a thread meanwhile; then tokens are sampled, appended, and followed by whatever is
forced. A sequence whose mask is late keeps its logits, and is sampled in a later step.
"""

import contextlib
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Ordered
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import structlog
from formwork_engine.cursor import Cursor, advance_all
from formwork_engine.errors import EngineError, LimitReachedError
from formwork_engine.index import Index

from mesh.clock import Clock
from mesh.errors import (
    DeadlineExceededError,
    FormworkError,
    InternalError,
    LimitExceededError,
    ModelFailedError,
    QueueFullError,
)
from sampler_service.closing_rows import leave_room
from sampler_service.config import SamplerConfig
from sampler_service.openings import Opening, SequenceKey
from sampler_service.outputs import Finish, Output
from sampler_service.philox import Draw
from sampler_service.prefix_cache import PrefixCache
from sampler_service.ready_rows import ReadyRows, gather_ready
from sampler_service.roster import Roster
from sampler_service.row_sampling import RowSampling
from sampler_service.runner import BLOCK, Logits, Masks, Runner
from sampler_service.sampling import Failure, Sampled, sample
from sampler_service.sequence import Moved, Sequence, TokenRules
from sampler_service.step_plan import Step, plan_step
from sampler_service.token_masks import StepMasks, TokenMasks

log = structlog.get_logger()

_NONE: Mapping[SequenceKey, Index] = {}
_DROPPED = RowSampling(Draw(0, 0, 0))
"""The cheapest way to sample a row whose result is nobody's."""


class Batch:
    """Live sequences and the forward that moves them. Used by one thread.

    Args:
        runner: The forward.
        rules: Of the model's vocabulary.
        config: Bounds.
        clock: Deadlines are on its monotonic scale.
    """

    def __init__(
        self, runner: Runner, rules: TokenRules, config: SamplerConfig, clock: Clock
    ) -> None:
        self._runner = runner
        self._rules = rules
        self._prefill_chunk = config.prefill_chunk
        self._jumps = config.jump_forward
        self._clock = clock
        self._roster = Roster(
            places=runner.info.slots, turns=config.slots, max_waiting=config.max_waiting
        )
        reusable = config.prefix_cache_bytes if runner.info.reuses_prefixes else 0
        self._cache = PrefixCache(reusable)
        self._masks = TokenMasks(
            rules.vocabulary,
            rules.refusal_id,
            threads=config.mask_threads,
            step_fuel=config.mask_step_fuel,
        )
        self._mask_threads = config.mask_threads
        self._mask_thread = ThreadPoolExecutor(1, thread_name_prefix="masks")
        self._outputs: list[Output] = []
        self._arrivals = 0
        self.failed_steps = 0
        """Steps that failed as a whole, since the last one that did not."""

    @property
    def roster(self) -> Roster:
        """Who is live, for load figures."""
        return self._roster

    @property
    def awaits_masks(self) -> bool:
        """Some sequence waits for a late mask: a step may move it without any command."""
        return any(sequence.held for sequence in self._roster)

    # -- what streams ask for -------------------------------------------------------------------

    def open(self, opening: Opening) -> None:
        """Take a sequence in; with a full queue it ends at once with QueueFullError."""
        now = self._clock.monotonic()
        self._arrivals += 1
        sequence = Sequence(
            opening, self._rules, arrival=self._arrivals, now=now, jumps=self._jumps
        )
        if not opening.constrained:
            sequence.stamp("bound", now)
        try:
            self._roster.add(sequence)
        except QueueFullError as error:
            sequence.fail(error)
            self._collect(sequence)

    def bind(self, key: SequenceKey, cursor: Cursor) -> None:
        """Give a sequence its place in its index; ignored where it has ended or has one."""
        sequence = self._roster.find(key)
        if sequence is None or sequence.bound:
            return
        sequence.stamp("bound", self._clock.monotonic())
        try:
            sequence.bind(cursor)
            sequence.accept_forced()
        except (EngineError, FormworkError) as error:
            _end_failed(sequence, error)
        self._collect(sequence)

    def abort(self, key: SequenceKey) -> None:
        """End a sequence now; ignored where it has ended."""
        sequence = self._roster.find(key)
        if sequence is not None:
            sequence.end(Finish.ABORTED)
            self._collect(sequence)

    def fail(self, key: SequenceKey, error: FormworkError) -> None:
        """End a sequence with an error now; ignored where it has ended."""
        sequence = self._roster.find(key)
        if sequence is not None:
            sequence.fail(error)
            self._collect(sequence)

    def pause(self, key: SequenceKey, *, paused: bool) -> None:
        """Stop or resume making tokens for a sequence; ignored where it has ended."""
        sequence = self._roster.find(key)
        if sequence is not None:
            sequence.paused = paused

    # -- the loop -------------------------------------------------------------------------------

    def step(self, coming: Mapping[SequenceKey, Index] = _NONE) -> tuple[list[Output], bool]:
        """Run one step.

        Args:
            coming: Indexes that are on their way to `bind`, also those that other threads add
                meanwhile: a sequence whose first logits the step computes need not wait for its
                end.

        Returns:
            What was made, and whether anything was computed; if not, nothing can move before a
            command comes, a deadline passes or, where some are awaited, a late mask is there.
        """
        self._expire()
        self._give_places()
        step = plan_step(self._roster, self._cache, self._prefill_chunk)
        moved = self._compute(step, coming) if step.rows or step.held else False
        outputs, self._outputs = self._outputs, []
        return outputs, moved

    def close(self) -> None:
        """Stop the mask thread."""
        self._mask_thread.shutdown()

    def _expire(self) -> None:
        now = self._clock.monotonic()
        for sequence in [s for s in self._roster if s.opening.deadline <= now]:
            sequence.fail(DeadlineExceededError("The sequence's time is over."))
            self._collect(sequence)

    def _give_places(self) -> None:
        while True:
            while (sequence := self._roster.place_next()) is not None:
                sequence.stamp("placed", self._clock.monotonic())
            evicted = self._roster.evict()
            if evicted is None:
                return
            self._runner.free(evicted)

    def _compute(self, step: Step, coming: Mapping[SequenceKey, Index]) -> bool:
        """Do what was planned; return whether that was anything."""
        try:
            sampled = self._run(step, coming)
        except Exception:
            # the forward as a whole: nobody's numbers can be trusted
            log.exception("step_failed", rows=len(step.rows))
            self.failed_steps += 1
            for sequence in dict.fromkeys([*step.sequences, *step.held]):
                sequence.fail(InternalError("Internal error."))
                self._collect(sequence)
            return True
        self.failed_steps = 0
        for ready, results in sampled:
            self._take_all(ready, results)
        return bool(step.rows or sampled)

    def _run(
        self, step: Step, coming: Mapping[SequenceKey, Index]
    ) -> list[tuple[ReadyRows, Ordered[Sampled | Failure]]]:
        for sequence, blocks in step.started:
            if sequence.slot is not None:
                self._runner.prefill(sequence.slot, blocks)
        asked = [*step.wanting, *step.held]
        self._bind_coming(step.wanting, coming)
        filling: Future[StepMasks] = self._mask_thread.submit(self._masks.fill, asked)
        logits = self._forward(step, filling)
        self._record_prompts(step)
        ready = gather_ready(asked, logits, filling.result())
        late = self._bind_late(coming)
        step.held += late  # what goes wrong from here on is theirs too
        if late:
            ready += gather_ready(late, None, self._masks.fill(late))
        return [(rows, _sample(rows)) for rows in ready]

    def _bind_late(self, coming: Mapping[SequenceKey, Index]) -> list[Sequence]:
        """Bind those that keep their logits, where their index has come; return who goes on now."""
        found = [self._roster.find(key) for key in list(coming)]
        waiting = [one for one in found if one is not None and not one.bound]
        keeping = [one for one in waiting if one.logits is not None]
        self._bind_coming(keeping, coming)
        return [one for one in keeping if one.held]

    def _bind_coming(
        self, waiting: Iterable[Sequence], coming: Mapping[SequenceKey, Index]
    ) -> None:
        """Bind those whose index is there by now and whose logits are of use as they are.

        All others are bound behind the step, which also tells what is wrong.
        """
        for sequence in waiting if coming else ():
            index = None if sequence.bound else coming.get(sequence.key)
            with contextlib.suppress(EngineError):
                if index is not None and sequence.bind_unforced(index.cursor()):
                    sequence.stamp("bound", self._clock.monotonic())

    def _forward(self, step: Step, filling: Future[StepMasks]) -> Logits | None:
        """Return the logits of who wants them; None where there is nothing to compute."""
        if not step.rows:
            return None
        count = len(step.wanting)
        return self._runner.step(step.rows, lambda: filling.result().values[:count])

    def _record_prompts(self, step: Step) -> None:
        now = self._clock.monotonic()
        for sequence in step.sequences:
            if "prefilled" not in sequence.stamps and sequence.prefilled:
                sequence.stamp("prefilled", now)
        for sequence, start in step.blocks:
            key = sequence.block_keys[start // BLOCK]
            if self._cache.wants(key) and sequence.slot is not None:
                self._cache.put(key, self._runner.snapshot(sequence.slot, start))

    def _take_all(self, ready: ReadyRows, results: Ordered[Sampled | Failure]) -> None:
        """Move sequences on by what was sampled for them; what goes wrong is each one's own."""
        rows: list[int] = np.flatnonzero(~ready.late).tolist()
        moved = self._move_cursors(ready.sequences, results, rows)
        for row in rows:
            sequence = ready.sequences[row]
            try:
                self._take(ready, row, results[row], moved.get(row))
            except (EngineError, FormworkError) as error:
                _end_failed(sequence, error)
            self._collect(sequence)

    def _move_cursors(
        self, sequences: Ordered[Sequence], results: Ordered[Sampled | Failure], rows: Ordered[int]
    ) -> dict[int, Moved]:
        """Move the cursors that only move on, in one call; return what became of each, by row."""
        cursors, tokens, moving = list[Cursor](), list[int](), list[int]()
        for row in rows:
            cursor, result = sequences[row].cursor, results[row]
            if cursor is None or isinstance(result, Failure) or not sequences[row].follows(result):
                continue
            cursors.append(cursor)
            tokens.append(result.token_id)
            moving.append(row)
        moved = advance_all(cursors, tokens, self._mask_threads) if moving else []
        return dict(zip(moving, moved, strict=True))

    def _take(
        self, ready: ReadyRows, row: int, result: Sampled | Failure, moved: Moved | None
    ) -> None:
        """Move a sequence on by what was sampled for it; its cursor too, unless it was moved."""
        sequence = ready.sequences[row]
        cursor = sequence.cursor
        if isinstance(result, Failure):
            raise _cause(cursor, result)
        if sequence.is_probing:
            if sequence.probe(result):
                self._cut_back(sequence)
            return
        likeliest = result.likeliest
        if likeliest is not None and self._probe(sequence, likeliest, ready.masks[row]):
            return
        if cursor is not None and result.token_id in self._rules.end_ids:
            cursor.check()  # any other token is taken by it, which tells too
            if self._masks.is_complete(ready.masks[row]):
                sequence.end(Finish.STOP)
                return
        sequence.accept(result, forced=sequence.is_forced(result.token_id), moved=moved)
        if cursor is not None and moved != 0:
            sequence.accept_forced()

    def _probe(self, sequence: Sequence, likeliest: int, mask: Masks) -> bool:
        """Begin to look for a refusal in the model's own words; return whether there is reason."""
        if not self._masks.is_outside_text(mask, likeliest):
            return False
        self._collect(sequence)  # what was tried is told apart from what came before, or not at all
        if sequence.begin_probe(likeliest):
            self._cut_back(sequence)
        return True

    def _cut_back(self, sequence: Sequence) -> None:
        if sequence.slot is not None:
            self._runner.truncate(sequence.slot, sequence.computed)

    def _collect(self, sequence: Sequence) -> None:
        """Keep what a sequence has made for the step's result; drop it if it has ended."""
        output = sequence.take_output(self._clock)
        if output is not None:
            self._outputs.append(output)
        if sequence.ending is not None and self._roster.find(sequence.key) is sequence:
            slot = self._roster.remove(sequence)
            if slot is not None:
                self._runner.free(slot)


def _cause(cursor: Cursor | None, failure: Failure) -> FormworkError:
    """Return why a row has no token.

    Raises:
        CursorError: Its cursor has failed.
    """
    if cursor is not None:
        cursor.check()
    if failure is Failure.NOT_FINITE:
        return ModelFailedError("The model's numbers are not finite.")
    return InternalError(f"No token can be sampled: {failure}.")


def _end_failed(sequence: Sequence, error: EngineError | FormworkError) -> None:
    """End a sequence with what went wrong as it was moved on."""
    request_id = sequence.opening.request_id
    if isinstance(error, LimitReachedError):
        log.warning("masks_too_costly", request_id=request_id)
        sequence.fail(_too_costly(error))
    elif isinstance(error, EngineError):
        log.warning("cursor_failed", request_id=request_id, cause=str(error))
        sequence.fail(InternalError("The index of this request failed."))
    else:
        log.warning("sequence_failed", request_id=request_id, cause=str(error))
        sequence.fail(error)


def _sample(ready: ReadyRows) -> Ordered[Sampled | Failure]:
    wanted = [
        _DROPPED if is_late else sequence.row_sampling()
        for sequence, is_late in zip(ready.sequences, ready.late.tolist(), strict=True)
    ]
    return leave_room(ready, sample(ready.logits.values, ready.logits.masks, wanted), wanted)


def _too_costly(error: LimitReachedError) -> LimitExceededError:
    return LimitExceededError(
        f"A mask of this request's grammar needs more than {error.limit} allows: {error.maximum}.",
        metadata={"limit": error.limit, "maximum": str(error.maximum)},
    )
