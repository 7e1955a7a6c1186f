"""A request's way to its places: acquire, open, ensure, bind; again where a worker is lost."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from formwork.sampler.v1.sampler_pb2 import Open
from formwork.scheduler.v1.scheduler_pb2 import OUTCOME_FAILED, AcquireRequest, TokenCounts
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.answer_checks import AnswerChecks
from gateway.authentication import Caller
from gateway.constraint import Constraint, Wishes
from gateway.generation import Opened
from gateway.placement import SERVICE_TIERS, Place
from gateway.plan import Plan, affinity, cache_salt, check_shortest
from gateway.preparation import Preparation
from gateway.request import ChatRequest
from mesh.context import current_request_id, current_traceparent
from mesh.errors import FormworkError, IndexNotFoundError
from mesh.ids import Snapshot

if TYPE_CHECKING:
    from gateway.flow import ChatFlow

_MOMENT_SECONDS = 0.005
"""A place that does not come within it is being waited for."""


@dataclass(frozen=True)
class Attempt:
    """How one request gets its place, its sequences and its index: at first, and again."""

    flow: "ChatFlow"
    caller: Caller
    request: ChatRequest
    snapshot: Snapshot
    plan: Plan
    wishes: Wishes | None
    deadline: Timestamp
    has_fallback: bool

    async def start(
        self, preparation: Preparation | None
    ) -> tuple[Opened, Constraint | None, AnswerChecks]:
        """Acquire and open, then bind as soon as the indexes are there.

        What is refused late is taken back: nobody has been told of a token by then.
        """
        if preparation is None:
            return await self._open_first(None), None, AnswerChecks()
        preparation.constraint()
        opening = asyncio.create_task(self._open_first(preparation))
        try:
            # a place that is free is taken at once: what takes long is done beside the prefill
            await asyncio.wait({opening}, timeout=_MOMENT_SECONDS)
            await self._wait_for_both(opening, preparation)
            opened, constraint = opening.result(), preparation.ensuring.result()
            if not opened.is_bound:
                opened.bind(constraint)
            checks = await preparation.checking
        except BaseException:
            await self._take_back(opening)
            raise
        return opened, constraint, checks

    async def reopen(self, place: Place) -> Opened:
        """Return sequences on another place of the same lease."""
        return self._open(await self.flow.placement.retry(place))

    async def rebind(self, opened: Opened, error: FormworkError) -> None:
        """Bind them again, to indexes ensured anew where the error says that one was not found."""
        if self.wishes is None:
            return
        if isinstance(error, IndexNotFoundError):
            self.wishes.forget(self.flow.indexes)
        opened.bind(await self.wishes.ensure(self.flow.indexes))

    async def _open_first(self, preparation: Preparation | None) -> Opened:
        """Return sequences on a first place, bound already where no work is left for that."""
        placing = self.flow.placement.acquire(self._acquire_request())
        if preparation is None:
            return self._open(await placing)
        writing = asyncio.create_task(preparation.write_bind())
        try:
            place = await placing
        finally:
            writing.cancel()
        return self._open(place, preparation.written)

    async def _wait_for_both(
        self, opening: "asyncio.Task[Opened]", preparation: Preparation
    ) -> None:
        """Return once there are sequences and indexes; raise as soon as anything has failed.

        A refusal says more than a full queue.
        """
        while True:
            self._raise_refusal(preparation)
            if opening.done():
                opening.result()
                if preparation.ensuring.done():
                    return
            tasks = (opening, preparation.ensuring, preparation.checking)
            running = [task for task in tasks if not task.done()]
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)

    def _raise_refusal(self, preparation: Preparation) -> None:
        """Raise what is known already to stand against an answer."""
        constraint = preparation.constraint()
        if constraint is not None:
            context = self.flow.models.entries[self.snapshot].context
            check_shortest(self.request, self.plan, constraint.shortest_answer_tokens, context)

    def _open(self, place: Place, constraint: Constraint | None = None) -> Opened:
        opens = [self._open_message(place, choice) for choice in range(self.request.choices)]
        stream = self.flow.streams.to(place.worker_address)
        bind = None if constraint is None else constraint.bind
        return Opened(place, stream, stream.open(opens, bind), bind is not None)

    def _open_message(self, place: Place, choice: int) -> Open:
        entry = self.flow.models.entries[self.snapshot]
        writer = self.flow.writers.of(self.snapshot)
        in_words = entry.refusal_phrases and not entry.refusal
        return Open(
            lease=place.lease,
            choice=choice,
            prompt_tokens=self.plan.prompt,
            sampling=self.plan.sampling,
            deadline=self.deadline,
            request_id=current_request_id(),
            traceparent=current_traceparent(),
            cache_salt=self._salt(),
            constrained=self.wishes is not None,
            may_refuse=entry.refusal,
            refusal_phrases=writer.family.refusal_phrases if in_words else (),
            content_start=writer.chat.content_start if in_words else None,
        )

    def _acquire_request(self) -> AcquireRequest:
        return AcquireRequest(
            request_id=current_request_id(),
            project_id=self.caller.project_id,
            key_id=self.caller.key_id,
            snapshot=self.snapshot,
            service_tier=SERVICE_TIERS[self.request.service_tier],
            prompt_tokens=len(self.plan.prompt),
            max_completion_tokens=self.plan.max_tokens * self.request.choices,
            choices=self.request.choices,
            affinity=affinity(
                self._salt(), self.request.labels.get("prompt_cache_key", ""), self.plan.prompt
            ),
            has_fallback=self.has_fallback,
        )

    def _salt(self) -> str:
        return cache_salt(self.flow.salt_secret, self.caller.project_id)

    async def _take_back(self, opening: "asyncio.Task[Opened]") -> None:
        """Have a place got for nothing given back, also if the client leaves meanwhile."""
        opening.add_done_callback(self._give_back)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)

    def _give_back(self, opening: "asyncio.Task[Opened]") -> None:
        """Give back a place, if there is one: the request is refused, so nothing is charged."""
        if opening.cancelled() or opening.exception() is not None:
            return
        opened = opening.result()
        opened.group.abort()
        self.flow.placement.settle(opened.place, TokenCounts(), OUTCOME_FAILED)
