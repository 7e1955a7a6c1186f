"""Messages as a request has them."""

from collections.abc import Iterable
from typing import Any, cast

from openai.types.chat import (
    ChatCompletionMessage,
    ChatCompletionMessageCustomToolCall,
    ChatCompletionMessageParam,
    ChatCompletionMessageToolCallUnion,
)

Question = str | Iterable[ChatCompletionMessageParam]
"""A user's message, or the messages so far."""


def read_question(question: Question) -> list[ChatCompletionMessageParam]:
    """Return a question as messages: text alone is one of the user."""
    if isinstance(question, str):
        return [{"role": "user", "content": question}]
    return list(question)


def write_message(message: ChatCompletionMessage) -> ChatCompletionMessageParam:
    """Return an answer as a request has it, without what only answers hold."""
    written: dict[str, Any] = {"role": "assistant", "content": message.content}
    if message.refusal is not None:
        written["refusal"] = message.refusal
    if message.tool_calls:
        written["tool_calls"] = [_write_call(asked) for asked in message.tool_calls]
    return cast("ChatCompletionMessageParam", written)


def _write_call(asked: ChatCompletionMessageToolCallUnion) -> dict[str, object]:
    if isinstance(asked, ChatCompletionMessageCustomToolCall):
        custom = {"name": asked.custom.name, "input": asked.custom.input}
        return {"id": asked.id, "type": "custom", "custom": custom}
    function = {"name": asked.function.name, "arguments": asked.function.arguments}
    return {"id": asked.id, "type": "function", "function": function}
