"""`POST /v1/chat/completions`: from the HTTP request to the HTTP response."""

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from gateway.answer import collect
from gateway.authentication import Caller
from gateway.config import GatewayConfig
from gateway.disconnects import while_connected
from gateway.edge import LOG_KEY
from gateway.errors import MEDIA_TYPE
from gateway.event_stream import EventStream
from gateway.flow import ChatFlow
from gateway.generation import Generation
from gateway.reception import Reception
from mesh.clock import Clock
from mesh.errors import DeadlineExceededError, FormworkError

log = structlog.get_logger()


@dataclass(frozen=True)
class Completions:
    """Answers chat completion requests."""

    reception: Reception
    flow: ChatFlow
    config: GatewayConfig
    clock: Clock

    async def answer(self, request: Request) -> Response:
        """Return the response: whole, or a stream whose status is certain.

        Raises:
            FormworkError: The request is refused or failed.
            ClientGoneError: The client left.
        """
        until = self.clock.monotonic() + self.config.request_seconds
        caller, body = await self.reception.receive(request)
        begun: list[Generation] = []
        try:
            async with asyncio.timeout_at(self._on_loop(until)):
                work = self._generate(request, caller, body, until, begun)
                return await while_connected(work, request.receive)
        except BaseException as error:
            # The response, which would close it, may have been lost on its way here.
            for generation in begun:
                generation.close()
            if isinstance(error, TimeoutError):
                raise DeadlineExceededError("The request took too long.") from error
            raise

    def _on_loop(self, until: float) -> float:
        """Return a time of our clock on the event loop's."""
        return asyncio.get_running_loop().time() + until - self.clock.monotonic()

    async def _generate(
        self,
        request: Request,
        caller: Caller,
        body: bytes,
        until: float,
        begun: list[Generation],
    ) -> Response:
        generation = await self.flow.begin(caller, body)
        begun.append(generation)
        asked = generation.job.request
        _note(request, model=generation.job.snapshot, stream=asked.stream, **asked.labels)
        headers = {"openai-organization": caller.organization_id}
        if not asked.stream:
            return await self._whole(request, generation, headers)
        remaining = until - self.clock.monotonic()
        response = EventStream(
            generation, self.config, remaining, lambda end: _note_end(request, generation, end)
        )
        response.headers.update(headers)
        return response

    async def _whole(
        self, request: Request, generation: Generation, headers: dict[str, str]
    ) -> Response:
        ended_as = "cancelled"
        try:
            body = await collect(generation)
            ended_as = "completed"
        except FormworkError as error:
            ended_as = error.reason
            generation.fail()
            raise
        finally:
            generation.close()
            _note_end(request, generation, ended_as)
        headers["server-timing"] = generation.spent.header()
        return Response(body, media_type=MEDIA_TYPE, headers=headers)


def _note(request: Request, **facts: Any) -> None:  # noqa: ANN401 - any JSON value
    request.scope[LOG_KEY].update(facts)


def _note_end(request: Request, generation: Generation, ended_as: str) -> None:
    usage = generation.usage
    _note(
        request,
        outcome=ended_as,
        attempt=generation.attempt,
        prompt_tokens=usage.prompt_tokens,
        cached_prompt_tokens=usage.cached_prompt_tokens,
        completion_tokens=usage.completion_tokens,
        **{f"{stage}_ms": spent for stage, spent in generation.spent.milliseconds().items()},
    )
