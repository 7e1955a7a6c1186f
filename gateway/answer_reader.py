"""From what a model wrote to content, thoughts and calls, piece by piece as it comes.

The reader follows the same row of `gateway.chat_formats` that the constraint was made from. Control
tokens are single characters of the text (`gateway.control_tokens`), so that whatever the model says
cannot be taken for one.
"""

import json
from collections.abc import Callable, Iterator, Mapping

from gateway.answer_events import CallBegun, CallInput, Channel, Event, Said
from gateway.answer_forms import AnswerForms
from gateway.chat_formats import CustomInput
from gateway.control_tokens import is_control
from gateway.json_scan import ObjectScan
from gateway.tools import ToolKind
from mesh.errors import InternalError


class AnswerReader:
    """Reads one answer.

    Args:
        forms: Of the model's chat format.
        kinds: Kind by name, of the tools that may be called.
        is_structured: Content follows a format, so that no call stands behind it.
        is_thinking: The prompt has opened the reasoning.
    """

    def __init__(
        self,
        forms: AnswerForms,
        kinds: Mapping[str, ToolKind],
        *,
        is_structured: bool = False,
        is_thinking: bool = False,
    ) -> None:
        self._forms = forms
        self._kinds = kinds
        self._is_structured = is_structured
        self._may_call_later = bool(kinds) and forms.text_before_calls and not is_structured
        self._text = ""
        self._state: Callable[[], Iterator[Event]] = self._begin
        self._may_think = bool(forms.thought_opening)
        self._call = -1
        self._scan: ObjectScan | None = None
        self._wrapped: list[str] | None = None
        if is_thinking:
            self._may_think, self._state = False, self._open_thoughts

    @property
    def channel(self) -> Channel | None:
        """Where what comes next belongs, as far as one can tell; None: to a call."""
        if self._state in (self._open_thoughts, self._think):
            return Channel.REASONING
        return Channel.CONTENT if self._state in (self._say, self._begin) else None

    def feed(self, text: str) -> list[Event]:
        """Return what a further text makes certain.

        Raises:
            InternalError: The text is not in the format: a constraint was not kept.
        """
        self._text += text
        events: list[Event] = []
        while True:
            before, state = self._text, self._state
            events += self._state()
            if (self._text, self._state) == (before, state):
                return events

    def finish(self) -> list[Event]:
        """Return what is certain now that nothing follows: an answer may end anywhere by length."""
        rest, self._text = self._text, ""
        if not rest:
            return []
        if self._state in (self._begin, self._say):
            return [] if _holds_control(rest) else [Said(Channel.CONTENT, rest)]
        if self._state == self._think:
            return [Said(Channel.REASONING, rest)]
        return []

    # -- states: each takes what it can off the text, and says what comes next ------------------

    def _begin(self) -> Iterator[Event]:
        """Tell thoughts, calls and content apart by how they begin."""
        forms, call = self._forms, self._forms.calls_opening + self._forms.call_opening
        # what is taken off the text, what must follow it, and what comes next
        openings: list[tuple[str, str, Callable[[], Iterator[Event]]]] = []
        if self._may_think:
            openings.append((forms.thought_opening, "", self._open_thoughts))
        openings += [(call, name, self._name) for name in self._telling_names()]
        if forms.content_opening:
            openings.append((forms.content_opening, "", self._say))
        for opening, further, state in openings:
            if self._text.startswith(opening + further):
                self._take(len(opening))
                self._may_think = False
                self._state = state
                return
        if any((opening + further).startswith(self._text) for opening, further, _ in openings):
            return  # more must come to tell
        if forms.content_opening:
            raise _broken("an answer without its opening")
        self._state = self._say
        yield from ()

    def _telling_names(self) -> Iterator[str]:
        """Yield what must follow the opening of a call before it is one.

        Nothing, but where content is JSON and calls begin like it: then the name, and what stands
        behind it.
        """
        forms = self._forms
        if self._is_structured and (forms.calls_opening + forms.call_opening).startswith("{"):
            yield from (name + forms.after_name for name in self._kinds)
        elif self._kinds:
            yield ""

    def _open_thoughts(self) -> Iterator[Event]:
        if self._text:
            self._take(1 if self._text[0] == "\n" else 0)
            self._state = self._think
        yield from ()

    def _think(self) -> Iterator[Event]:
        """Say what is thought up to its end, or to a call: see `_close_thoughts`."""
        call = next((n for n, c in enumerate(self._text) if is_control(c)), len(self._text))
        if self._forms.thought_end in self._text[: call + 1] or call == len(self._text):
            yield from self._until(Channel.REASONING, self._forms.thought_end, self._close_thoughts)
        else:
            yield from self._said(Channel.REASONING, self._take(call))
            self._state = self._begin

    def _close_thoughts(self) -> Iterator[Event]:
        """Skip what stands behind thoughts: all of it, but where nothing made the model write it.

        An answer that begins like thoughts may be any text to its constraint, which then is not
        kept to what follows them.
        """
        after = self._forms.after_thoughts
        if after.startswith(self._text) and self._text != after:
            return  # more must come to tell
        self._take(next(n for n in range(len(after), -1, -1) if self._text.startswith(after[:n])))
        self._state = self._begin
        yield from ()

    def _say(self) -> Iterator[Event]:
        if not self._may_call_later:
            yield from self._said(Channel.CONTENT, self._take(len(self._text)))
            return
        yield from self._until(Channel.CONTENT, self._forms.trigger, self._open)

    def _open(self) -> Iterator[Event]:
        """Skip the rest of the opening of the first call, behind its trigger."""
        opening = self._forms.calls_opening + self._forms.call_opening
        if self._skip(opening.removeprefix(self._forms.trigger)):
            self._state = self._name
        yield from ()

    def _name(self) -> Iterator[Event]:
        name, found, _ = self._text.partition(self._forms.after_name)
        if not found:
            return
        if name not in self._kinds:
            raise _broken("a call of an unknown tool")
        self._take(len(name) + len(found))
        self._call += 1
        yield CallBegun(self._call, name, self._kinds[name])
        is_function = self._kinds[name] is ToolKind.FUNCTION
        is_raw = not is_function and self._forms.custom is CustomInput.RAW
        self._scan = None if is_raw else ObjectScan()
        self._wrapped = None if is_function or is_raw else []
        self._state = self._input

    def _input(self) -> Iterator[Event]:
        text = self._take(self._input_length())
        if self._wrapped is None:
            yield from [CallInput(self._call, text)] if text else []
            return
        self._wrapped.append(text)
        if self._state == self._after_input:
            yield CallInput(self._call, json.loads("".join(self._wrapped))["input"])

    def _input_length(self) -> int:
        """Return how much of the text belongs to the input; goes on behind it where that ends."""
        if self._scan is not None:
            end = self._scan.find_end(self._text)
        else:
            end = next((n for n, c in enumerate(self._text) if is_control(c)), None)
        if end is None:
            return len(self._text)
        self._state = self._after_input
        return end

    def _after_input(self) -> Iterator[Event]:
        """Skip what closes a call and opens the next."""
        forms, text = self._forms, self._text
        again = forms.call_closing + forms.between_calls + forms.call_opening
        ends = forms.call_closing + forms.calls_closing
        if text.startswith(again):
            self._take(len(again))
            self._state = self._name
        elif not again.startswith(text) and not ends.startswith(text):
            raise _broken("text between calls")
        yield from ()

    # -- helpers --------------------------------------------------------------------------------

    def _until(
        self, channel: Channel, end: str, following: Callable[[], Iterator[Event]]
    ) -> Iterator[Event]:
        """Say what stands before `end`; keep back what may be its beginning."""
        place = self._text.find(end)
        if place >= 0:
            yield from self._said(channel, self._take(place))
            self._take(len(end))
            self._state = following
            return
        yield from self._said(channel, self._take(len(self._text) - overlap(self._text, end)))

    def _said(self, channel: Channel, text: str) -> Iterator[Event]:
        if _holds_control(text):
            raise _broken("a control token in a text")
        if text:
            yield Said(channel, text)

    def _skip(self, form: str) -> bool:
        """Take a form off the text; False while it is not whole."""
        if self._text.startswith(form):
            self._take(len(form))
            return True
        if not form.startswith(self._text):
            raise _broken("a form that is cut")
        return False

    def _take(self, count: int) -> str:
        taken, self._text = self._text[:count], self._text[count:]
        return taken


def overlap(text: str, end: str) -> int:
    """Return the length of the longest ending of `text` that `end` begins with, and not all of."""
    longest = min(len(text), len(end) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(end[:n])), 0)


def _holds_control(text: str) -> bool:
    return any(map(is_control, text))


def _broken(what: str) -> InternalError:
    return InternalError(f"The answer is not in the model's chat format: {what}.")
