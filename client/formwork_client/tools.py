"""What a model may call."""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Literal, ParamSpec, TypeVar

from openai.types.chat import ChatCompletionToolUnionParam

from formwork_client.docstrings import read_docstring

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


class Tool(ABC, Generic[P, ResultT]):
    """A function that a model may call; called by others, it is the function still.

    Args:
        function: Ordinary or `async`.
        name: What the model calls it; the function's own name if none is given.
        description: What the model reads of it; else the docstring up to its sections.
    """

    kind: ClassVar[Literal["function", "custom"]]
    """The type of its calls."""
    __name__: str
    __qualname__: str

    def __init__(
        self, function: Callable[P, ResultT], *, name: str | None, description: str | None
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name or self.__name__
        if description is None:
            description = read_docstring(function.__doc__).description
        self.description = description

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        """Call the function."""
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        """Whether the function has to be awaited."""
        return inspect.iscoroutinefunction(self.function)

    @property
    @abstractmethod
    def param(self) -> ChatCompletionToolUnionParam:
        """The tool as a request's `tools` have it."""

    @abstractmethod
    def read(self, text: str) -> dict[str, Any]:
        """Return what a model wrote as the function's keyword arguments.

        Raises:
            pydantic.ValidationError: It does not fit.
        """

    def __reduce__(self) -> str:
        """Pickle as the name it was decorated under, so that a call can go to another process."""
        return self.__qualname__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"


AnyTool = Tool[..., Any]
