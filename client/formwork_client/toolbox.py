"""The tools of a loop, by name."""

import json
from collections.abc import Iterable, Iterator

import pydantic
from openai.types.chat import (
    ChatCompletionMessageCustomToolCall,
    ChatCompletionMessageToolCallUnion,
    ChatCompletionToolUnionParam,
)

from formwork_client.calls import Call
from formwork_client.errors import InvalidCallError
from formwork_client.tools import AnyTool


class Toolbox:
    """Tools by name.

    Raises:
        ValueError: Two have the same name.
    """

    def __init__(self, tools: Iterable[AnyTool]) -> None:
        self._tools: dict[str, AnyTool] = {}
        for tool in tools:
            if self._tools.setdefault(tool.name, tool) is not tool:
                raise ValueError(f"two tools are called {tool.name!r}")
        self.params: list[ChatCompletionToolUnionParam] = [tool.param for tool in self]
        """The tools as a request has them."""

    def __iter__(self) -> Iterator[AnyTool]:
        return iter(self._tools.values())

    def check_streamable(self) -> None:
        """Return if calls of all tools fit into chunks.

        Raises:
            ValueError: One takes a text: the API's chunks have no room for its calls.
        """
        for tool in self:
            if tool.kind == "custom":
                raise ValueError(f"{tool.name} takes a text: its calls cannot be streamed")

    def get_call(self, index: int, asked: ChatCompletionMessageToolCallUnion) -> Call:
        """Return the call that a model asked for.

        Raises:
            InvalidCallError: There is no such tool, or what it is given does not fit.
        """
        name, text = _read(asked)
        tool = self._tools.get(name)
        if tool is None or tool.kind != asked.type:
            raise InvalidCallError(self._list_options(name))
        try:
            return Call(index, asked.id, tool, text, tool.read(text))
        except pydantic.ValidationError as error:
            raise InvalidCallError(_explain(name, error)) from error

    def _list_options(self, name: str) -> str:
        options = ", ".join(json.dumps(known) for known in self._tools)
        return (
            f"Invalid tool_call: {json.dumps(name)}. "
            f"Available options are: {options}. Please try again"
        )


def _read(asked: ChatCompletionMessageToolCallUnion) -> tuple[str, str]:
    """Return the name that was called, and what it was given."""
    if isinstance(asked, ChatCompletionMessageCustomToolCall):
        return asked.custom.name, asked.custom.input
    return asked.function.name, asked.function.arguments


def _explain(name: str, error: pydantic.ValidationError) -> str:
    found = (
        f"{'.'.join(str(step) for step in fault['loc']) or 'arguments'}: {fault['msg']}"
        for fault in error.errors(include_url=False)
    )
    return f"Invalid arguments of {json.dumps(name)}: {'; '.join(found)}. Please try again"
