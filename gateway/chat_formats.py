"""What models write around content and calls, one row for each chat format.

A row says it in texts in which control tokens are spelled out; where a model's tokenizer has such a
token, it is that token, else it is text. The same row makes the envelope that constrains an answer
(`gateway.answer_shape`) and the reader that takes it apart (`gateway.answer_reader`).
"""

import json
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.control_tokens import ControlTokens, is_control


class CustomInput(StrEnum):
    """How the input of a custom tool, which is text and no JSON, stands in a call."""

    RAW = "raw"
    """As it is, up to a control token."""
    WRAPPED = "wrapped"
    """In a JSON object, as its string `input`."""


@dataclass(frozen=True)
class CallForm:
    """One call: opening, name, `after_name`, the input, closing."""

    opening: str
    after_name: str
    closing: str = ""
    custom: CustomInput = CustomInput.WRAPPED


@dataclass(frozen=True)
class Reasoning:
    """Thoughts before the answer: opening, any text up to `until`, then `after`.

    `until` is empty where `after` begins with a control token. A line break behind the opening is
    no part of what is thought.
    """

    opening: str
    until: str
    after: str = ""


@dataclass(frozen=True)
class ChatFormat:
    """How an answer is written: thoughts, then content, calls, or content and calls.

    Calls stand between `calls_opening` and `calls_closing`, with `between_calls` between them.
    """

    call: CallForm | None = None
    calls_opening: str = ""
    between_calls: str = ""
    calls_closing: str = ""
    trigger: str = ""
    """Text by which calls are told from content, with which they begin; empty: a control token."""
    text_before_calls: bool = True
    """Content may stand before calls, else an answer is one or the other."""
    parallel: bool = True
    content_opening: str = ""
    reasoning: Reasoning | None = None
    short_call_ids: bool = False
    """Ids of nine letters and digits, as the templates of some families insist on."""

    def mentions(self, spelling: str) -> bool:
        """Return whether a text stands in one of the forms."""
        call, thinking = self.call, self.reasoning
        texts = [self.calls_opening, self.between_calls, self.calls_closing, self.content_opening]
        texts += [call.opening, call.after_name, call.closing] if call else []
        texts += [thinking.opening, thinking.until, thinking.after] if thinking else []
        return any(spelling in text for text in texts)

    @property
    def call_keys(self) -> tuple[str, ...]:
        """Keys that every call begins with, where it is a JSON object with nothing before it."""
        call = self.call
        if call is None or not (self.calls_opening + call.opening).startswith("{"):
            return ()
        return tuple(json.loads(call.opening + call.after_name + "null}"))

    def goes_on_behind(self, spelling: str) -> bool:
        """Return whether an answer goes on behind a control token of one of the forms."""
        call = self.call
        if call is None or self.parallel or self.calls_closing:
            return self.mentions(spelling)
        last = replace(call, closing=call.closing.removesuffix(spelling))
        return replace(self, call=last).mentions(spelling)


def trigger_of(form: ChatFormat, tokens: ControlTokens) -> str:
    """Return what calls are told from content by, spelled: a control token, or a text."""
    opening = tokens.spell(form.calls_opening + (form.call.opening if form.call else ""))
    if not opening or is_control(opening[0]):
        return opening[:1]
    return form.trigger or str(next(tokens.split(opening)))


PLAIN = ChatFormat()

FORMWORK = ChatFormat(
    call=CallForm("<|call|>", "<|args|>", custom=CustomInput.RAW),
    text_before_calls=False,
)

# Also Qwen 2.5 and 3, and many others that were trained on Hermes' function calling data.
HERMES = ChatFormat(
    call=CallForm('<tool_call>\n{"name": "', '", "arguments": ', "}\n</tool_call>"),
    between_calls="\n",
    trigger="<tool_call>",
)

# Llama 3.1 and later: one call, in place of content.
LLAMA3 = ChatFormat(
    call=CallForm('{"name": "', '", "parameters": ', "}"),
    trigger='{"name": "',
    text_before_calls=False,
    parallel=False,
)

MISTRAL = ChatFormat(
    call=CallForm('{"name": "', '", "arguments": ', "}"),
    calls_opening="[TOOL_CALLS][",
    between_calls=", ",
    calls_closing="]",
    short_call_ids=True,
)

# Mistral's tokenizers from version 11 on.
MISTRAL_ARGS = ChatFormat(
    call=CallForm("[TOOL_CALLS]", "[ARGS]"),
    short_call_ids=True,
)

# OpenAI's open models; a call ends the turn.
HARMONY = ChatFormat(
    call=CallForm(
        "<|channel|>commentary to=functions.", " <|constrain|>json<|message|>", "<|call|>"
    ),
    text_before_calls=False,
    parallel=False,
    content_opening="<|channel|>final<|message|>",
    reasoning=Reasoning("<|channel|>analysis<|message|>", "", "<|end|><|start|>assistant"),
)

# What a template holds of thoughts, and how they are written.
THINKING = {
    "[THINK]": Reasoning("[THINK]", "[/THINK]"),
    "<think>": Reasoning("<think>", "</think>", "\n\n"),
}

FORMATS = {
    "plain": PLAIN,
    "formwork": FORMWORK,
    "hermes": HERMES,
    "llama3": LLAMA3,
    "mistral": MISTRAL,
    "mistral_args": MISTRAL_ARGS,
    "harmony": HARMONY,
}

# What a template of each format holds and what it does not, the most telling first.
_SIGNS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("harmony", ("<|channel|>", "<|message|>"), ()),
    ("formwork", ("<|call|>", "<|args|>"), ()),
    ("mistral_args", ("[TOOL_CALLS]", "[ARGS]"), ()),
    ("mistral", ("[TOOL_CALLS]",), ()),
    # Qwen's coders and GLM write calls as XML between the same markers: that is no row here
    ("hermes", ("<tool_call>", "</tool_call>"), ("<function=", "<arg_key>")),
    ("llama3", ("<|start_header_id|>", '"parameters": '), ()),
)


def recognise_format(template: str) -> ChatFormat:
    """Return the format that a chat template was written for; `PLAIN` where it shows no calls."""
    named = (
        name
        for name, signs, others in _SIGNS
        if all(sign in template for sign in signs) and not any(sign in template for sign in others)
    )
    found = FORMATS[next(named, "plain")]
    if "[TOOL_CALLS] [" in template:  # tokenizers of the first generation put a space between
        found = replace(found, calls_opening="[TOOL_CALLS] [")
    thoughts = next((form for sign, form in THINKING.items() if sign in template), None)
    if found.reasoning is None and thoughts is not None:
        found = replace(found, reasoning=thoughts)
    return found
