"""Functions whose arguments the model writes as JSON."""

from collections.abc import Callable
from typing import Any, overload

from openai.types.chat import ChatCompletionFunctionToolParam
from openai.types.shared_params import FunctionDefinition

from formwork_client.arguments import read_arguments
from formwork_client.tools import P, ResultT, Tool


class FunctionTool(Tool[P, ResultT]):
    """A tool with a JSON Schema, made of type hints and docstring.

    Args:
        function: Ordinary or `async`; each parameter has a type hint.
        name: As in `Tool`.
        description: As in `Tool`.
        strict: Whether the schema keeps to OpenAI's strict dialect.

    Raises:
        TypeError: The function's parameters cannot be written as a schema.
    """

    kind = "function"

    def __init__(
        self,
        function: Callable[P, ResultT],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool = True,
    ) -> None:
        super().__init__(function, name=name, description=description)
        self._strict = strict
        self._arguments = read_arguments(function, strict=strict)

    @property
    def param(self) -> ChatCompletionFunctionToolParam:
        """The tool as a request's `tools` have it."""
        function = FunctionDefinition(
            name=self.name, parameters=self._arguments.schema, strict=self._strict
        )
        if self.description:
            function["description"] = self.description
        return ChatCompletionFunctionToolParam(type="function", function=function)

    def read(self, text: str) -> dict[str, Any]:
        """Return what a model wrote as the function's keyword arguments.

        Raises:
            pydantic.ValidationError: It does not fit.
        """
        return self._arguments.read(text)


@overload
def tool(function: Callable[P, ResultT], /) -> FunctionTool[P, ResultT]: ...


@overload
def tool(
    *, name: str | None = None, description: str | None = None, strict: bool = True
) -> Callable[[Callable[P, ResultT]], FunctionTool[P, ResultT]]: ...


def tool(
    function: Callable[P, ResultT] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool = True,
) -> FunctionTool[P, ResultT] | Callable[[Callable[P, ResultT]], FunctionTool[P, ResultT]]:
    """Make a function a `FunctionTool`; with or without arguments, which are the class's."""

    def decorate(function: Callable[P, ResultT]) -> FunctionTool[P, ResultT]:
        return FunctionTool(function, name=name, description=description, strict=strict)

    return decorate if function is None else decorate(function)
