"""What a sequence tells of itself: its text as it becomes certain, and where its time went."""

from formwork_engine.vocabulary import Vocabulary

from mesh.clock import Clock
from mesh.errors import FormworkError
from sampler_service.openings import SequenceKey
from sampler_service.outputs import Channel, Finish, Mark, Output, Timings, TokenOutput
from sampler_service.sampling import Sampled
from sampler_service.text import TextStream


class Telling:
    """Collects what a sequence makes, until it is taken to be told.

    Args:
        key: Of the sequence.
        vocabulary: Of the model.
        stop: Strings that end the text before they begin.
        now: When the sequence was opened, monotonic seconds.
    """

    def __init__(
        self, key: SequenceKey, vocabulary: Vocabulary, stop: tuple[str, ...], now: float
    ) -> None:
        self.channel = Channel.CONTENT
        self.stamps = {"opened": now}
        self._key = key
        self._vocabulary = vocabulary
        self._stop = stop
        self._text = TextStream(vocabulary, stop)
        self._output = Output(key)
        self._cached: int | None = None
        self._told_cached = False
        self._forced_tokens = 0

    @property
    def text(self) -> str:
        """What has become certain since it was taken last."""
        return self._output.text

    @property
    def stopped(self) -> bool:
        """The text has come to a stop string."""
        return self._text.stopped

    def note_cached(self, tokens: int) -> None:
        """Keep how many tokens of the prompt were reused, when it was begun for the first time."""
        if self._cached is None:
            self._cached = tokens

    def count(self, sampled: Sampled, *, forced: bool) -> None:
        """Take in a token and its log probability, where it has one."""
        self._output.tokens += 1
        self._forced_tokens += forced
        if sampled.logprob is not None:
            logprob = TokenOutput(sampled.token_id, sampled.logprob, sampled.top)
            self._output.logprobs.append(logprob)

    def say(self, token_id: int, *, is_silent: bool = False) -> str | int:
        """Add what a token says, and return it: text, or its id where it stands for none.

        The id leaves a mark, unless it is silent.
        """
        is_special = token_id in self._vocabulary.special_ids
        if is_special and not is_silent:
            self._output.marks.append(Mark(token_id, len(self._output.text)))
        text = self._text.feed(token_id)
        self._output.text += text
        return token_id if is_special else text

    def finish(self) -> None:
        """Add what was kept back: nothing more can follow."""
        self._output.text += self._text.finish()

    def forget(self) -> None:
        """Drop what was not taken."""
        self._output = Output(self._key)

    def start_over(self) -> None:
        """Go on as if nothing had been said since it was taken."""
        self._text = TextStream(self._vocabulary, self._stop)
        self.forget()

    def take(
        self, clock: Clock, ending: Finish | FormworkError | None, *, is_bound: bool
    ) -> Output | None:
        """Return what has come since the last call; None if nothing has.

        The first output tells what was reused, which is known once the prompt was begun.
        """
        output = self._output
        if ending is None and (not output.tokens or self._cached is None):
            return None
        self._output = Output(self._key)
        output.channel = self.channel
        if not self._told_cached:
            output.cached_prompt_tokens, self._told_cached = self._cached or 0, True
        if ending is not None:
            output.finish = ending if isinstance(ending, Finish) else None
            output.error = None if isinstance(ending, Finish) else ending
            output.timings = self._timings(clock.monotonic(), is_bound=is_bound)
        return output

    def _timings(self, now: float, *, is_bound: bool) -> Timings:
        opened = self.stamps["opened"]
        placed = self.stamps.get("placed", now)
        prefilled = max(self.stamps.get("prefilled", now), placed)
        decoding = max(self.stamps.get("bound", opened), prefilled) if is_bound else now
        return Timings(
            waited=placed - opened,
            prefill=prefilled - placed,
            index_wait=decoding - prefilled,
            decode=max(now - decoding, 0.0),
            forced_tokens=self._forced_tokens,
        )
