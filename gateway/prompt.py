"""Messages and schema to prompt tokens, as a model's own chat template wants them."""

from collections.abc import Sequence
from typing import Any

from gateway.adaptation import (
    refusal_as_content,
    schema_instruction,
    schema_outline,
    system_in_user,
    thoughts_apart,
    tool_object,
    tool_outline,
    with_instruction,
)
from gateway.chat_formats import ChatFormat, CustomInput
from gateway.chat_model import ChatModel
from gateway.control_tokens import ControlTokens
from gateway.conversation import Conversation
from gateway.errors import RequestError
from gateway.families import Family, SchemaStyle
from gateway.messages import Message
from gateway.plan import check_length
from gateway.request import ChatRequest
from gateway.response_format import FormatKind, ResponseFormat
from gateway.template import ChatTemplate, Part, TemplateRefusedError
from gateway.tokenizer import PromptTokenizer
from gateway.tools import Tool


class PromptWriter:
    """Writes prompts for one snapshot; safe to use from several threads.

    Args:
        snapshot: Named in errors.
        family: How a schema is written.
        form: What its models write around content and calls.
        template: The folder's.
        tokenizer: The folder's.
    """

    def __init__(
        self,
        snapshot: str,
        family: Family,
        form: ChatFormat,
        template: ChatTemplate,
        tokenizer: PromptTokenizer,
    ) -> None:
        self._snapshot = snapshot
        self.family = family
        self.tokenizer = self._tokenizer = tokenizer
        self._conversation = Conversation(
            template,
            tokenizer,
            wraps_custom=form.call is None or form.call.custom is CustomInput.WRAPPED,
            short_ids=form.short_call_ids,
        )
        thinking = form.reasoning.opening.rstrip() if form.reasoning else ""
        self.chat = ChatModel(
            form,
            ControlTokens({t: i for t, i in tokenizer.control_tokens.items() if form.mentions(t)}),
            is_thinking=bool(thinking) and self._conversation.ending.rstrip().endswith(thinking),
            token_names={number: name for name, number in tokenizer.control_tokens.items()},
        )
        self.vocabulary_size = tokenizer.size
        self.longest_token = tokenizer.longest
        self.traits = self._conversation.traits

    def write(self, request: ChatRequest, context: int | None = None) -> list[int]:
        """Return the prompt's token ids.

        Args:
            request: What is asked.
            context: Tokens that a prompt may have at most, where that is bounded.

        Raises:
            RequestError: The template cannot express the messages; the message names it.
            ContextLengthError: The prompt has more characters than a context can stand for.
        """
        messages, schema = self._adapted(request.messages, request.format)
        tools = self._written_tools(request.tool_use.tools)
        try:
            parts = self._conversation.render(messages, schema, tools)
        except TemplateRefusedError as error:
            raise RequestError(
                f"The chat template of '{self._snapshot}' cannot express these {error.param}: "
                f"{error}.",
                error.param,
                "unsupported_messages",
            ) from error
        if context is not None:
            characters = sum(len(part.text) for part in parts)
            check_length(characters, context, self._tokenizer.longest_written)
        return self._encode(parts)

    def _adapted(
        self, messages: Sequence[Message], form: ResponseFormat
    ) -> tuple[list[Message], str | None]:
        """Return the messages in the template's own terms, and what its variable `schema` holds."""
        self._check_names(messages)
        adapted = list(messages)
        schema: str | None = None
        if form.kind is FormatKind.JSON_SCHEMA:
            if self.family.schema_style is SchemaStyle.OUTLINE and self.traits.has_schema:
                schema = schema_outline(form)
            else:
                adapted = with_instruction(adapted, schema_instruction(form))
        thinking = self.chat.form.reasoning
        if thinking is not None and thinking.until:
            adapted = [thoughts_apart(message, thinking) for message in adapted]
        if not self.traits.has_refusal:
            adapted = [refusal_as_content(message) for message in adapted]
        if not self.traits.has_system:
            adapted = system_in_user(adapted)
        return adapted, schema

    def _written_tools(self, tools: Sequence[Tool]) -> list[dict[str, Any]]:
        """Return tools as the model's template wants them."""
        if self.family.schema_style is SchemaStyle.OUTLINE:
            return [tool_outline(tool) for tool in tools]
        return [tool_object(tool) for tool in tools]

    def _check_names(self, messages: Sequence[Message]) -> None:
        for index, message in enumerate(messages):
            if message.name is not None and not self.traits.has_name:
                path = f"messages[{index}].name"
                raise RequestError(
                    f"Unsupported parameter: '{path}' cannot be expressed by the chat template of "
                    f"'{self._snapshot}'.",
                    path,
                    "unsupported_parameter",
                )

    def _encode(self, parts: Sequence[Part]) -> list[int]:
        tokens: list[int] = []
        for index, part in enumerate(parts):
            if part.is_clients:
                tokens += self._tokenizer.encode_message(part.text)
            else:
                tokens += self._tokenizer.encode_template(part.text, is_first=index == 0)
        return tokens
