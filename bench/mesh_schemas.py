"""Send many schemas through a running mesh, streamed and not, and count what comes back.

    set -a; . client.env; set +a
    python bench/mesh_schemas.py --sample 200 FOLDER_OR_FILE...

Each input is a file of JSON lines (gzipped or not) with a `schema` per line, or a folder of such
files.
Every accepted schema is asked twice, once streamed. Each answer is one of:

valid     complete, and valid against the schema with formats asserted
invalid   complete, and not: there must be none
length    the token limit came first
declined  the model refused, in its own field
refused   the schema was refused with a 400 before the first token
error     anything else
"""

import argparse
import asyncio
import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema_rs
import openai

PROMPT = "Ada Lovelace, 36, lives in London and can be reached at ada@example.org since 2024-05-17."


@dataclass(frozen=True)
class Trial:
    """One answer: its kind, how long it took, and what to look at when it is bad."""

    kind: str
    seconds: float
    detail: str = ""


def read_schemas(paths: list[Path]) -> Iterator[tuple[str, object]]:
    """Yield (name, schema) of every line of every file."""
    for path in paths:
        files = sorted(path.glob("*.jsonl*")) if path.is_dir() else [path]
        for file in files:
            opener = gzip.open if file.suffix == ".gz" else open
            with opener(file, "rt", encoding="utf-8") as lines:
                for number, line in enumerate(lines):
                    record = json.loads(line)
                    if "schema" in record:
                        yield record.get("file", f"{file.name}:{number}"), record["schema"]


async def ask(
    client: openai.AsyncOpenAI, schema: object, options: argparse.Namespace, *, stream: bool
) -> Trial:
    """Return what one request came to."""
    request = {
        "model": options.model,
        "messages": [{"role": "user", "content": PROMPT}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": False},
        },
        "max_completion_tokens": options.max_tokens,
        "seed": 1,
        "temperature": options.temperature,
    }
    started = time.monotonic()
    try:
        finish, content, refusal = await (_streamed if stream else _whole)(client, request)
    except openai.BadRequestError as error:
        return Trial("refused", time.monotonic() - started, f"{error.code}: {error.message}")
    except openai.OpenAIError as error:
        return Trial("error", time.monotonic() - started, repr(error))
    return _judge(schema, finish, content, refusal, time.monotonic() - started)


async def _whole(client: openai.AsyncOpenAI, request: dict) -> tuple[str, str, str]:
    completion = await client.chat.completions.create(**request)
    choice = completion.choices[0]
    return choice.finish_reason, choice.message.content or "", choice.message.refusal or ""


async def _streamed(client: openai.AsyncOpenAI, request: dict) -> tuple[str, str, str]:
    finish, content, refusal = "", "", ""
    async for chunk in await client.chat.completions.create(**request, stream=True):
        for choice in chunk.choices:
            content += choice.delta.content or ""
            refusal += choice.delta.refusal or ""
            finish = choice.finish_reason or finish
    return finish, content, refusal


def _judge(schema: object, finish: str, content: str, refusal: str, seconds: float) -> Trial:
    if refusal:
        return Trial("declined", seconds, refusal)
    if finish == "length":
        return Trial("length", seconds)
    if finish != "stop":
        return Trial("error", seconds, f"finish_reason {finish!r}")
    try:
        validator = jsonschema_rs.validator_for(schema, validate_formats=True)
        fault = next(iter(validator.iter_errors(json.loads(content))), None)
    except ValueError as error:  # content is no JSON, or the schema is beyond the validator
        return Trial("invalid", seconds, f"{error}: {content[:200]}")
    if fault is not None:
        return Trial("invalid", seconds, f"{fault.message[:200]}: {content[:200]}")
    return Trial("valid", seconds)


async def run(options: argparse.Namespace) -> bool:
    """Print the table and every bad answer; return whether none was invalid or an error."""
    schemas = list(read_schemas(options.inputs))
    chosen = random.Random(options.seed).sample(schemas, min(options.sample, len(schemas)))
    client = openai.AsyncOpenAI(max_retries=2, timeout=options.timeout)
    gate = asyncio.Semaphore(options.concurrency)
    counts = {False: Counter(), True: Counter()}
    seconds: list[float] = []

    async def one(name: str, schema: object, *, stream: bool) -> None:
        async with gate:
            trial = await ask(client, schema, options, stream=stream)
        counts[stream][trial.kind] += 1
        if trial.kind == "valid":
            seconds.append(trial.seconds)
        if trial.kind in ("invalid", "error") or (trial.kind == "refused" and options.verbose):
            print(f"{trial.kind:8} stream={stream} {name}: {trial.detail}")

    await asyncio.gather(
        *(one(*item, stream=stream) for item in chosen for stream in (False, True))
    )
    _print_table(counts, sorted(seconds))
    return all(kind[bad] == 0 for kind in counts.values() for bad in ("invalid", "error"))


def _print_table(counts: dict[bool, Counter], seconds: list[float]) -> None:
    kinds = ("valid", "invalid", "length", "declined", "refused", "error")
    print("\n| | " + " | ".join(kinds) + " | complete of accepted |")
    print("|---|" + "---|" * (len(kinds) + 1))
    for stream, found in counts.items():
        accepted = sum(found.values()) - found["refused"]
        complete = (found["valid"] + found["invalid"] + found["declined"]) / max(accepted, 1)
        row = " | ".join(str(found[kind]) for kind in kinds)
        print(f"| {'streamed' if stream else 'whole'} | {row} | {complete:.1%} |")
    if seconds:
        print(f"\nvalid answers took {seconds[len(seconds) // 2]:.2f} s at the median")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", type=Path)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="formwork-mini")
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--timeout", type=float, default=120.0)
    parser.add_argument("--verbose", action="store_true")
    raise SystemExit(0 if asyncio.run(run(parser.parse_args())) else 1)


if __name__ == "__main__":
    main()
