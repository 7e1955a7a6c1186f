"""What a caller gets."""

from dataclasses import dataclass
from typing import Generic

import pydantic
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionMessage, ChatCompletionMessageParam
from typing_extensions import TypeVar

from formwork_client.errors import RefusalError
from formwork_client.usage import sum_usage

AnswerT = TypeVar("AnswerT", bound=pydantic.BaseModel, default=pydantic.BaseModel)


@dataclass(frozen=True)
class Run(Generic[AnswerT]):
    """A conversation that has come to its answer."""

    messages: list[ChatCompletionMessageParam]
    """All of it, from the first question to the answer: put another one behind, and run again."""
    completions: list[ChatCompletion]
    """What each turn brought."""
    parsed: AnswerT | None = None
    """The answer as `response_format` has it; None where there is none, or the model refused."""

    @property
    def message(self) -> ChatCompletionMessage:
        """The last message of the model.

        Raises:
            IndexError: An error ended the run before there was one.
        """
        return self.completions[-1].choices[0].message

    @property
    def text(self) -> str | None:
        """The answer as it was written."""
        return self.message.content if self.completions else None

    @property
    def refusal(self) -> str | None:
        """Why the model refused; None if it did not."""
        return self.message.refusal if self.completions else None

    @property
    def usage(self) -> CompletionUsage:
        """The tokens of all turns."""
        return sum_usage(completion.usage for completion in self.completions)

    def get_parsed(self) -> AnswerT:
        """Return the answer as `response_format` has it.

        Raises:
            RefusalError: The model refused.
            ValueError: No class was given as `response_format`.
        """
        if self.refusal is not None:
            raise RefusalError(self.refusal, self)
        if self.parsed is None:
            raise ValueError("nothing was parsed: no class was given as response_format")
        return self.parsed
