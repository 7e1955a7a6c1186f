"""The steps of a lease, on fakes."""

import asyncio

import pytest

from mesh.errors import (
    DatabaseUnavailableError,
    DrainingError,
    LeaseSettledError,
    NoWorkerError,
    QueueFullError,
    QueueTimeoutError,
)
from mesh.ids import LeaseId, ProjectId, WorkerId
from scheduler.records import LeaseState, Place, Source, Tier
from scheduler.testing import Desk, claim, held, progress
from scheduler.workers import WorkerState

W0 = Place(WorkerId("w-0"), "w-0:1")


def usage_of(desk: Desk, lease_id: LeaseId) -> tuple[str, int, int] | None:
    row = desk.store.usage.get(lease_id)
    if row is None:
        return None
    return (row.claim.source, row.claim.counts.prompt_tokens, row.claim.counts.completion_tokens)


async def test_a_lease_is_granted_without_the_database(desk: Desk) -> None:
    desk.store.is_away = True
    desk.renew()
    granted = await desk.acquire()
    assert granted.place == W0
    assert granted.record.state is LeaseState.GRANTED


async def test_a_granted_lease_is_written_right_after_the_answer(desk: Desk) -> None:
    desk.renew()
    granted = await desk.acquire()
    assert not desk.store.leases
    await desk.settled()
    assert desk.store.leases[granted.record.facts.lease_id].state is LeaseState.GRANTED


async def test_settle_charges_the_gateways_counts_once(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    assert await desk.scheduler.flow.settle(lease, claim(lease, 7)) is True
    assert await desk.scheduler.flow.settle(lease, claim(lease, 9)) is False
    assert usage_of(desk, lease.facts.lease_id) == (Source.GATEWAY, 10, 7)


async def test_two_settles_at_once_charge_once(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    settle = desk.scheduler.flow.settle
    answers = await asyncio.gather(settle(lease, claim(lease, 7)), settle(lease, claim(lease, 7)))
    assert sorted(answers) == [False, True]


async def test_a_full_worker_makes_requests_wait_and_settling_lets_the_next_in(desk: Desk) -> None:
    desk.renew(slots=1)
    leases = [held(await desk.acquire()) for _ in range(2)]
    waiting = asyncio.create_task(desk.acquire())
    await desk.settled()
    assert not waiting.done()
    await desk.scheduler.flow.settle(leases[0], claim(leases[0], 1))
    assert (await waiting).place == W0


async def test_several_choices_take_several_places(desk: Desk) -> None:
    desk.renew(slots=2)
    await desk.acquire(choices=3)
    assert desk.scheduler.book.held(W0) == 3
    waiting = asyncio.create_task(desk.acquire(choices=2))
    await desk.settled()
    assert not waiting.done()
    waiting.cancel()


async def test_a_full_queue_refuses_with_a_time_to_try_again(desk: Desk) -> None:
    desk.renew(slots=1)
    waiting = [asyncio.create_task(desk.acquire()) for _ in range(6)]
    await desk.settled()
    with pytest.raises(QueueFullError) as refused:
        await desk.acquire()
    assert refused.value.retry_after_seconds is not None
    assert refused.value.metadata == {"limit": "queue_default", "maximum": "4"}
    for task in waiting:
        task.cancel()


async def test_a_wait_ends_with_its_deadline(desk: Desk) -> None:
    desk.renew(slots=1)
    await desk.acquire(choices=2)
    waiting = asyncio.create_task(desk.acquire(seconds=2.5))
    await desk.advance(2.0)
    desk.renew(slots=1)
    assert not waiting.done()
    await desk.advance(0.6)
    with pytest.raises(QueueTimeoutError):
        await waiting
    assert not any(desk.scheduler.admission.waiting().values())


async def test_without_a_worker_a_request_waits_a_while_and_is_then_told(desk: Desk) -> None:
    waiting = asyncio.create_task(desk.acquire(seconds=60))
    await desk.advance(desk.config.no_worker_seconds - 1)
    assert not waiting.done()
    await desk.advance(1.1)
    with pytest.raises(NoWorkerError) as refused:
        await waiting
    assert refused.value.retry_after_seconds == 2.0


async def test_a_worker_that_is_long_overdue_is_not_waited_for(desk: Desk) -> None:
    desk.renew()
    await desk.advance(desk.config.no_worker_seconds * 3 - 1)
    soon = asyncio.create_task(desk.acquire(seconds=60))
    await desk.settled()
    assert not soon.done()
    await desk.advance(1)
    with pytest.raises(NoWorkerError) as refused:
        await asyncio.wait_for(desk.acquire(seconds=60), 5)
    assert refused.value.retry_after_seconds == 2.0
    assert not soon.done()
    desk.renew(state=WorkerState.STARTING)
    late = asyncio.create_task(desk.acquire(seconds=60))
    await desk.settled()
    assert not late.done()
    desk.renew()
    await asyncio.gather(soon, late)


async def test_a_worker_that_comes_up_takes_who_waits(desk: Desk) -> None:
    waiting = asyncio.create_task(desk.acquire(seconds=60))
    await desk.advance(5.0)
    desk.renew(state=WorkerState.STARTING)
    await desk.settled()
    assert not waiting.done()
    desk.renew()
    assert (await waiting).queued_seconds == 5.0


async def test_a_lost_worker_gets_no_requests(desk: Desk) -> None:
    desk.renew()
    await desk.advance(3.0)
    waiting = asyncio.create_task(desk.acquire())
    await desk.settled()
    assert not waiting.done()
    desk.renew("w-1")
    assert (await waiting).place.worker_id == "w-1"


async def test_a_cancelled_wait_leaves_the_queue(desk: Desk) -> None:
    desk.renew(slots=1)
    await desk.acquire(choices=2)
    waiting = asyncio.create_task(desk.acquire())
    await desk.settled()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not any(desk.scheduler.admission.waiting().values())


async def test_cancelled_between_grant_and_answer_the_place_goes_to_the_next(desk: Desk) -> None:
    desk.renew(slots=1)
    first = held(await desk.acquire(choices=2))
    waiting = [asyncio.create_task(desk.acquire(choices=2)) for _ in range(2)]
    await desk.settled()
    await desk.scheduler.flow.release(first)  # grants the first who waits, before it runs
    waiting[0].cancel()
    granted = await waiting[1]
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert desk.scheduler.book.held(W0) == 2
    assert granted.record.facts.lease_id in desk.scheduler.book._open
    assert len(desk.scheduler.book.live()) == 1


async def test_priority_goes_before_default_and_batch_comes_last(desk: Desk) -> None:
    desk.renew(slots=1)
    lease = held(await desk.acquire(choices=2))
    order: list[Tier] = []

    async def wait(tier: Tier) -> None:
        granted = await desk.acquire(tier=tier, choices=2)
        order.append(tier)
        await desk.scheduler.flow.release(held(granted))

    async with asyncio.TaskGroup() as group:
        for tier in (Tier.BATCH, Tier.FLEX, Tier.DEFAULT, Tier.PRIORITY):
            group.create_task(wait(tier))
        await desk.settled()
        await desk.scheduler.flow.release(lease)
    assert order == [Tier.PRIORITY, Tier.DEFAULT, Tier.FLEX, Tier.BATCH]


async def test_equal_prefixes_go_to_one_worker(desk: Desk) -> None:
    desk.renew("w-0", slots=8)
    desk.renew("w-1", slots=8)
    flow = desk.scheduler.flow
    places = {(await flow.acquire(desk.facts(), "prefix", 1)).place for _ in range(4)}
    assert len(places) == 1


async def test_release_charges_nothing_even_when_claims_follow(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    await desk.scheduler.flow.release(lease)
    await desk.scheduler.flow.release(lease)
    assert await desk.scheduler.flow.settle(lease, claim(lease, 3)) is False
    await desk.scheduler.flow.report(lease, claim(lease, 3, Source.WORKER), "", [])
    await desk.advance(100)
    await desk.sweep()
    assert not desk.store.usage
    assert not desk.scheduler.book.held(W0)


async def test_a_report_waits_for_the_gateway_and_is_charged_when_it_is_gone(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    desk.renew("w-0", progress(lease, 3))
    await desk.scheduler.flow.report(lease, claim(lease, 8, Source.WORKER), "cpu", [])
    assert not desk.scheduler.book.held(W0)
    await desk.advance(desk.config.gateway_grace_seconds - 1)
    await desk.sweep()
    assert not desk.store.usage
    await desk.advance(2)
    await desk.sweep()
    assert usage_of(desk, lease.facts.lease_id) == (Source.WORKER, 10, 8)
    assert await desk.scheduler.flow.settle(lease, claim(lease, 9)) is False
    assert usage_of(desk, lease.facts.lease_id) == (Source.WORKER, 10, 8)
    late = (lease.facts.lease_id, 1, Source.GATEWAY)
    assert desk.store.reports[late].claim.counts.completion_tokens == 9


async def test_a_report_after_settle_is_recorded_and_not_charged(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    await desk.scheduler.flow.settle(lease, claim(lease, 5))
    await desk.scheduler.flow.report(lease, claim(lease, 8, Source.WORKER), "cpu", [])
    await desk.advance(100)
    await desk.sweep()
    assert usage_of(desk, lease.facts.lease_id) == (Source.GATEWAY, 10, 5)
    assert (lease.facts.lease_id, 1, Source.WORKER) in desk.store.reports


async def test_with_worker_and_gateway_dead_the_last_checkpoint_is_charged(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    desk.renew("w-0", progress(lease, 4))
    desk.renew("w-0", progress(lease, 6))
    await desk.advance(desk.config.sweep_grace_seconds - 1)
    await desk.sweep()
    assert not desk.store.usage
    await desk.advance(2)
    await desk.sweep()
    assert usage_of(desk, lease.facts.lease_id) == (Source.SWEEPER, 10, 6)
    assert desk.renew("w-0", progress(lease, 7)) == [lease.facts.lease_id]


async def test_a_lease_that_is_renewed_lives_as_long_as_it_takes(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    for tokens in range(200):
        await desk.advance(1)
        assert desk.renew("w-0", progress(lease, tokens)) == []
    await desk.sweep()
    assert not desk.store.usage
    assert await desk.scheduler.flow.settle(lease, claim(lease, 200)) is True


async def test_a_lease_that_nobody_opens_is_void(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    await desk.advance(desk.config.lease_ttl_seconds)
    await desk.sweep()
    assert desk.scheduler.book.held(W0) == 1
    await desk.advance(desk.config.worker_lost_seconds)
    await desk.sweep()
    assert desk.scheduler.book.held(W0) == 0
    assert not desk.store.usage
    assert desk.store.leases[lease.facts.lease_id].state is LeaseState.EXPIRED


async def test_a_void_lease_that_was_used_after_all_is_still_charged(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    await desk.advance(60)
    await desk.sweep()
    await desk.scheduler.flow.report(lease, claim(lease, 8, Source.WORKER), "cpu", [])
    await desk.advance(60)
    await desk.sweep()
    assert usage_of(desk, lease.facts.lease_id) == (Source.WORKER, 10, 8)


async def test_retry_raises_the_attempt_and_stops_the_old_one(desk: Desk) -> None:
    desk.renew("w-0")
    first = held(await desk.acquire())
    desk.renew("w-0", progress(first, 3))
    await desk.advance(3)
    desk.renew("w-1")
    second = held(await desk.scheduler.flow.retry(first, 5))
    assert (second.attempt, second.worker_id) == (2, "w-1")
    assert second.facts == first.facts
    assert desk.renew("w-0", progress(first, 4)) == [first.facts.lease_id]
    assert desk.renew("w-1", progress(second, 1)) == []


async def test_a_retry_waits_for_the_worker_that_failed_it_to_renew(desk: Desk) -> None:
    desk.renew("w-0")
    first = held(await desk.acquire())
    await desk.advance(0.5)
    retrying = asyncio.create_task(desk.scheduler.flow.retry(first, 5))
    await desk.settled()
    assert not retrying.done()
    desk.renew("w-0")
    assert held(await retrying).attempt == 2


async def test_a_report_of_an_older_attempt_is_recorded_and_never_charged(desk: Desk) -> None:
    desk.renew("w-0")
    first = held(await desk.acquire())
    second = held(await desk.scheduler.flow.retry(first, 5))
    desk.renew("w-0", progress(second, 2))
    await desk.scheduler.flow.report(first, claim(first, 50, Source.WORKER), "cpu", [])
    await desk.advance(100)
    await desk.sweep()
    assert usage_of(desk, first.facts.lease_id) == (Source.SWEEPER, 10, 2)
    assert (first.facts.lease_id, 1, Source.WORKER) in desk.store.reports


async def test_an_attempt_that_was_reported_is_not_charged_once_it_was_retried(desk: Desk) -> None:
    desk.renew("w-0")
    first = held(await desk.acquire())
    await desk.scheduler.flow.report(first, claim(first, 50, Source.WORKER), "cpu", [])
    await desk.scheduler.flow.retry(first, 5)
    assert desk.scheduler.book.held(W0) == 1
    await desk.advance(100)
    await desk.sweep()
    assert not desk.store.usage


async def test_a_gateway_that_missed_the_retrys_answer_settles_the_older_attempt(
    desk: Desk,
) -> None:
    desk.renew("w-0")
    first = held(await desk.acquire())
    second = held(await desk.scheduler.flow.retry(first, 5))
    assert await desk.scheduler.flow.settle(first, claim(first, 0)) is True
    assert desk.renew("w-0", progress(second, 1)) == [first.facts.lease_id]
    assert desk.scheduler.book.held(W0) == 0


async def test_retry_of_a_settled_lease_is_refused(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    await desk.scheduler.flow.settle(lease, claim(lease, 1))
    with pytest.raises(LeaseSettledError):
        await desk.scheduler.flow.retry(lease, 5)


async def test_a_retry_that_is_cancelled_can_be_tried_again(desk: Desk) -> None:
    desk.renew(slots=1)
    first = held(await desk.acquire(choices=2))
    other = asyncio.create_task(desk.acquire(choices=2))
    await desk.settled()
    retrying = asyncio.create_task(desk.scheduler.flow.retry(first, 5))
    await desk.settled()
    taker = await other  # the retry gave its place back and queued behind
    retrying.cancel()
    await desk.settled()
    await desk.scheduler.flow.release(held(taker))
    again = await desk.scheduler.flow.retry(first, 5)
    assert again.record.attempt == 3
    assert desk.scheduler.book.held(W0) == 2


async def test_a_retry_without_a_place_is_void_in_the_end(desk: Desk) -> None:
    desk.renew(slots=1)
    first = held(await desk.acquire(choices=2))
    other = asyncio.create_task(desk.acquire(choices=2))
    await desk.settled()
    retrying = asyncio.create_task(desk.scheduler.flow.retry(first, 5))
    await desk.settled()
    retrying.cancel()
    await other
    await desk.advance(60)
    await desk.sweep()
    assert not desk.store.usage
    assert not desk.scheduler.book.live()


async def test_settle_without_a_database_fails_after_a_bounded_time_and_can_be_repeated(
    desk: Desk,
) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    desk.store.is_away = True
    settling = asyncio.create_task(desk.scheduler.flow.settle(lease, claim(lease, 7)))
    await desk.settled()
    assert desk.scheduler.book.held(W0) == 0
    await desk.advance(10)
    with pytest.raises(DatabaseUnavailableError) as refused:
        await settling
    assert refused.value.retry_after_seconds is not None
    desk.store.is_away = False
    assert await desk.finish(desk.scheduler.flow.settle(lease, claim(lease, 7))) is True


async def test_a_settlement_that_could_not_be_written_is_charged_although_the_gateway_died(
    desk: Desk,
) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    desk.store.is_away = True
    with pytest.raises(DatabaseUnavailableError):
        await desk.finish(desk.scheduler.flow.settle(lease, claim(lease, 7)))
    await desk.scheduler.flow.release(lease)  # too late: it has been settled
    desk.store.is_away = False
    await desk.advance(desk.config.gateway_grace_seconds)
    await desk.sweep()
    assert usage_of(desk, lease.facts.lease_id) == (Source.GATEWAY, 10, 7)


async def test_a_short_outage_is_bridged(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    desk.store.is_away = True
    settling = asyncio.create_task(desk.scheduler.flow.settle(lease, claim(lease, 7)))
    await desk.advance(0.5)
    desk.store.is_away = False
    await desk.advance(1.0)
    assert await settling is True


async def test_a_restarted_scheduler_learns_live_leases_from_renew(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire(choices=2))
    await desk.crash()  # before the lease's row was written
    await desk.open()
    assert not desk.store.leases
    assert desk.renew("w-0", progress(lease, 3)) == []
    assert desk.scheduler.book.held(W0) == 2
    assert await desk.scheduler.flow.settle(lease, claim(lease, 4)) is True


async def test_a_restarted_scheduler_settles_leases_it_knows_nothing_of(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    await desk.crash()
    await desk.open()
    assert await desk.scheduler.flow.settle(lease, claim(lease, 4)) is True
    assert await desk.scheduler.flow.settle(lease, claim(lease, 4)) is False


async def test_a_restarted_scheduler_does_not_charge_what_was_settled(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    await desk.scheduler.flow.settle(lease, claim(lease, 4))
    await desk.crash()
    await desk.open()
    assert await desk.scheduler.flow.settle(lease, claim(lease, 5)) is False
    with pytest.raises(LeaseSettledError):
        await desk.scheduler.flow.retry(lease, 5)
    assert usage_of(desk, lease.facts.lease_id) == (Source.GATEWAY, 10, 4)


async def test_a_restarted_scheduler_stops_what_was_settled_once_it_has_asked(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    await desk.scheduler.flow.settle(lease, claim(lease, 4))
    await desk.crash()
    await desk.open()
    assert desk.renew("w-0", progress(lease, 5)) == []
    await desk.sweep()
    assert desk.renew("w-0", progress(lease, 6)) == [lease.facts.lease_id]
    assert desk.scheduler.book.held(W0) == 0


async def test_leases_of_before_a_restart_without_a_sign_of_life_are_swept(desk: Desk) -> None:
    desk.renew()
    opened = held(await desk.acquire())
    unopened = held(await desk.acquire())
    reported = held(await desk.acquire())
    desk.renew("w-0", progress(opened, 3), progress(reported, 1))
    await desk.scheduler.flow.report(reported, claim(reported, 9, Source.WORKER), "cpu", [])
    await desk.settled()
    await desk.crash()
    await desk.open()
    await desk.sweep()
    assert len(desk.scheduler.book.live()) == 3
    await desk.advance(desk.config.sweep_grace_seconds)
    await desk.sweep()
    assert usage_of(desk, opened.facts.lease_id) == (Source.SWEEPER, 10, 3)
    assert usage_of(desk, reported.facts.lease_id) == (Source.WORKER, 10, 9)
    assert usage_of(desk, unopened.facts.lease_id) is None
    assert not desk.scheduler.book.live()


async def test_checkpoints_are_written_now_and_then(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    lease_id = lease.facts.lease_id
    for tokens in range(12):
        await desk.advance(1)
        desk.renew("w-0", progress(lease, tokens))
    await desk.settled()
    written = desk.store.leases[lease_id].checkpoint.completion_tokens
    assert 5 <= written <= 11


async def test_a_worker_that_shows_anothers_lease_is_stopped(desk: Desk) -> None:
    desk.renew("w-0")
    lease = held(await desk.acquire())
    assert desk.renew("w-1", progress(lease)) == [lease.facts.lease_id]


async def test_a_replaced_worker_starts_with_all_its_room(desk: Desk) -> None:
    desk.renew("w-0", slots=1)
    await desk.acquire(choices=2)
    desk.renew("w-0", slots=1, address="w-0:2")
    assert (await desk.acquire(choices=2)).place == Place(WorkerId("w-0"), "w-0:2")


async def test_draining_sends_away_who_waits_and_who_comes(desk: Desk) -> None:
    desk.renew(slots=1)
    lease = held(await desk.acquire(choices=2))
    waiting = asyncio.create_task(desk.acquire())
    await desk.settled()
    desk.scheduler.admission.drain()
    with pytest.raises(DrainingError):
        await waiting
    with pytest.raises(DrainingError):
        await desk.acquire()
    assert await desk.scheduler.flow.settle(lease, claim(lease, 1)) is True


async def test_projects_take_turns(desk: Desk) -> None:
    desk.renew(slots=1)
    lease = held(await desk.acquire(choices=2))
    order: list[str] = []

    async def wait(project: str) -> None:
        granted = await desk.acquire(project_id=ProjectId(project), choices=2)
        order.append(project)
        await desk.scheduler.flow.release(held(granted))

    async with asyncio.TaskGroup() as group:
        for project in ("a", "a", "a", "b"):
            group.create_task(wait(project))
        await desk.settled()
        await desk.scheduler.flow.release(lease)
    assert order == ["a", "b", "a", "a"]


async def test_a_request_larger_than_a_worker_holds_up_no_other_project(desk: Desk) -> None:
    desk.renew(slots=4)
    await desk.acquire(project_id=ProjectId("large"), choices=100)
    waiting = [
        asyncio.create_task(desk.acquire(project_id=ProjectId(project), choices=100))
        for project in ("large", "other")
    ]
    await desk.settled()
    assert not any(task.done() for task in waiting)
    assert (await desk.acquire(project_id=ProjectId("small"))).place == W0
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()


async def test_what_is_kept_for_projects_without_any_is_bounded(desk: Desk) -> None:
    desk.renew(slots=4)
    await desk.acquire(project_id=ProjectId("a"), choices=6)
    await desk.acquire(project_id=ProjectId("b"), choices=2)
    await desk.acquire(project_id=ProjectId("c"))
    second = asyncio.create_task(desk.acquire(project_id=ProjectId("c")))
    await desk.settled()
    assert not second.done()
    await desk.acquire(project_id=ProjectId("d"))
    late = asyncio.create_task(desk.acquire(project_id=ProjectId("e")))
    await desk.settled()
    assert not late.done()
    second.cancel()
    late.cancel()


async def test_closed_leases_are_forgotten_and_then_answered_from_the_database(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    await desk.scheduler.flow.settle(lease, claim(lease, 4))
    await desk.advance(desk.config.closed_memory_seconds)
    await desk.sweep()
    assert desk.scheduler.book.find(lease.facts.lease_id) is None
    assert await desk.scheduler.flow.settle(lease, claim(lease, 4)) is False


async def test_a_retry_goes_elsewhere_where_it_can(desk: Desk) -> None:
    desk.renew("w-0", slots=8)
    first = held(await desk.acquire())
    desk.renew("w-1", slots=1)
    await desk.acquire()  # as loaded as w-0 is without the lease
    second = await desk.scheduler.flow.retry(first, 5)
    assert second.place.worker_id == "w-1"


async def test_a_retry_on_the_same_worker_is_not_stopped_with_the_attempt_before(
    desk: Desk,
) -> None:
    desk.renew("w-0")
    first = held(await desk.acquire())
    second = held(await desk.scheduler.flow.retry(first, 5))
    assert second.worker_id == first.worker_id
    assert desk.renew("w-0", progress(first, 5), progress(second, 1)) == []
    await desk.scheduler.flow.settle(second, claim(second, 2))
    assert set(desk.renew("w-0", progress(first, 6), progress(second, 2))) == {first.facts.lease_id}


async def test_rows_that_nobody_waits_for_outlast_a_long_outage(desk: Desk) -> None:
    desk.renew()
    desk.store.is_away = True
    lease = held(await desk.acquire())
    desk.renew("w-0", progress(lease, 3))
    await desk.advance(60)
    assert not desk.store.leases
    desk.store.is_away = False
    await desk.advance(5)
    assert desk.store.leases[lease.facts.lease_id].state is LeaseState.OPENED


async def test_a_lease_that_is_settled_while_its_retry_waits_gets_no_place(desk: Desk) -> None:
    desk.renew(slots=1)
    first = held(await desk.acquire(choices=2))
    other = asyncio.create_task(desk.acquire(choices=2))
    await desk.settled()
    retrying = asyncio.create_task(desk.scheduler.flow.retry(first, 5))
    taker = held(await other)
    await desk.scheduler.flow.settle(first, claim(first, 0))
    await desk.scheduler.flow.release(taker)
    with pytest.raises(LeaseSettledError):
        await retrying
    assert desk.scheduler.book.held(W0) == 0


async def test_the_sweeper_outlasts_an_outage(desk: Desk) -> None:
    desk.renew()
    lease = held(await desk.acquire())
    desk.renew("w-0", progress(lease, 6))
    sweeping = asyncio.create_task(desk.scheduler.sweeper.run(1.0))
    await desk.advance(1)
    desk.store.is_away = True
    await desk.advance(60)
    assert not sweeping.done()
    assert not desk.store.usage
    desk.store.is_away = False
    await desk.advance(20)
    assert usage_of(desk, lease.facts.lease_id) == (Source.SWEEPER, 10, 6)
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
