"""Functions of one text, which the model writes as it is: custom tools."""

import inspect
from collections.abc import Callable
from typing import Any

from openai.types.chat import ChatCompletionCustomToolParam
from openai.types.chat.chat_completion_custom_tool_param import (
    Custom,
    CustomFormatGrammar,
    CustomFormatGrammarGrammar,
)

from formwork_client.tools import P, ResultT, Tool

Grammar = CustomFormatGrammarGrammar


class TextTool(Tool[P, ResultT]):
    """A tool that takes a text, which a grammar may bind.

    The API's chunks have no room for calls of such tools: a run with one cannot be streamed.

    Args:
        function: Ordinary or `async`, with one parameter.
        grammar: What the text has to be like; without one it is free.
        name: As in `Tool`.
        description: As in `Tool`.

    Raises:
        TypeError: The function has another number of parameters.
    """

    kind = "custom"

    def __init__(
        self,
        function: Callable[P, ResultT],
        grammar: Grammar | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
    ) -> None:
        super().__init__(function, name=name, description=description)
        self._grammar = grammar
        self._parameter = _get_parameter(function)

    @property
    def param(self) -> ChatCompletionCustomToolParam:
        """The tool as a request's `tools` have it."""
        custom = Custom(name=self.name)
        if self.description:
            custom["description"] = self.description
        if self._grammar is not None:
            custom["format"] = CustomFormatGrammar(type="grammar", grammar=self._grammar)
        return ChatCompletionCustomToolParam(type="custom", custom=custom)

    def read(self, text: str) -> dict[str, Any]:
        """Return the text as the function's keyword argument."""
        return {self._parameter: text}


def text_tool(
    *,
    lark: str | None = None,
    regex: str | None = None,
    name: str | None = None,
    description: str | None = None,
) -> Callable[[Callable[P, ResultT]], TextTool[P, ResultT]]:
    """Make a function a `TextTool`.

    Args:
        lark: A grammar that the text derives from.
        regex: An expression that the whole text matches.
        name: As in `Tool`.
        description: As in `Tool`.

    Raises:
        ValueError: Both a grammar and an expression are given.
    """
    grammar = _read_grammar(lark, regex)

    def decorate(function: Callable[P, ResultT]) -> TextTool[P, ResultT]:
        return TextTool(function, grammar, name=name, description=description)

    return decorate


def _read_grammar(lark: str | None, regex: str | None) -> Grammar | None:
    if lark is not None and regex is not None:
        raise ValueError("a text has either a grammar or an expression")
    if lark is not None:
        return Grammar(syntax="lark", definition=lark)
    return None if regex is None else Grammar(syntax="regex", definition=regex)


def _get_parameter(function: Callable[..., object]) -> str:
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 1:
        raise TypeError(f"a tool that takes a text has one parameter, not {len(parameters)}")
    return parameters[0]
