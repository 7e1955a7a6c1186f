"""The bounded queue between a worker's stream and a request."""

import pytest
from formwork.sampler.v1.sampler_pb2 import FINISH_STOP, DecodeRequest, Frame

from gateway.sequences import SequenceGroup
from mesh.errors import InternalError, WorkerLostError


class Worker:
    """Keeps what a group tells its worker."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.left = 0

    def send(self, request: DecodeRequest) -> None:
        kind = str(request.WhichOneof("message"))
        self.told.append((kind, getattr(request, kind).sequence_id))

    def leave(self, _group: SequenceGroup) -> None:
        self.left += 1

    def group(self, *ids: int) -> SequenceGroup:
        return SequenceGroup(ids, self.send, self.leave, pause_frames=3, resume_frames=1)


def frame(sequence_id: int, tokens: int = 1, finish: int = 0) -> Frame:
    return Frame(sequence_id=sequence_id, tokens=tokens, finish=finish, text=str(tokens))


async def collect(group: SequenceGroup) -> list[tuple[int, str]]:
    return [(choice, frame.text) async for choice, frame in group.frames()]


async def test_frames_come_out_with_their_choice_until_all_have_ended() -> None:
    worker = Worker()
    group = worker.group(7, 8)
    group.push(frame(8))
    group.push(frame(7, 2, FINISH_STOP))
    group.push(frame(8, 3, FINISH_STOP))
    assert await collect(group) == [(1, "1"), (0, "2"), (1, "3")]
    assert group.accepted_tokens == 6
    assert worker.left == 1
    assert worker.told == []


async def test_a_full_queue_pauses_every_live_sequence_once_and_an_empty_one_resumes() -> None:
    worker = Worker()
    group = worker.group(1)
    for _ in range(5):
        group.push(frame(1))
    assert worker.told == [("pause", 1)]
    frames = group.frames()
    for _ in range(4):
        await anext(frames)
    assert worker.told == [("pause", 1), ("resume", 1)]


async def test_a_choice_that_is_stopped_leaves_the_others_unpaused() -> None:
    worker = Worker()
    group = worker.group(1, 2)
    for _ in range(6):  # all of one choice
        group.push(frame(1))
    assert worker.told == [("pause", 1), ("pause", 2)]
    group.stop(0)
    assert worker.told[2:] == [("abort", 1), ("resume", 2)]


async def test_a_worker_that_ignores_its_pause_is_cut_off() -> None:
    worker = Worker()
    group = worker.group(1)
    for _ in range(5000):
        group.push(frame(1))
    assert worker.told == [("pause", 1), ("abort", 1)]
    with pytest.raises(InternalError):
        await collect(group)


async def test_an_abort_tells_only_live_sequences_and_drops_what_comes_later() -> None:
    worker = Worker()
    group = worker.group(1, 2)
    group.push(frame(1, 4, FINISH_STOP))
    group.abort()
    group.abort()
    group.push(frame(2, 9))
    assert worker.told == [("abort", 2)]
    assert worker.left == 1
    assert group.accepted_tokens == 4


async def test_a_failure_is_raised_after_the_frames_before_it() -> None:
    group = Worker().group(1)
    group.push(frame(1))
    group.fail(WorkerLostError("Gone."))
    frames = group.frames()
    assert (await anext(frames))[1].text == "1"
    with pytest.raises(WorkerLostError):
        await anext(frames)


async def test_a_failure_after_the_end_changes_nothing() -> None:
    group = Worker().group(1)
    group.push(frame(1, 1, FINISH_STOP))
    group.fail(WorkerLostError("Gone."))
    assert await collect(group) == [(0, "1")]


async def test_cached_prompt_tokens_are_the_first_choices() -> None:
    group = Worker().group(1, 2)
    group.push(Frame(sequence_id=2, cached_prompt_tokens=50))
    assert group.cached_prompt_tokens == 0
    group.push(Frame(sequence_id=1, cached_prompt_tokens=40))
    assert group.cached_prompt_tokens == 40
