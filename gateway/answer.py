"""Whole answers: collects the frames of a generation into one chat completion."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.errors import AnswerInvalidError
from gateway.generation import Generation, Job
from gateway.wire import finish_reason, is_refusal, logprob_objects, usage_object
from mesh.errors import InternalError


@dataclass
class Choice:
    """What one choice has said so far."""

    text: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    text_logprobs: list[dict[str, Any]] = field(default_factory=list)
    refusal_logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish: str | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the model refused."""
        return bool(self.refusal)


async def collect(generation: Generation) -> bytes:
    """Return the body of a chat completion once every choice has ended.

    Raises:
        FormworkError: The generation failed, or an answer does not fit its schema.
    """
    request = generation.job.request
    choices = [Choice() for _ in range(request.choices)]
    async for item in generation.frames():
        if item is None:
            choices = [Choice() for _ in range(request.choices)]
            continue
        number, frame = item
        choice = choices[number]
        (choice.refusal if is_refusal(frame) else choice.text).append(frame.text)
        if request.logprobs:
            kept = choice.refusal_logprobs if is_refusal(frame) else choice.text_logprobs
            kept += logprob_objects(frame)
        choice.finish = finish_reason(frame) or choice.finish
    for choice in choices:
        await check_answer(generation, choice)
    generation.complete()
    return orjson.dumps(_completion(generation, choices))


async def check_answer(generation: Generation, choice: Choice) -> None:
    """Raise where an answer claims to be complete and does not fit its schema.

    Raises:
        AnswerInvalidError: A fault of ours, counted.
        InternalError: The sequence ended without saying how.
    """
    if choice.finish is None:
        raise InternalError("A sequence ended without a finish.")
    generation.metrics.finishes.labels("refusal" if choice.is_refused else choice.finish).inc()
    validator = generation.job.validator
    if validator is None or choice.is_refused or choice.finish != "stop":
        return
    if not await validator.is_valid("".join(choice.text)):
        generation.metrics.invalid_answers.inc()
        raise AnswerInvalidError("The answer does not fit its schema.")


def head_of(job: Job, kind: str) -> dict[str, Any]:
    """Return the members that an answer and all its chunks begin with."""
    return {"id": job.completion_id, "object": kind, "created": job.created, "model": job.snapshot}


def _completion(generation: Generation, choices: list[Choice]) -> dict[str, Any]:
    job = generation.job
    body = {
        **head_of(job, "chat.completion"),
        "choices": [_choice(job, number, choice) for number, choice in enumerate(choices)],
        "usage": usage_object(generation.usage),
        "service_tier": generation.opened.place.service_tier,
        "system_fingerprint": job.system_fingerprint,
    }
    if job.request.metadata is not None:
        body["metadata"] = job.request.metadata
    return body


def _choice(job: Job, number: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if choice.is_refused else "".join(choice.text),
        "refusal": "".join(choice.refusal) if choice.is_refused else None,
        "annotations": [],
    }
    logprobs = None
    if job.request.logprobs:
        logprobs = {
            "content": None if choice.is_refused else choice.text_logprobs,
            "refusal": choice.refusal_logprobs if choice.is_refused else None,
        }
    return {
        "index": number,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": choice.finish,
    }
