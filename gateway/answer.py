"""Whole answers: collects the frames of a generation into one chat completion."""

from typing import Any

import orjson

from gateway.answer_events import Channel
from gateway.choices import Choice
from gateway.errors import AnswerInvalidError
from gateway.generation import Generation, Job
from gateway.wire import usage_object
from mesh.errors import InternalError


async def collect(generation: Generation) -> bytes:
    """Return the body of a chat completion once every choice has ended.

    Raises:
        FormworkError: The generation failed, or an answer does not fit its schema.
    """
    choices = begin_choices(generation.job)
    async for item in generation.frames():
        if item is None:
            choices = begin_choices(generation.job)
            continue
        number, frame = item
        choices[number].take(frame)
        if choices[number].has_stopped:
            generation.stop(number)
    for choice in choices:
        await check_answer(generation, choice)
    generation.complete()
    return orjson.dumps(_completion(generation, choices))


def begin_choices(job: Job) -> list[Choice]:
    """Return the choices of a request, before their first frame."""
    return [Choice(job) for _ in range(job.request.choices)]


async def check_answer(generation: Generation, choice: Choice) -> None:
    """Raise where an answer claims to be complete and does not fit what was promised.

    Raises:
        AnswerInvalidError: A fault of ours, counted.
        InternalError: The sequence ended without saying how.
    """
    if choice.finish is None:
        raise InternalError("A sequence ended without a finish.")
    generation.metrics.finishes.labels("refusal" if choice.is_refused else choice.finish).inc()
    is_cut = choice.finish == "length" and not generation.job.request.close_in_time
    if choice.is_refused or is_cut:
        return
    if not await _fits(generation.job, choice):
        generation.metrics.invalid_answers.inc()
        raise AnswerInvalidError("The answer does not fit its schema.")


async def _fits(job: Job, choice: Choice) -> bool:
    budget = job.checks.open_budget()
    for call in sorted(choice.calls, key=lambda call: call.name):  # each validator is made once
        validator = job.checks.inputs.get(call.name)
        if validator is not None and not await validator.is_valid(call.input, budget):
            return False
    if choice.calls or job.checks.content is None:
        return True
    return await job.checks.content.is_valid(choice.text(Channel.CONTENT) or "", budget)


def head_of(job: Job, kind: str) -> dict[str, Any]:
    """Return the members that an answer and all its chunks begin with."""
    return {"id": job.completion_id, "object": kind, "created": job.created, "model": job.snapshot}


def reasoning_tokens(choices: list[Choice]) -> int:
    """Return how many of the completion tokens were thoughts."""
    return sum(choice.reasoning_tokens for choice in choices)


def _completion(generation: Generation, choices: list[Choice]) -> dict[str, Any]:
    job = generation.job
    body = {
        **head_of(job, "chat.completion"),
        "choices": [_choice(job, number, choice) for number, choice in enumerate(choices)],
        "usage": usage_object(generation.usage, reasoning_tokens(choices)),
        "service_tier": generation.opened.place.service_tier,
        "system_fingerprint": job.system_fingerprint,
    }
    if job.request.metadata is not None:
        body["metadata"] = job.request.metadata
    return body


def _choice(job: Job, number: int, choice: Choice) -> dict[str, Any]:
    return {
        "index": number,
        "message": _message(choice),
        "logprobs": _logprobs(choice) if job.request.logprobs else None,
        "finish_reason": choice.finish,
    }


def _message(choice: Choice) -> dict[str, Any]:
    content = choice.text(Channel.CONTENT)
    is_silent = choice.is_refused or bool(choice.calls)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content if is_silent else content or "",
        "refusal": (choice.text(Channel.REFUSAL) or "") if choice.is_refused else None,
        "annotations": [],
    }
    if choice.calls:
        message["tool_calls"] = [call.to_object() for call in choice.calls]
    reasoning = choice.text(Channel.REASONING)
    if reasoning is not None:
        message["reasoning_content"] = reasoning
    return message


def _logprobs(choice: Choice) -> dict[str, Any]:
    of_content = choice.logprobs[Channel.CONTENT]
    return {
        "content": None if choice.is_refused else of_content,
        "refusal": choice.logprobs[Channel.REFUSAL] if choice.is_refused else None,
    }
