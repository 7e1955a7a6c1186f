"""Tokens to text: whole code points, and nothing from a stop string on."""

import codecs
from collections.abc import Sequence

from formwork_engine.vocabulary import Vocabulary


class TextStream:
    """The text of one sequence, as it becomes certain.

    A code point that is not complete, and text that may become a stop string, are kept back. Bytes
    that are not UTF-8 become U+FFFD, at the end too.

    Args:
        vocabulary: Bytes of the tokens.
        stop: Strings that end the text before they begin.
    """

    def __init__(self, vocabulary: Vocabulary, stop: Sequence[str] = ()) -> None:
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(stop)
        self._kept = ""
        self._is_whole = True
        self.stopped = False

    def feed(self, token_id: int) -> str:
        """Return what a further token makes certain; sets `stopped` at a stop string."""
        text = self._decode(self._vocabulary.token_bytes(token_id))
        return self._release(text) if self._stop else text

    def finish(self) -> str:
        """Return what was kept back: nothing more can follow. Empty after a stop string."""
        if self.stopped:
            return ""
        text = self._release(self._decoder.decode(b"", final=True))
        if self.stopped:
            return text
        kept, self._kept = self._kept, ""
        return text + kept

    def _decode(self, said: bytes) -> str:
        """Return the code points that further bytes complete."""
        if self._is_whole:
            try:
                return said.decode()  # most tokens; the decoder is slower
            except UnicodeDecodeError:
                pass  # a part of a code point, or none at all
        text = self._decoder.decode(said)
        self._is_whole = not self._decoder.getstate()[0]
        return text

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        if not self._stop:
            return text
        text = self._kept + text
        places = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if places:
            self.stopped = True
            self._kept = ""
            return text[: min(places)]
        keep = max(_overlap(text, stop) for stop in self._stop)
        self._kept = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest ending of `text` that `stop` begins with."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
