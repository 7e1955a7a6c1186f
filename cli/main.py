"""`formwork models` and `formwork chat`: the API from a terminal.

Reads OPENAI_BASE_URL and OPENAI_API_KEY, which `make run` leaves in client.env.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openai

DEFAULT_MODEL = "formwork-mini"


class UsageError(Exception):
    """The command was called wrongly; the message says how."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        with open_client(os.environ) as client:
            if options.command == "models":
                list_models(client)
            else:
                chat(client, options.model, options.text, options.schema, stream=options.stream)
    except (UsageError, openai.OpenAIError) as error:
        sys.stderr.write(f"formwork: {error}\n")
        return 1
    return 0


def open_client(environment: Mapping[str, str]) -> openai.OpenAI:
    """Return a client of the mesh that the environment names.

    Raises:
        UsageError: It names none.
    """
    url, key = environment.get("OPENAI_BASE_URL"), environment.get("OPENAI_API_KEY")
    if not url or not key:
        raise UsageError(
            "OPENAI_BASE_URL and OPENAI_API_KEY are not set: "
            "set -a; . FORMWORK_HOME/client.env; set +a"
        )
    return openai.OpenAI(base_url=url, api_key=key)


def list_models(client: openai.OpenAI) -> None:
    """Print the name of each model, one a line."""
    for model in client.models.list():
        print(model.id)


def chat(
    client: openai.OpenAI, model: str, text: str, schema: Path | None, *, stream: bool
) -> None:
    """Print the answer to one message.

    Args:
        client: Of the mesh.
        model: Snapshot or alias.
        text: The message.
        schema: File with a JSON Schema that the answer has to fit.
        stream: Print as it comes.

    Raises:
        UsageError: The schema's file cannot be read.
        openai.OpenAIError: The mesh refuses, or does not answer.
    """
    request: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
    if schema is not None:
        request["response_format"] = read_schema(schema)
    if stream:
        _print_stream(client.chat.completions.create(**request, stream=True))
        return
    message = client.chat.completions.create(**request).choices[0].message
    print(message.refusal or message.content)


def read_schema(path: Path) -> dict[str, Any]:
    """Return the `response_format` for a file with a JSON Schema.

    Raises:
        UsageError: Not readable, or not JSON.
    """
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error
    described = {"name": "answer", "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": described}


def _print_stream(chunks: openai.Stream[Any]) -> None:
    for chunk in chunks:
        for choice in chunk.choices:
            print(choice.delta.refusal or choice.delta.content or "", end="", flush=True)
    print()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="formwork", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("models", help="list the models")
    chat_parser = commands.add_parser("chat", help="send one message and print the answer")
    chat_parser.add_argument("text", help="the message")
    chat_parser.add_argument("--model", default=DEFAULT_MODEL, help="default: %(default)s")
    chat_parser.add_argument(
        "--schema", type=Path, help="file with a JSON Schema that the answer has to fit"
    )
    chat_parser.add_argument("--stream", action="store_true", help="print as it comes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
