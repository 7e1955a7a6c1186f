"""What a stream does when its reader or its thread fails it."""

from unittest.mock import create_autospec

import pytest
from formwork_engine.vocabulary import Vocabulary

from mesh.errors import ServiceUnavailableError
from mesh.testing import FakeClock
from sampler_service.accounts import LeaseAccounts
from sampler_service.decode_thread import DecodeThread
from sampler_service.envelopes import Envelopes
from sampler_service.indexes import Indexes
from sampler_service.opening_messages import OpeningLimits
from sampler_service.openings import SequenceKey
from sampler_service.outputs import Output
from sampler_service.sequence import TokenRules
from sampler_service.stream import DecodeStream, StreamServices
from sampler_service.testing_mesh import RunningWorker

BACKLOG = 5


@pytest.fixture
def stream() -> DecodeStream:
    vocabulary = Vocabulary([b"a", b""], special_ids=[1], end_ids=[1])
    services = StreamServices(
        create_autospec(DecodeThread, instance=True),
        create_autospec(LeaseAccounts, instance=True),
        create_autospec(Indexes, instance=True),
        create_autospec(Envelopes, instance=True),
        TokenRules(vocabulary, 16, None),
        OpeningLimits(2, 16, 60.0, 4, 16),
        FakeClock(),
        max_sequences=4,
        max_backlog=BACKLOG,
    )
    return DecodeStream(1, services, lambda: None)


def output() -> Output:
    return Output(SequenceKey(1, 1), text="a", tokens=1)


async def test_a_reader_in_time_gets_every_response(stream: DecodeStream) -> None:
    for _ in range(BACKLOG):
        stream.deliver([output()])
    stream.half_close()
    assert len([response async for response in stream.responses()]) == BACKLOG


async def test_a_reader_that_is_too_far_behind_loses_the_stream(stream: DecodeStream) -> None:
    for _ in range(BACKLOG + 3):
        stream.deliver([output()])
    with pytest.raises(ServiceUnavailableError, match="too slowly"):
        assert [response async for response in stream.responses()] == []


async def test_a_worker_without_its_thread_stops_and_says_why(running: RunningWorker) -> None:
    def explode(_batch: object) -> None:
        raise RuntimeError("the device is gone")

    running.worker._thread.post(explode)
    with pytest.raises(RuntimeError, match="the device is gone"):
        await running.worker.wait()
