"""Calls that a model made, and who carries them out."""

from collections.abc import Awaitable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import pydantic
import pydantic_core
from openai.types.chat import ChatCompletionToolMessageParam

from formwork_client.tools import AnyTool


@dataclass(frozen=True)
class Call:
    """A call of a known tool with arguments that fit; calling it runs the tool.

    It can be pickled where its tool is decorated at the top of a module.
    """

    index: int
    """Its place among the calls of one answer."""
    id: str
    tool: AnyTool
    text: str
    """What the model wrote: JSON, or the text of a `TextTool`."""
    keywords: Mapping[str, Any]
    """The same as the function takes it."""

    @property
    def name(self) -> str:
        """The name of the tool."""
        return self.tool.name

    def __call__(self) -> Any:  # noqa: ANN401 - what the function returns
        """Run the tool; of an `async` function, return what is to be awaited."""
        return self.tool(**self.keywords)


class Executor(Protocol):
    """Where a `ToolLoop` has its calls carried out: a job queue, or a `ThreadPoolExecutor`."""

    def submit(self, call: Call, /) -> Future[Any]:
        """Begin a call, and return at once with what will hold its result."""


class AsyncExecutor(Protocol):
    """Where an `AsyncToolLoop` has its calls carried out."""

    def submit(self, call: Call, /) -> Awaitable[Any] | Future[Any]:
        """Begin a call, and return at once with what will hold its result."""


@dataclass(frozen=True)
class Reply:
    """What the model is told about one call."""

    index: int
    id: str
    content: str

    @property
    def param(self) -> ChatCompletionToolMessageParam:
        """The reply as a message."""
        return {"role": "tool", "tool_call_id": self.id, "content": self.content}


def write_result(result: object) -> str:
    """Return a result as the model reads it: text as it is, everything else as JSON.

    Raises:
        pydantic_core.PydanticSerializationError: It has no JSON.
    """
    if isinstance(result, str):
        return result
    if isinstance(result, pydantic.BaseModel):
        return result.model_dump_json()
    return pydantic_core.to_json(result).decode()
