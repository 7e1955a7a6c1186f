"""One generation on the worker: what was asked, how far it is, and what may come next."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from formwork_engine.vocabulary import Vocabulary

from mesh.clock import Clock
from mesh.errors import FormworkError, InvalidArgumentError, LimitExceededError
from sampler_service.openings import Opening, SequenceKey
from sampler_service.outputs import Channel, Finish, Output
from sampler_service.philox import Draw
from sampler_service.prefix_cache import block_keys
from sampler_service.refusal_probe import Lookout, Verdict, judge
from sampler_service.row_sampling import RowSampling
from sampler_service.runner import BLOCK, Masks, Slot
from sampler_service.sampling import Sampled
from sampler_service.telling import Telling

if TYPE_CHECKING:
    from formwork_engine.cursor import Cursor
    from torch import Tensor


@dataclass(frozen=True)
class TokenRules:
    """What a sequence needs to know of the model's vocabulary."""

    vocabulary: Vocabulary
    context: int
    refusal_id: int | None

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Ids of tokens that end a sequence."""
        return frozenset(self.vocabulary.end_ids)


Moved = int | Exception
"""How many tokens are forced where a cursor is now; or why it has failed."""


@dataclass(frozen=True)
class _Trial:
    """What a sequence goes back to unless it refuses: its cursor, how many tokens, their counts."""

    cursor: "Cursor | None"
    tokens: int
    counts: dict[int, int]


class Sequence:
    """The state of one generation; the batch moves it on.

    Args:
        opening: What was asked.
        rules: Of the model.
        arrival: Orders sequences of equal tier.
        now: Monotonic seconds.
        jumps: Forced tokens are appended unsampled, where no log probabilities are wanted.
    """

    def __init__(
        self, opening: Opening, rules: TokenRules, *, arrival: int, now: float, jumps: bool = True
    ) -> None:
        self.opening = opening
        self.order = (opening.tier, arrival)
        self.block_keys = block_keys(opening.salt, opening.prompt)
        self.tokens = list(opening.prompt)
        self.slot: Slot | None = None
        self.computed = 0
        self.started = False
        self.decoding = False
        self.paused = False
        self.bound = not opening.constrained
        """It has the index that it needs, or needs none any longer."""
        self.closes = opening.options.close_in_time
        """It shall be whole when its tokens are used up."""
        self.cursor: Cursor | None = None
        self.logits: Tensor | None = None
        """Of the next token, shape (vocabulary,), kept while its index or its mask is awaited."""
        self.ending: Finish | FormworkError | None = None
        """How it has ended."""
        self._rules = rules
        self._end_ids = rules.end_ids
        self._refusal_id = rules.refusal_id if opening.may_refuse else None
        self._jumps = jumps and opening.options.top_logprobs is None
        self._prompt_length = len(opening.prompt)
        self._limit = min(opening.options.max_tokens, rules.context - self._prompt_length)
        self._counts: dict[int, int] = {}
        self._telling = Telling(opening.key, rules.vocabulary, opening.options.stop, now)
        self.stamps = self._telling.stamps
        """When what first happened, monotonic seconds."""
        self._lookout = Lookout(opening) if opening.refusal_phrases else None
        self._trial: _Trial | None = None
        """While a refusal is looked for."""
        self._is_cut_short = False

    # -- where it stands ------------------------------------------------------------------------

    @property
    def key(self) -> SequenceKey:
        """Its name."""
        return self.opening.key

    @property
    def ended(self) -> bool:
        """It has its last token, or an error."""
        return self.ending is not None

    @property
    def generated(self) -> int:
        """Completion tokens so far."""
        return len(self.tokens) - self._prompt_length

    @property
    def prefilled(self) -> bool:
        """The prompt is computed but for its last token, which goes with the first logits."""
        return self.started and self.computed >= self._prompt_length - 1

    @property
    def runnable(self) -> bool:
        """It may make tokens."""
        return self.bound and self._is_open and self.logits is None

    @property
    def held(self) -> bool:
        """It waits for a late mask alone: what the forward does for it is done."""
        return self.logits is not None and self.bound and self._is_open

    @property
    def computable(self) -> bool:
        """Its next logits can be computed; its first ones also while it waits for its index."""
        return self.logits is None and self._is_open and self.prefilled

    @property
    def _is_open(self) -> bool:
        return not self.paused and self.ending is None

    def take_run(self) -> tuple[int, ...]:
        """Return the next run of the prompt, up to the end of its block; it counts as computed."""
        stop = min((self.computed // BLOCK + 1) * BLOCK, self._prompt_length - 1)
        run = tuple(self.tokens[self.computed : stop])
        self.computed = max(stop, self.computed)
        return run

    def take_tail(self, most: int) -> tuple[int, ...]:
        """Return tokens behind the prompt's runs, at most so many; they count as computed."""
        tail = tuple(self.tokens[self.computed : self.computed + most])
        self.computed += len(tail)
        return tail

    @property
    def all_computed(self) -> bool:
        """No token waits for the forward."""
        return self.computed == len(self.tokens)

    def stamp(self, name: str, now: float) -> None:
        """Remember when something first happened."""
        self.stamps.setdefault(name, now)

    def start(self, cached: int) -> None:
        """Begin the prompt behind its first `cached` tokens, which are reused."""
        self.computed = cached
        self.started = True
        self._telling.note_cached(cached)

    def lose_place(self) -> Slot | None:
        """Give the slot back; what was in it is computed again later."""
        slot, self.slot = self.slot, None
        if not self.bound:
            self.logits = None  # whoever waits long keeps nothing
        self.computed = 0
        self.started = False
        self.decoding = False
        return slot

    # -- its index, and ending in time ----------------------------------------------------------

    def bind(self, cursor: "Cursor") -> None:
        """Give it its place in its index.

        Raises:
            LimitExceededError: It shall be closed in time, and its tokens are too few for that.
            InvalidArgumentError: It shall be, and nobody knows how its texts end.
            CursorError: The cursor has failed.
        """
        self.cursor, self.bound = cursor, True
        # where no tokens are left, none is needed to end the answer
        if self.closes and not cursor.close_within(self._limit + 1):
            raise _cannot_close(cursor.shortest_end_tokens, self._limit)

    def bind_unforced(self, cursor: "Cursor") -> bool:
        """Give it its place in its index where no token is forced, and return whether that is so.

        Then its next token is sampled: the logits that are computed for it already are of use.

        Raises:
            CursorError: The cursor has failed.
        """
        may_be_forced = self._jumps and not self.may_refuse_now
        if self.closes or (may_be_forced and cursor.forced()):
            return False
        self.cursor, self.bound = cursor, True
        return True

    def leaves_room(self, token_id: int) -> bool:
        """Return whether the answer can still be closed in time after a token; True if it need not.

        Raises:
            CursorError: The cursor has failed.
        """
        if self.cursor is None or not self.closes or self.is_probing:
            return True
        return self.is_refusal(token_id) or self.cursor.leaves_room(token_id)

    def fill_closing_mask(self, out: Masks) -> None:
        """Write tokens that leave room, shape (words,): the answer ends for want of tokens now.

        Raises:
            CursorError: The cursor has failed.
        """
        if self.cursor is None:
            raise AssertionError("only an answer under an index is closed")
        self.cursor.fill_closing_mask(out)
        self._is_cut_short = True

    # -- what comes next ------------------------------------------------------------------------

    @property
    def may_refuse_now(self) -> bool:
        """The refusal token is allowed next."""
        return self._refusal_id is not None and self.generated == 0

    def is_refusal(self, token_id: int) -> bool:
        """Return whether a token, as the next one, is the refusal token."""
        return token_id == self._refusal_id and self.generated == 0

    def forced(self) -> tuple[int, ...]:
        """Return tokens that need no choice.

        Raises:
            CursorError: The cursor has failed.
        """
        if self.cursor is None or self.may_refuse_now or self.may_probe:
            return ()
        return self.cursor.forced()

    def row_sampling(self) -> RowSampling:
        """Return how the next token is sampled.

        A bias steers the answer: a refusal, and what is tried to find one, are the model's own.
        """
        options = self.opening.options
        return RowSampling(
            Draw(options.seed, self.opening.choice, self.generated),
            options.temperature,
            options.top_p,
            options.presence_penalty,
            options.frequency_penalty,
            options.logit_bias if options.logit_bias and self._is_answer else None,
            self._counts,
            options.top_logprobs,
            options.logprobs_of_allowed,
            self.may_probe,
        )

    def follows(self, sampled: Sampled) -> bool:
        """Return whether a token does nothing to the cursor but move it on.

        Many such cursors are moved together. Where a refusal may begin, or what was forced is to
        be told, there is more to ask first.
        """
        is_asked = sampled.likeliest is not None or not self._jumps
        token_id = sampled.token_id
        return not (is_asked or token_id in self._end_ids or self.is_refusal(token_id))

    def is_forced(self, token_id: int) -> bool:
        """Return whether a sampled token was forced, so that its mask was itself.

        Where forced tokens are appended unsampled, what is left to be sampled is not forced.

        Raises:
            CursorError: The cursor has failed.
        """
        return not self._jumps and self.forced()[:1] == (token_id,)

    @property
    def _is_answer(self) -> bool:
        return self._telling.channel is Channel.CONTENT and not self.is_probing

    # -- refusals in the model's own words ------------------------------------------------------

    @property
    def is_probing(self) -> bool:
        """Tokens are decoded freely to see whether they begin a refusal."""
        return self._trial is not None

    @property
    def may_probe(self) -> bool:
        """The next token may show that the model would rather refuse."""
        return self._lookout is not None and self._lookout.is_here and self.cursor is not None

    def begin_probe(self, token_id: int) -> bool:
        """Append the model's likeliest next token, which the index does not allow.

        What came before has been taken to be told.

        Returns:
            Whether it was taken back already.
        """
        if self._lookout is not None:
            self._lookout.leave()
        self._trial = _Trial(self.cursor, len(self.tokens), dict(self._counts))
        self.cursor = None
        return self.probe(Sampled(token_id))

    def probe(self, sampled: Sampled) -> bool:
        """Append a token of the probe; return whether the tokens were taken back."""
        if self._trial is None:
            raise AssertionError("a probe has begun")
        self.accept(sampled, forced=False)
        tried = len(self.tokens) - self._trial.tokens
        verdict = judge(self._telling.text, tried, self.opening.refusal_phrases)
        if verdict is Verdict.REFUSAL:
            self._trial, self._telling.channel = None, Channel.REFUSAL
            return False
        if verdict is Verdict.UNDECIDED and not self.ended:
            return False
        self._take_back(self._trial)
        return True

    def _take_back(self, trial: "_Trial") -> None:
        """Go on as if nothing had been tried: the last token before it is computed again."""
        self.cursor, self._counts, self._trial = trial.cursor, trial.counts, None
        del self.tokens[trial.tokens :]
        self.computed = min(self.computed, len(self.tokens) - 1)
        self.ending = None
        self._telling.start_over()

    # -- moving on ------------------------------------------------------------------------------

    def accept(self, sampled: Sampled, *, forced: bool, moved: Moved | None = None) -> None:
        """Append a token.

        Args:
            sampled: The token.
            forced: It had to come.
            moved: What became of the cursor, where it was moved on already.

        Raises:
            CursorError: The index does not allow it.
        """
        token_id = sampled.token_id
        is_refusal = self.is_refusal(token_id)
        self.tokens.append(token_id)
        self.logits = None
        self._telling.count(sampled, forced=forced)
        if not forced:
            self._counts[token_id] = self._counts.get(token_id, 0) + 1
        if token_id in self._end_ids:
            self.end(Finish.STOP)
            return
        if is_refusal:
            self._begin_refusal()
        elif self.cursor is not None:
            _move(self.cursor, token_id, moved)
        said = self._telling.say(token_id, is_silent=is_refusal)
        if self._lookout is not None and self.cursor is not None:
            self._lookout.note(said)
        if self._telling.stopped:
            self.end(Finish.STOP)
        elif self.generated >= self._limit:
            self.end(Finish.LENGTH)

    def accept_forced(self) -> None:
        """Append the tokens that follow without a choice.

        None where each is to be sampled, and none that leaves no room for an ending.

        Raises:
            CursorError: The cursor has failed.
        """
        if not self._jumps:
            return
        while not self.ended and (run := self.forced()):
            for token_id in run:
                if self.ended or self.may_probe or not self.leaves_room(token_id):
                    return
                self.accept(Sampled(token_id), forced=True)

    def end(self, finish: Finish) -> None:
        """End without an error."""
        if self.ended:
            return
        is_cut = self._is_cut_short and finish is Finish.STOP
        self.ending = Finish.LENGTH if is_cut else finish
        self._telling.finish()

    def fail(self, error: FormworkError) -> None:
        """End with an error."""
        if not self.ended:
            self.ending = error

    def take_output(self, clock: Clock) -> Output | None:
        """Return what has come since the last call; None if nothing has."""
        if self._trial is not None:
            if self.ending is None:
                return None
            self._telling.forget()  # what was tried is nobody's to see
        return self._telling.take(clock, self.ending, is_bound=self.bound)

    def _begin_refusal(self) -> None:
        """Go on as unconstrained text of another channel."""
        self._telling.channel = Channel.REFUSAL
        self.cursor = None


def _move(cursor: "Cursor", token_id: int, moved: Moved | None) -> None:
    """Move a cursor on, unless it was moved already."""
    if moved is None:
        cursor.advance(token_id)
    elif isinstance(moved, Exception):
        raise moved


def _cannot_close(shortest: int | None, limit: int) -> FormworkError:
    if shortest is None:
        return InvalidArgumentError(
            "How texts of this grammar end is not known: they cannot be closed in time.",
            field="sampling.close_in_time",
        )
    return LimitExceededError(
        f"The shortest answer takes {shortest} tokens; {limit} may come.",
        metadata={"limit": "max_tokens", "maximum": str(limit), "value": str(shortest)},
        field="sampling.max_tokens",
    )
