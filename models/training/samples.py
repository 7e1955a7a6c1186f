"""What one training sample is, and how it becomes the prompt text and the answer text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.schema_outline import outline

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
Schema = dict[str, object]

RESERVED = 4
SPECIAL_TOKENS = (
    "<|pad|>", "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>",
    "<|schema|>", "<|tools|>", "<|call|>", "<|args|>", "<|refusal|>",
    *(f"<|reserved_{index}|>" for index in range(RESERVED)),
)  # fmt: skip


@dataclass(frozen=True)
class Tool:
    """A callable tool: its parameters are a JSON Schema of an object."""

    name: str
    parameters: Schema
    description: str = ""


@dataclass(frozen=True)
class Sample:
    """A conversation and the answer wanted; the answer's specials are spelled out in its text."""

    task: str
    messages: tuple[tuple[str, str], ...]
    answer: str
    schema: Schema | None = None
    tools: tuple[Tool, ...] = ()
    truth: Json = None
    labels: Mapping[str, str] = field(default_factory=dict)


def compact(value: object) -> str:
    """Write JSON as the model does: no spaces, text as itself."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def call_text(name: str, arguments: object) -> str:
    """Write one tool call."""
    return f"<|call|>{name}<|args|>{compact(arguments)}"


def prompt_text(sample: Sample) -> str:
    """Render the prompt exactly as the chat template does, ready for the answer."""
    parts = ["<|begin|>"]
    parts += [f"<|{role}|>{text}<|end|>" for role, text in sample.messages]
    if sample.tools:
        lines = (f"{t.name}({outline(t.parameters)}) {t.description}" for t in sample.tools)
        parts.append("<|tools|>" + "\n".join(lines) + "<|end|>")
    if sample.schema is not None:
        parts.append(f"<|schema|>{outline(sample.schema)}<|end|>")
    return "".join(parts) + "<|assistant|>"


def answer_text(sample: Sample) -> str:
    """Return the answer with its end token."""
    return sample.answer + "<|end|>"
