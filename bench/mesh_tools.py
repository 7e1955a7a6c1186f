"""Send tool sets through a running mesh: is every call of a known tool, with arguments that fit?

    set -a; . client.env; set +a
    python bench/mesh_tools.py calls FILE           # JSON lines, each with `functions`
    python bench/mesh_tools.py latency              # what tools add to the time to the first token

A line's `functions` are `{"name", "description", "parameters"}`; Python's names of types (`dict`,
`float`, `tuple`) are read as JSON Schema's. Every set is asked twice, with `required` and `auto`.
"""

import argparse
import asyncio
import gzip
import json
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import openai

_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": None, "Any": None}
_PROMPT = [{"role": "user", "content": "Get the weather in Lisbon in celsius, for order 17."}]
_NO_REFUSAL = {"11": -100}  # of the built-in model: what is wanted here is calls


def read_tool_sets(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield OpenAI's tools of each line."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            functions = {f["name"]: f for f in json.loads(line)["functions"]}
            yield [to_tool(function) for function in functions.values()]


def to_tool(function: dict[str, Any]) -> dict[str, Any]:
    """Return a function as OpenAI's tool."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", function["name"])[:64]
    parameters = with_json_types(function.get("parameters") or {"type": "object"})
    described = {"name": name, "description": function.get("description", "")}
    return {"type": "function", "function": {**described, "parameters": parameters}}


def with_json_types(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema in which every type is one of JSON Schema's."""
    if isinstance(schema, list):
        return [with_json_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: with_json_types(value) for key, value in schema.items()}
    kind = converted.get("type")
    if isinstance(kind, str) and kind in _TYPES:
        converted["type"] = _TYPES[kind]
        if converted["type"] is None:
            del converted["type"]
    return converted


# -- calls ----------------------------------------------------------------------------------------


async def count_calls(options: argparse.Namespace) -> bool:
    """Print what came of every set; return whether no call was invalid."""
    sets = list(read_tool_sets(options.file))
    chosen = random.Random(options.seed).sample(sets, min(options.sample, len(sets)))
    client = openai.AsyncOpenAI(max_retries=2, timeout=120)
    gate = asyncio.Semaphore(4)
    counts = {choice: Counter() for choice in ("required", "auto")}

    async def one(tools: list[dict[str, Any]], choice: str) -> None:
        async with gate:
            outcome = await ask(client, options, tools, choice)
        counts[choice].update(outcome)

    await asyncio.gather(*(one(tools, choice) for tools in chosen for choice in counts))
    kinds = ("answers", "calls", "invalid calls", "text", "length", "declined", "refused", "error")
    print("\n| `tool_choice` | " + " | ".join(kinds) + " |")
    print("|---|" + "---|" * len(kinds))
    for choice, found in counts.items():
        print(f"| {choice} | " + " | ".join(str(found[kind]) for kind in kinds) + " |")
    return not any(found["invalid calls"] + found["error"] for found in counts.values())


async def ask(
    client: openai.AsyncOpenAI,
    options: argparse.Namespace,
    tools: list[dict[str, Any]],
    choice: str,
) -> Counter[str]:
    """Return what one request came to, its calls counted."""
    try:
        completion = await client.chat.completions.create(
            model=options.model,
            messages=_PROMPT,  # type: ignore[arg-type]
            tools=tools,  # type: ignore[arg-type]
            tool_choice=choice,  # type: ignore[arg-type]
            temperature=options.temperature,
            seed=1,
            logit_bias=_NO_REFUSAL,  # type: ignore[arg-type]
            max_completion_tokens=options.max_tokens,
        )
    except openai.BadRequestError as error:
        if options.verbose:
            print(f"refused: {error.message}")
        return Counter(["answers", "refused"])
    except openai.OpenAIError as error:
        print(f"error: {error!r}")
        return Counter(["answers", "error"])
    answer = completion.choices[0]
    found = Counter(["answers"])
    found["declined"] += bool(answer.message.refusal)
    found["length"] += answer.finish_reason == "length"
    found["text"] += answer.finish_reason == "stop" and not answer.message.refusal
    whole = answer.message.tool_calls or []
    if answer.finish_reason == "length":
        whole = whole[:-1]  # the last one may be cut
    found["calls"] += len(whole)
    found["invalid calls"] += sum(not is_valid(call, tools) for call in whole)
    return found


def is_valid(call: Any, tools: list[dict[str, Any]]) -> bool:  # noqa: ANN401 - of the client
    """Return whether a call is of a tool on offer and its arguments fit; print one that is not."""
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    schema = schemas.get(call.function.name)
    try:
        arguments = json.loads(call.function.arguments)
        valid = schema is not None and jsonschema_rs.is_valid(schema, arguments)
    except ValueError:
        valid = False
    if not valid:
        print(f"invalid: {call.function.name} {call.function.arguments[:200]}")
    return valid


# -- latency --------------------------------------------------------------------------------------


async def measure_latency(options: argparse.Namespace) -> bool:
    """Print what the constraint adds to the time to the first token.

    Both sides of a pair have the same prompt, prefilled before: one may call no tool, the other
    may; both make one token. Nothing of the constraint can hide behind a prefill then; in the last
    column, both sides bring a new tool, and so a prompt that is new. Medians of the differences,
    milliseconds.
    """
    client = openai.AsyncOpenAI(max_retries=0, timeout=120)
    changes = (unchanged, reordered, one_less, one_new, all_new)
    names = ("known", *(change.__name__.replace("_", " ") for change in changes[1:]))
    print(f"| tools | unconstrained | added: {' | '.join(names)} | one new, prompt new |")
    print("|---|---" * 4 + "|")
    for count in (1, 10, 100):
        base = [make_tool(count, number) for number in range(count)]
        await first_token(client, options, base, "auto")
        bases: list[float] = []
        added = [
            [
                await difference(client, options, change(base, number), bases)
                for number in range(options.repeats)
            ]
            for change in changes
        ]
        added.append(
            [await difference_of_new(client, options, base, n) for n in range(options.repeats)]
        )
        row = " | ".join(f"{statistics.median(values):+.1f}" for values in added)
        print(f"| {count} | {statistics.median(bases):.1f} | {row} |")
    return True


def make_tool(count: int, number: int, salt: str = "") -> dict[str, Any]:
    """Return a small tool, different for each number and salt: a hundred fit a small context."""
    properties = {f"city{salt}": {"type": "string"}, f"n{number}": {"enum": [count, "all"]}}
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": f"tool_{number}", "parameters": parameters}}


def unchanged(tools: list[dict[str, Any]], _number: int) -> list[dict[str, Any]]:
    """Return the tools."""
    return tools


def reordered(tools: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """Return the tools in another order."""
    return random.Random(number).sample(tools, len(tools))


def one_less(tools: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """Return the tools without one of them, where there are several."""
    left = number % len(tools)
    return [*tools[:left], *tools[left + 1 :]] or tools


def one_new(tools: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """Return the tools, the last of them never seen before."""
    return [*tools[:-1], make_tool(len(tools), len(tools) - 1, f"_{number}_{time.time_ns()}")]


def all_new(tools: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """Return as many tools, none of them seen before."""
    salt = f"_{number}_{time.time_ns()}"
    return [make_tool(len(tools), n, salt) for n in range(len(tools))]


async def difference(
    client: openai.AsyncOpenAI,
    options: argparse.Namespace,
    tools: list[dict[str, Any]],
    bases: list[float],
) -> float:
    """Return how many milliseconds the first token comes later where tools may be called."""
    await first_token(client, options, tools, "none")
    plain = await first_token(client, options, tools, "none")
    bases.append(plain)
    return await first_token(client, options, tools, "auto") - plain


async def difference_of_new(
    client: openai.AsyncOpenAI,
    options: argparse.Namespace,
    tools: list[dict[str, Any]],
    number: int,
) -> float:
    """Return the same where a tool is new on both sides; which side comes first alternates."""
    sides = ["none", "auto"] if number % 2 else ["auto", "none"]
    taken = {
        side: await first_token(client, options, one_new(tools, number), side) for side in sides
    }
    return taken["auto"] - taken["none"]


async def first_token(
    client: openai.AsyncOpenAI,
    options: argparse.Namespace,
    tools: list[dict[str, Any]],
    choice: str,
) -> float:
    """Return the milliseconds of an answer of one token."""
    started = time.perf_counter()
    await client.chat.completions.create(
        model=options.model,
        messages=_PROMPT,  # type: ignore[arg-type]
        tools=tools,  # type: ignore[arg-type]
        tool_choice=choice,  # type: ignore[arg-type]
        max_completion_tokens=1,
    )
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="formwork-mini")
    commands = parser.add_subparsers(required=True)
    calls = commands.add_parser("calls")
    calls.add_argument("file", type=Path)
    calls.add_argument("--sample", type=int, default=100)
    calls.add_argument("--seed", type=int, default=1)
    calls.add_argument("--max-tokens", type=int, default=300)
    calls.add_argument("--temperature", type=float, default=0.0)
    calls.add_argument("--verbose", action="store_true")
    calls.set_defaults(run=count_calls)
    latency = commands.add_parser("latency")
    latency.add_argument("--repeats", type=int, default=15)
    latency.set_defaults(run=measure_latency)
    options = parser.parse_args()
    raise SystemExit(0 if asyncio.run(options.run(options)) else 1)


if __name__ == "__main__":
    main()
