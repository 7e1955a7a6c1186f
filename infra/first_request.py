"""One real structured request with the official client, as a newcomer would send it."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from textwrap import indent

import openai
from pydantic import BaseModel

from infra.configuration import BUILT_IN_ALIAS
from infra.errors import SetupError

_SECONDS = 60.0
_MOST_TOKENS = 256
QUESTION = "A table for 4 guests in Lisbon, please. The name is Nina Okafor, nina@example.org."
_TIMING = re.compile(r"([\w-]+)[^,]*?;\s*dur=([0-9.]+)")


class Booking(BaseModel):
    """What the answer has to look like."""

    name: str
    city: str
    email: str
    guests: int


@dataclass(frozen=True)
class FirstAnswer:
    """What came back, and where the time went."""

    text: str
    model: str
    finish_reason: str
    usage: openai.types.CompletionUsage | None
    total_milliseconds: float
    server_milliseconds: float
    """From the request's sending, connection included, to the answer's head."""
    timings: dict[str, float] = field(default_factory=dict)
    """Milliseconds by phase, from the `server-timing` header."""


@dataclass
class _Crossing:
    """When a request went out and its answer came in, monotonic seconds."""

    sent: float = 0.0
    answered: float = 0.0

    def hooks(self) -> dict[str, list[Callable[[object], None]]]:
        """Return what an HTTP client calls at both moments; a request sent again goes on."""

        def send(_request: object) -> None:
            self.sent = self.sent or time.monotonic()

        def receive(_response: object) -> None:
            self.answered = time.monotonic()

        return {"request": [send], "response": [receive]}


def send_first_request(base_url: str, key: str) -> FirstAnswer:
    """Return the mesh's answer to a small extraction.

    Raises:
        SetupError: No answer that fits the schema.
    """
    started, crossing = time.monotonic(), _Crossing()
    # Proxies of the environment are for other machines than this one.
    transport = openai.DefaultHttpxClient(trust_env=False, event_hooks=crossing.hooks())
    with openai.OpenAI(base_url=base_url, api_key=key, http_client=transport) as client:
        try:
            response = client.chat.completions.with_raw_response.parse(
                model=BUILT_IN_ALIAS,
                messages=[{"role": "user", "content": QUESTION}],
                response_format=Booking,
                temperature=0,
                max_completion_tokens=_MOST_TOKENS,
                timeout=_SECONDS,
            )
            completion = response.parse()
        except (openai.OpenAIError, ValueError) as error:
            raise SetupError(f"the first request failed: {error}") from error
    choice = completion.choices[0]
    if choice.message.parsed is None:
        raise SetupError(
            f"the first request got no answer: {choice.message.refusal or choice.finish_reason}"
        )
    return FirstAnswer(
        text=choice.message.parsed.model_dump_json(indent=2),
        model=completion.model,
        finish_reason=choice.finish_reason,
        usage=completion.usage,
        total_milliseconds=(time.monotonic() - started) * 1000,
        server_milliseconds=(crossing.answered - crossing.sent) * 1000,
        timings=read_server_timing(response.headers.get("server-timing", "")),
    )


def read_server_timing(header: str) -> dict[str, float]:
    """Return the durations of a Server-Timing header (W3C), in milliseconds by name."""
    return {name: float(duration) for name, duration in _TIMING.findall(header)}


def describe_request() -> str:
    """Return the request as a reader of the terminal sees it."""
    fields = ", ".join(
        f"{name}: {field['type']}"
        for name, field in Booking.model_json_schema()["properties"].items()
    )
    return f"  {QUESTION}\n  response_format=Booking ({fields})"


def describe_answer(answer: FirstAnswer) -> str:
    """Return the answer, its usage and where the time went, for a terminal."""
    usage = answer.usage
    counted = (
        f"{usage.prompt_tokens} prompt + {usage.completion_tokens} completion tokens"
        if usage
        else "unknown"
    )
    return (
        f"{indent(answer.text, '  ')}\n"
        f"  model {answer.model}, finish_reason {answer.finish_reason}\n"
        f"  usage {counted}\n"
        f"  time  {answer.total_milliseconds:.0f} ms in all: {_describe_times(answer)}"
    )


def _describe_times(answer: FirstAnswer) -> str:
    """Return where the time went, all of it; queueing and compiling overlap, the rest does not."""
    parts = dict(answer.timings)
    parts["gateway and HTTP"] = max(0.0, answer.server_milliseconds - sum(parts.values()))
    parts["this client, just started,"] = answer.total_milliseconds - answer.server_milliseconds
    return ", ".join(f"{name} {value:.1f} ms" for name, value in parts.items())
