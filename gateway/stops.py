"""Stop strings in the content of an answer that is kept to a form.

A worker looks for them in answers of which all is content; where thoughts or calls may stand beside
it, only the gateway knows which text is content.
"""

from collections.abc import Sequence
from dataclasses import replace

from gateway.answer_events import Channel, Event, Said
from gateway.answer_reader import overlap
from gateway.request import ChatRequest


def share_stops(request: ChatRequest, *, is_kept_to_form: bool) -> tuple[ChatRequest, ChatRequest]:
    """Return a request as its worker is told it, and as its answer is read here.

    One of the two looks for its stop strings.
    """
    without = replace(request, stop=())
    return (without, request) if is_kept_to_form else (request, without)


class StopReader:
    """Cuts the content of one answer before the first stop string.

    Args:
        stops: Sought in content alone; calls, thoughts and refusals stay whole.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._kept = ""
        """The end of the content, which may be the beginning of a stop string."""
        self.has_stopped = False

    def read(self, events: Sequence[Event], *, is_last: bool) -> list[Event]:
        """Return what is certain of further events, nothing from a stop string on.

        Args:
            events: In their order.
            is_last: No more will come.
        """
        if not self._stops:
            return list(events)
        made: list[Event] = []
        for event in events:
            if self.has_stopped:
                break
            if isinstance(event, Said) and event.channel is Channel.CONTENT:
                made.append(self._cut(event.text))
            else:
                made += [self._rest(), event]
        if is_last and not self.has_stopped:
            made.append(self._rest())
        return [event for event in made if not isinstance(event, Said) or event.text]

    def _cut(self, text: str) -> Said:
        text = self._kept + text
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        self.has_stopped = bool(places)
        if places:
            return Said(Channel.CONTENT, text[: min(places)])
        certain = len(text) - max(overlap(text, stop) for stop in self._stops)
        self._kept = text[certain:]
        return Said(Channel.CONTENT, text[:certain])

    def _rest(self) -> Said:
        rest, self._kept = self._kept, ""
        return Said(Channel.CONTENT, rest)
