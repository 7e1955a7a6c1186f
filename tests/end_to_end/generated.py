"""Random requests, and what every answer to one must be."""

import json
import random
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

_NAMES = ("a", "ab", "name", "城", "x-y", "a b", '"', "n1")
_TOOLS = ("get", "get_all", "put-it", "A1")
# Syntax, definition, and what a text of it matches.
_GRAMMARS = (
    ("regex", "[ab]{1,4}", "[ab]{1,4}"),
    ("regex", "(yes|no)!", "(yes|no)!"),
    ("regex", r'["\\\\\n]{2}[^"]', r'["\\\\\n]{2}[^"]'),
    ("lark", 'start: "(" start? ")" | /[0-9]+/', r"\(*[0-9]*\)*"),
    ("lark", 'start: WORD ("\\n" WORD)*\nWORD: /\\w{1,3}/ | "\\""', r'(?:(?:\w{1,3}|")\n?)+'),
)
_SHAPES = {(syntax, definition): shape for syntax, definition, shape in _GRAMMARS}


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


def tool(rng: random.Random, name: str, *, is_custom: bool) -> dict[str, Any]:
    if is_custom:
        syntax, definition, _ = rng.choice(_GRAMMARS)
        grammar = {"syntax": syntax, "definition": definition}
        form = {"type": "grammar", "grammar": grammar}
        inner = {"name": name, "format": form if rng.random() < 0.8 else None}
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
        asked["tools"] = [
            tool(rng, name, is_custom=not stream and rng.random() < 0.4) for name in names
        ]
        asked["tool_choice"] = tool_choice(rng, asked["tools"])
        asked["parallel_tool_calls"] = rng.random() < 0.7
    if "tools" not in asked or rng.random() < 0.4:
        form = {"name": "n", "schema": obj(rng)}
        asked["response_format"] = {"type": "json_schema", "json_schema": form}
    return asked


def tool_choice(rng: random.Random, tools: list[dict[str, Any]]) -> Any:  # noqa: ANN401 - JSON
    """Return a choice of tools in one of its forms."""
    named = [
        {"type": one["type"], one["type"]: {"name": one[one["type"]]["name"]}}
        for one in rng.sample(tools, rng.randrange(1, len(tools) + 1))
    ]
    mode = rng.choice(["auto", "required"])
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": named}}
    return rng.choice(["auto", "auto", "required", "required", "none", named[0], allowed])


def callable_names(asked: dict[str, Any]) -> tuple[str, list[str]]:
    """Return how a request wants tools to be called, and which of them may be."""
    choice = asked.get("tool_choice", "none")
    names = [one[one["type"]]["name"] for one in asked.get("tools", [])]
    if isinstance(choice, str):
        return choice, [] if choice == "none" else names
    inner = choice[choice["type"]]
    if choice["type"] != "allowed_tools":
        return "named", [inner["name"]]
    return inner["mode"], [one[one["type"]]["name"] for one in inner["tools"]]


def collected(stream: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - of the client
    """Yield the choices of a stream, put together; checks that calls do not interleave."""
    choices: dict[int, dict[str, Any]] = {}
    for chunk in stream:
        for part in chunk.choices:
            empty = {"content": "", "refusal": "", "thoughts": "", "calls": [], "finish": None}
            choice = choices.setdefault(part.index, empty)
            choice["content"] += part.delta.content or ""
            choice["refusal"] += part.delta.refusal or ""
            choice["thoughts"] += getattr(part.delta, "reasoning_content", None) or ""
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
            "thoughts": getattr(choice.message, "reasoning_content", None) or "",
            "calls": calls,
            "finish": choice.finish_reason,
        }


def check(choice: dict[str, Any], asked: dict[str, Any]) -> None:
    """Find an answer to be valid, or to say that it was cut or refused."""
    mode, names = callable_names(asked)
    if choice["refusal"]:
        assert not choice["content"]
        assert not choice["calls"]
        return
    calls = choice["calls"]
    assert choice["finish"] in ("stop", "tool_calls", "length")
    assert {name for _, name, _ in calls} <= set(names)
    assert len(calls) <= 1 or (asked["parallel_tool_calls"] and mode != "named")
    if choice["finish"] == "length":
        return
    assert (choice["finish"] == "tool_calls") == bool(calls)
    assert calls or mode in ("none", "auto")
    for kind, name, written in calls:
        check_call(kind, written, next(t for t in asked["tools"] if t[t["type"]]["name"] == name))
    if "response_format" in asked:
        assert not (calls and choice["content"])
        if not calls:
            form = asked["response_format"]["json_schema"]["schema"]
            assert jsonschema_rs.is_valid(form, json.loads(choice["content"]))


def check_call(kind: str, written: str, described: dict[str, Any]) -> None:
    assert kind == described["type"]
    if kind == "custom":
        form = described["custom"]["format"]
        if form is not None:
            grammar = form["grammar"]
            assert re.fullmatch(_SHAPES[grammar["syntax"], grammar["definition"]], written)
    else:
        parameters = described["function"]["parameters"]
        assert jsonschema_rs.is_valid(parameters, json.loads(written))
