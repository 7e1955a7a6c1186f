"""What an answer needs besides its prompt and its place: its indexes, and the checks of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.answer_checks import AnswerChecks, make_checks
from gateway.constraint import Constraint, Wishes
from gateway.indexes import Indexes
from gateway.request import ChatRequest
from gateway.validation import Validators
from mesh.tasks import send_calls


@dataclass(frozen=True)
class Preparation:
    """Indexes and checks of one request, under way while its prompt is written and placed."""

    ensuring: asyncio.Task[Constraint]
    checking: asyncio.Task[AnswerChecks]

    async def write_bind(self) -> None:
        """Write the message that binds an answer, once its indexes are there: while others work."""
        await send_calls()
        await asyncio.wait({self.ensuring})
        if self._ensured is not None:
            _ = self._ensured.bind

    @property
    def written(self) -> Constraint | None:
        """What an answer is bound to, once the message is written."""
        return self._ensured if self._ensured is not None and self._ensured.is_written else None

    def constraint(self) -> Constraint | None:
        """Return what an answer is bound to, once it is there.

        Raises:
            FormworkError: As a client is told it: what stands against an answer, as far as that is
                known. The compiler's refusal says more than a validator's.
        """
        if not self.ensuring.done():
            return None
        constraint = self.ensuring.result()
        if self.checking.done():
            self.checking.result()
        return constraint

    async def close(self) -> None:
        """End what is still under way: the request is refused, or its client has left."""
        tasks: tuple[asyncio.Task[Any], ...] = (self.ensuring, self.checking)
        running = [task for task in tasks if not task.done()]
        for task in running:
            task.cancel()
        if running:  # else nothing may come between an opened sequence and whoever closes it
            await asyncio.gather(*running, return_exceptions=True)
        for task in tasks:
            _ = task.cancelled() or task.exception()  # seen, also where another was told

    @property
    def _ensured(self) -> Constraint | None:
        is_there = self.ensuring.done() and not self.ensuring.cancelled()
        return self.ensuring.result() if is_there and not self.ensuring.exception() else None


@asynccontextmanager
async def prepared(
    request: ChatRequest, wishes: Wishes | None, indexes: Indexes, validators: Validators
) -> AsyncIterator[Preparation | None]:
    """Have an answer prepared as long as the context lasts; None where nothing constrains it."""
    if wishes is None:
        yield None
        return
    checks = make_checks(request.format, request.tool_use, validators, wishes.project_id)
    preparation = Preparation(
        asyncio.create_task(wishes.ensure(indexes)), asyncio.create_task(checks)
    )
    try:
        await send_calls()  # before a thread that writes the prompt takes the interpreter
        yield preparation
    finally:
        await preparation.close()
