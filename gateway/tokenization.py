"""`POST /v1/tokenize` and `/v1/detokenize`: a model's own tokens, to find ids for `logit_bias`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.config import GatewayConfig
from gateway.errors import MEDIA_TYPE, RequestError
from gateway.fields import (
    read_arguments,
    read_array,
    read_integer,
    read_members,
    read_string,
    refuse_type,
    require,
)
from gateway.json_body import read_object
from gateway.messages import read_messages
from gateway.prompt import PromptWriter
from gateway.prompt_writers import PromptWriters
from gateway.reception import Reception
from gateway.request import ChatRequest
from gateway.tokenizer import PromptTokenizer
from mesh.ids import Snapshot
from mesh.models import ModelTable

_TOKEN_MEMBERS = ("id", "text", "bytes", "special")
_MOST_TOKEN_MARKS = 500_000
"""Of a body that may hold what `/v1/tokenize` gave: some ten for each token."""


@dataclass(frozen=True)
class Tokenization:
    """Makes text into tokens and back, in the threads that prompts are written in."""

    reception: Reception
    models: ModelTable
    writers: PromptWriters
    config: GatewayConfig

    async def tokenize(self, request: Request) -> Response:
        """Return the tokens of a text, or of the prompt that messages become.

        Raises:
            FormworkError: The request is refused.
        """
        return await self._answer(request, self._tokenize)

    async def detokenize(self, request: Request) -> Response:
        """Return the text of tokens: ids, or the objects that `tokenize` makes of them.

        Raises:
            FormworkError: The request is refused.
        """
        return await self._answer(request, self._detokenize)

    async def _answer(self, request: Request, work: Callable[[bytes], bytes]) -> Response:
        caller, body = await self.reception.receive(request)
        answer = await self.writers.in_thread(caller.project_id, lambda: work(body))
        return Response(answer, media_type=MEDIA_TYPE)

    def _tokenize(self, body: bytes) -> bytes:
        members = read_arguments(read_object(body)[0], ("model", "input", "messages"))
        snapshot, writer = self._model(members)
        ids = self._token_ids(members, snapshot, writer)
        self._check_count(len(ids), "input" if "input" in members else "messages")
        answer = {
            "object": "tokenization",
            "model": snapshot,
            "tokens": [_token(writer.tokenizer, token_id) for token_id in ids],
            "count": len(ids),
        }
        return orjson.dumps(answer)

    def _check_count(self, count: int, path: str) -> None:
        maximum = self.config.max_tokenize_tokens
        if count > maximum:
            raise RequestError(
                f"Invalid '{path}': too long. Expected at most {maximum} tokens, but it makes "
                f"{count} instead.",
                path,
                "string_above_max_length",
            )

    def _detokenize(self, body: bytes) -> bytes:
        members = read_arguments(
            read_object(body, most_marks=_MOST_TOKEN_MARKS)[0], ("model", "tokens")
        )
        snapshot, writer = self._model(members)
        items = read_array(
            require(members, "tokens", ""), "tokens", 0, self.config.max_detokenize_tokens
        )
        highest = writer.vocabulary_size - 1
        ids = [_read_token(item, f"tokens[{at}]", highest) for at, item in enumerate(items)]
        joined = b"".join(map(writer.tokenizer.token_bytes, ids))
        return orjson.dumps({"object": "text", "model": snapshot, "text": _text(joined)})

    def _model(self, members: dict[str, Any]) -> tuple[Snapshot, PromptWriter]:
        name = read_string(require(members, "model", ""), "model", maximum=256)
        snapshot = self.models.resolve(name)
        return snapshot, self.writers.of(snapshot)

    def _token_ids(
        self, members: dict[str, Any], snapshot: Snapshot, writer: PromptWriter
    ) -> list[int]:
        maximum = self.config.max_tokenize_characters
        if "messages" not in members:
            return writer.tokenizer.encode_message(_read_input(members, maximum))
        if "input" in members:
            raise RequestError(
                "Setting 'input' and 'messages' at the same time is not supported.",
                "input",
                "invalid_parameter_combination",
            )
        messages = read_messages(members["messages"], self.config.max_messages)
        for message in messages:
            maximum -= message.all_characters
        if maximum < 0:
            raise RequestError(
                "Invalid 'messages': too long. Expected at most "
                f"{self.config.max_tokenize_characters} characters in all.",
                "messages",
                "string_above_max_length",
            )
        return writer.write(ChatRequest(snapshot, messages))


def _read_input(members: dict[str, Any], maximum: int) -> str:
    """Return the text that shall become tokens; whoever has messages is told their parameter."""
    value = members.get("input")
    if value is None:
        raise RequestError(
            "Missing required parameter: 'input' (a text), or 'messages' instead of it.",
            "input",
            "missing_required_parameter",
        )
    if not isinstance(value, str):
        refuse_type(value, "input", "a string (messages go into 'messages')")
    return read_string(value, "input", maximum=maximum)


def _read_token(value: object, path: str, highest: int) -> int:
    """Return the id of a token: itself, or the member `id` of a token as `_token` writes it."""
    if not isinstance(value, dict):
        if not isinstance(value, int) or isinstance(value, bool):
            refuse_type(value, path, "an integer, or an object with 'id'")
        return read_integer(value, path, 0, highest)
    members = read_members(value, path, _TOKEN_MEMBERS)
    return read_integer(require(members, "id", path), f"{path}.id", 0, highest)


def _token(tokenizer: PromptTokenizer, token_id: int) -> dict[str, Any]:
    """Return a token as `logprobs` shows one, with its id; its members are `_TOKEN_MEMBERS`."""
    of_token = tokenizer.token_bytes(token_id)
    return {
        "id": token_id,
        "text": _text(of_token),
        "bytes": list(of_token),
        "special": tokenizer.is_special(token_id),
    }


def _text(of_tokens: bytes) -> str:
    return of_tokens.decode(errors="replace")
