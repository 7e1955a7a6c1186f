"""Random schemas, tool sets and options at temperature 2: never invalid, broken or interleaved.

FORMWORK_TEST_SEEDS sets how many requests are made.
"""

import json
import os
import random
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import openai
import pytest

MODEL = "formwork-mini"
SEEDS = range(int(os.environ.get("FORMWORK_TEST_SEEDS", "24")))
_NAMES = ("a", "ab", "name", "城", "x-y", "a b", '"', "n1")
_TOOLS = ("get", "get_all", "put-it", "A1")
_REGEXES = ("[ab]{1,4}", "(yes|no)!", "[0-9]{2}:[0-9]{2}")


def schema(rng: random.Random, depth: int = 2) -> dict[str, Any]:
    """Return a schema with a bounded answer, so that most answers end."""
    kinds = ["enum", "string", "integer", "boolean", "null", "anyOf"]
    kind = rng.choice([*kinds, "object", "object", "array"] if depth else kinds)
    low = rng.randrange(-20, 20)
    made: dict[str, Any] = {"type": kind}
    match kind:
        case "enum":
            made = {"enum": rng.sample(["x", "yz", 1, 2.5, None, True, [1], "</tool_call>"], 3)}
        case "string":
            made["maxLength"] = rng.randrange(6)
        case "integer":
            made |= {"minimum": low, "maximum": low + rng.randrange(200)}
        case "anyOf":
            made = {"anyOf": [schema(rng, 0), schema(rng, 0)]}
        case "array":
            made |= {"items": schema(rng, depth - 1), "maxItems": 2}
        case "object":
            made = obj(rng, depth)
    return made


def obj(rng: random.Random, depth: int = 2) -> dict[str, Any]:
    names = rng.sample(_NAMES, rng.randrange(1, 4))
    properties = {name: schema(rng, depth - 1) for name in names}
    required = [name for name in names if rng.random() < 0.6]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def tool(rng: random.Random, name: str, *, custom: bool) -> dict[str, Any]:
    if custom and rng.random() < 0.3:
        grammar = {"syntax": "regex", "definition": rng.choice(_REGEXES)}
        inner = {"name": name, "format": {"type": "grammar", "grammar": grammar}}
        return {"type": "custom", "custom": inner}
    return {"type": "function", "function": {"name": name, "parameters": obj(rng)}}


def request(rng: random.Random) -> dict[str, Any]:
    """Return parameters that ask for tools, a format, or both."""
    stream = rng.random() < 0.5
    asked: dict[str, Any] = {
        "stream": stream,
        "temperature": 2,
        "top_p": rng.choice([1, 0.9]),
        "seed": rng.randrange(1000),
        "n": rng.choice([1, 1, 3]),
        "max_completion_tokens": 160,
        "logit_bias": {"11": rng.choice([-100, 0])},
        "logprobs": rng.random() < 0.3,
        "presence_penalty": rng.choice([0, 1]),
    }
    if rng.random() < 0.8:
        names = rng.sample(_TOOLS, rng.randrange(1, 4))
        asked["tools"] = [tool(rng, name, custom=not stream) for name in names]
        asked["tool_choice"] = rng.choice(["auto", "required", "none"])
        asked["parallel_tool_calls"] = rng.random() < 0.7
    if "tools" not in asked or rng.random() < 0.4:
        form = {"name": "n", "schema": obj(rng)}
        asked["response_format"] = {"type": "json_schema", "json_schema": form}
    return asked


def collected(stream: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - of the client
    """Yield the choices of a stream, put together; checks that calls do not interleave."""
    choices: dict[int, dict[str, Any]] = {}
    for chunk in stream:
        for part in chunk.choices:
            empty = {"content": "", "refusal": "", "calls": [], "finish": None}
            choice = choices.setdefault(part.index, empty)
            choice["content"] += part.delta.content or ""
            choice["refusal"] += part.delta.refusal or ""
            choice["finish"] = part.finish_reason or choice["finish"]
            for delta in part.delta.tool_calls or []:
                calls = choice["calls"]
                if delta.id:
                    assert delta.index == len(calls)
                    calls.append(["function", delta.function.name, ""])
                assert delta.index == len(calls) - 1
                calls[-1][2] += delta.function.arguments or ""
    assert list(choices) == sorted(choices)
    yield from choices.values()


def whole(completion: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - of the client
    """Yield the choices of an answer in the same terms."""
    for choice in completion.choices:
        calls = [
            ["function", call.function.name, call.function.arguments]
            if call.type == "function"
            else ["custom", call.custom.name, call.custom.input]
            for call in choice.message.tool_calls or []
        ]
        yield {
            "content": choice.message.content or "",
            "refusal": choice.message.refusal or "",
            "calls": calls,
            "finish": choice.finish_reason,
        }


def check(choice: dict[str, Any], asked: dict[str, Any]) -> None:
    mode = asked.get("tool_choice")
    if choice["refusal"]:
        assert not choice["content"]
        assert not choice["calls"]
        return
    assert choice["finish"] in ("stop", "tool_calls", "length")
    assert not (choice["calls"] and mode in (None, "none"))
    assert len(choice["calls"]) <= 1 or asked["parallel_tool_calls"]
    if choice["finish"] == "length":
        return
    assert (choice["finish"] == "tool_calls") == bool(choice["calls"])
    assert choice["calls"] or mode != "required"
    for kind, name, written in choice["calls"]:
        check_call(kind, written, next(t for t in asked["tools"] if t[t["type"]]["name"] == name))
    if "response_format" in asked and not choice["calls"]:
        form = asked["response_format"]["json_schema"]["schema"]
        assert jsonschema_rs.is_valid(form, json.loads(choice["content"]))


def check_call(kind: str, written: str, described: dict[str, Any]) -> None:
    assert kind == described["type"]
    if kind == "custom":
        assert re.fullmatch(described["custom"]["format"]["grammar"]["definition"], written)
    else:
        parameters = described["function"]["parameters"]
        assert jsonschema_rs.is_valid(parameters, json.loads(written))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_asked_for_the_answer_fits(client: openai.OpenAI, seed: int) -> None:
    asked = request(random.Random(seed))
    messages = [{"role": "user", "content": "Nina, 7, from Rome: get all of it."}]
    answer = client.chat.completions.create(model=MODEL, messages=messages, **asked)
    choices = list(collected(answer) if asked["stream"] else whole(answer))
    assert len(choices) == asked["n"]
    for choice in choices:
        check(choice, asked)
