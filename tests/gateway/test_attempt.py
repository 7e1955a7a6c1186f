"""A place that was got for nothing is given back, whenever whoever asked leaves."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from formwork.sampler.v1.sampler_pb2 import Bind, Open
from formwork.scheduler.v1.scheduler_pb2 import AcquireRequest

from gateway.answer_checks import AnswerChecks
from gateway.attempt import Attempt
from gateway.placement import Place
from gateway.preparation import Preparation
from mesh.errors import SchemaRefusedError

_TURNS = 24
"""More than any of these requests takes, of the event loop."""


class Places:
    """Gives one place after some turns of the event loop, and notes what becomes of it."""

    def __init__(self, turns: int) -> None:
        self._turns = turns
        self.held: list[str] = []

    async def acquire(self, _request: object) -> Any:  # noqa: ANN401 - a double
        await pass_turns(self._turns)
        self.held.append("place")
        return SimpleNamespace(worker_address="worker")

    def settle(self, *_arguments: object) -> None:
        self.held.remove("place")

    def open(self, _opens: object, _bind: object) -> Any:  # noqa: ANN401 - a double
        self.held.append("sequences")
        return SimpleNamespace(abort=lambda: self.held.remove("sequences"))

    def bind(self, _group: object, _bind: object) -> None:
        """Take what sequences are bound to."""


class BareAttempt(Attempt):
    """Sends messages without content."""

    def _acquire_request(self) -> AcquireRequest:
        return AcquireRequest()

    def _open_message(self, place: Place, choice: int) -> Open:
        return Open()

    def _raise_refusal(self, preparation: Preparation) -> None:
        preparation.constraint()


async def pass_turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def ensure(turns: int, *, is_refused: bool) -> Any:  # noqa: ANN401 - a double
    await pass_turns(turns)
    if is_refused:
        raise SchemaRefusedError("no")
    return SimpleNamespace(bind=Bind(), is_written=True)


async def check() -> AnswerChecks:
    await pass_turns(9)
    return AnswerChecks()


@pytest.mark.parametrize("leaves_after", range(_TURNS))
@pytest.mark.parametrize("is_refused", [False, True])
@pytest.mark.parametrize("turns", [(0, 1), (1, 0), (2, 8), (8, 2)])
async def test_who_leaves_holds_nothing_any_longer(
    turns: tuple[int, int], leaves_after: int, *, is_refused: bool
) -> None:
    places = Places(turns[0])
    flow: Any = SimpleNamespace(placement=places, streams=SimpleNamespace(to=lambda _: places))
    request: Any = SimpleNamespace(choices=1)
    nothing: Any = None
    attempt = BareAttempt(
        flow, nothing, request, nothing, nothing, nothing, nothing, has_fallback=False
    )
    ensuring = asyncio.create_task(ensure(turns[1], is_refused=is_refused))
    preparation = Preparation(ensuring, asyncio.create_task(check()))
    starting = asyncio.create_task(attempt.start(preparation))
    await pass_turns(leaves_after)
    starting.cancel()
    await asyncio.wait([starting])
    await preparation.close()
    await pass_turns(_TURNS)
    was_served = not starting.cancelled() and starting.exception() is None
    assert places.held == (["place", "sequences"] if was_served else [])
