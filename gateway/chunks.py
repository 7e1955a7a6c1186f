"""Streamed answers: each frame becomes the bytes of one server-sent event, built once."""

import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from gateway.answer import begin_choices, check_answer, head_of, reasoning_tokens
from gateway.answer_events import CallBegun, CallInput, Channel, Event, Said
from gateway.choices import Choice, Step
from gateway.generation import Generation
from gateway.wire import usage_object

DONE = b"data: [DONE]\n\n"
_CLOSE = b"}\n\n"
_PAD_TO = 32  # characters; hides the lengths of tokens from who sees only packet sizes


class ChunkWriter:
    """Writes the chunks of one generation."""

    def __init__(self, generation: Generation) -> None:
        job = generation.job
        self._request = job.request
        head = {
            **head_of(job, "chat.completion.chunk"),
            "service_tier": generation.opened.place.service_tier,
            "system_fingerprint": job.system_fingerprint,
        }
        # Everything that is the same in every event, up to the choices.
        self._start = b"data: " + orjson.dumps(head)[:-1] + b',"choices":['
        self._end = b'],"usage":null' if job.request.include_usage else b"]"

    def begin(self, choice: int) -> bytes:
        """Return the chunk that opens a choice."""
        return self._chunk(choice, {"role": "assistant", "content": "", "refusal": None})

    def say(self, number: int, choice: Choice, step: Step) -> bytes:
        """Return the chunks of what a frame has added to a choice."""
        deltas = [_delta(event, choice) for event in step.events]
        logprobs = self._logprobs(step)
        if logprobs is None:
            return b"".join(self._chunk(number, delta) for delta in deltas)
        first, *others = deltas or [{}]
        chunks = [self._chunk(number, first, logprobs=logprobs)]
        return b"".join([*chunks, *(self._chunk(number, delta) for delta in others)])

    def end(self, choice: int, reason: str) -> bytes:
        """Return the chunk that ends a choice."""
        return self._chunk(choice, {}, finish=reason)

    def usage(self, generation: Generation, choices: list[Choice]) -> bytes:
        """Return the chunk with the usage: the last one, without choices."""
        usage = usage_object(generation.usage, reasoning_tokens(choices))
        return self._start + b'],"usage":' + orjson.dumps(usage) + _CLOSE

    def _logprobs(self, step: Step) -> dict[str, Any] | None:
        if not step.logprobs or step.channel not in (Channel.CONTENT, Channel.REFUSAL):
            return None
        name = "refusal" if step.channel is Channel.REFUSAL else "content"
        return {"content": None, "refusal": None, name: step.logprobs}

    def _chunk(
        self,
        choice: int,
        delta: Mapping[str, Any],
        *,
        logprobs: Mapping[str, Any] | None = None,
        finish: str | None = None,
    ) -> bytes:
        members = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        event = self._start + orjson.dumps(members) + self._end
        if self._request.include_obfuscation:
            event += b',"obfuscation":' + orjson.dumps(_padding(delta))
        return event + _CLOSE


async def write_chunks(generation: Generation) -> AsyncIterator[bytes]:
    """Yield the events of a generation, the closing `[DONE]` included.

    Choices are opened in order before any of them speaks; a choice is validated before its end.

    Raises:
        FormworkError: The generation failed, or an answer does not fit its schema.
    """
    request = generation.job.request
    writer = ChunkWriter(generation)
    choices = begin_choices(generation.job)
    yield b"".join(writer.begin(number) for number in range(request.choices))
    async for item in generation.frames():
        if item is None:
            choices = begin_choices(generation.job)
            continue  # nothing of the lost attempt was sent
        number, frame = item
        choice = choices[number]
        said = writer.say(number, choice, choice.take(frame))
        if choice.has_stopped:
            generation.stop(number)
        if said:
            yield said
        if choice.finish is not None:
            await check_answer(generation, choice)
            yield writer.end(number, choice.finish)
    generation.complete()
    if request.include_usage:
        yield writer.usage(generation, choices)
    yield b": server-timing " + generation.spent.header().encode() + b"\n\n"
    yield DONE


_TEXTS = {
    Channel.CONTENT: "content",
    Channel.REFUSAL: "refusal",
    Channel.REASONING: "reasoning_content",
}


def _delta(event: Event, choice: Choice) -> dict[str, Any]:
    """Return what a chunk says of an event that the choice has taken in."""
    match event:
        case Said(channel, text):
            return {_TEXTS[channel]: text}
        case CallBegun(number, name):
            head = {"id": choice.calls[number].id, "type": "function"}
            function = {"name": name, "arguments": ""}
            return {"tool_calls": [{"index": number, **head, "function": function}]}
        case CallInput(number, text):
            return {"tool_calls": [{"index": number, "function": {"arguments": text}}]}


def _padding(delta: Mapping[str, Any]) -> str:
    size = sum(len(text) for text in delta.values() if isinstance(text, str))
    return secrets.token_urlsafe(_PAD_TO)[: _PAD_TO - size % _PAD_TO]
