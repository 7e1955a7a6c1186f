"""A scheduler on fakes."""

from collections.abc import AsyncIterator, Generator

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know whether their test failed: `request.node.rep_failed`."""
    report = yield
    item.rep_failed = getattr(item, "rep_failed", False) or report.failed  # type: ignore[attr-defined] # pytest's own recipe
    return report
