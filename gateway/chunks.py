"""Streamed answers: each frame becomes the bytes of one server-sent event, built once."""

import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from formwork.sampler.v1.sampler_pb2 import Frame

from gateway.answer import Choice, check_answer, head_of
from gateway.generation import Generation
from gateway.wire import finish_reason, is_refusal, logprob_objects, usage_object

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

    def say(self, choice: int, frame: Frame) -> bytes:
        """Return the chunk of a frame's text."""
        name = "refusal" if is_refusal(frame) else "content"
        logprobs = None
        if self._request.logprobs:
            logprobs = {"content": None, "refusal": None, name: logprob_objects(frame)}
        return self._chunk(choice, {name: frame.text}, logprobs=logprobs)

    def end(self, choice: int, reason: str) -> bytes:
        """Return the chunk that ends a choice."""
        return self._chunk(choice, {}, finish=reason)

    def usage(self, generation: Generation) -> bytes:
        """Return the chunk with the usage: the last one, without choices."""
        return self._start + b'],"usage":' + orjson.dumps(usage_object(generation.usage)) + _CLOSE

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
    choices = [Choice() for _ in range(request.choices)]
    yield b"".join(writer.begin(number) for number in range(request.choices))
    async for item in generation.frames():
        if item is None:
            continue  # nothing of the lost attempt was sent
        number, frame = item
        if frame.text or (request.logprobs and frame.logprobs):
            yield writer.say(number, frame)
        choice = choices[number]
        (choice.refusal if is_refusal(frame) else choice.text).append(frame.text)
        choice.finish = finish_reason(frame)
        if choice.finish is not None:
            await check_answer(generation, choice)
            yield writer.end(number, choice.finish)
    generation.complete()
    if request.include_usage:
        yield writer.usage(generation)
    yield b": server-timing " + generation.spent.header().encode() + b"\n\n"
    yield DONE


def _padding(delta: Mapping[str, Any]) -> str:
    size = sum(len(text) for text in delta.values() if text)
    return secrets.token_urlsafe(_PAD_TO)[: _PAD_TO - size % _PAD_TO]
