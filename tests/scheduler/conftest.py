"""A scheduler on fakes."""

from collections.abc import AsyncIterator

import pytest

from scheduler.config import SchedulerConfig
from scheduler.testing import Desk


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A scheduler with short queues and no worker."""
    desk = Desk(SchedulerConfig(queue_default=4, queue_priority=4, queue_flex=4, queue_batch=4))
    await desk.open()
    yield desk
    await desk.crash()
