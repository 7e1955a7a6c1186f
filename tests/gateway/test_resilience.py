"""Clients that leave or do not read, workers that are lost, neighbours that are away."""

import asyncio
import itertools
import json
import socket
from collections.abc import Iterator

import openai
import pytest
from formwork.sampler.v1.sampler_pb2 import FINISH_ABORTED, FINISH_STOP, Frame, Open
from formwork.scheduler.v1.scheduler_pb2 import (
    OUTCOME_CANCELLED,
    OUTCOME_COMPLETED,
    OUTCOME_FAILED,
)
from structlog.testing import capture_logs

from gateway.testing import fail, say
from mesh.config import MeshConfig
from mesh.errors import (
    DrainingError,
    FormworkError,
    IndexNotFoundError,
    InvalidArgumentError,
    LeaseInvalidError,
    LeaseSettledError,
    LimitExceededError,
    ServiceUnavailableError,
    WorkerLostError,
)

from .conftest import ALIAS, Bench, open_bench, until

MESSAGES = [{"role": "user", "content": "Say json."}]
JSON_MODE = {"type": "json_object"}


def endless(text: str = "x" * 4096) -> Iterator[Frame]:
    return (say(text) for _ in itertools.count())


def nothing(_: Open) -> Iterator[Frame]:
    return iter(())


async def test_a_client_that_leaves_a_stream_is_cancelled_and_billed(bench: Bench) -> None:
    bench.worker.script = lambda _: endless("a")
    stream = await bench.client.chat.completions.create(model=ALIAS, messages=MESSAGES, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    [(_, settlement)] = await bench.settled()
    assert settlement.outcome == OUTCOME_CANCELLED
    assert settlement.counts.completion_tokens > 0
    await until(lambda: bench.worker.aborted == [bench.worker.opens[0].sequence_id])


async def test_the_log_of_a_stream_that_was_left_has_no_times_that_nobody_told(
    bench: Bench,
) -> None:
    bench.worker.script = lambda _: endless("a")
    with capture_logs() as logged:
        stream = await bench.client.chat.completions.create(
            model=ALIAS, messages=MESSAGES, stream=True
        )
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.close()
        await until(lambda: any(line["event"] == "request" for line in logged))
    [line] = [line for line in logged if line["event"] == "request"]
    assert line["completion_tokens"] > 0
    assert "queue_ms" in line
    assert not {"prefill_ms", "decode_ms"} & set(line)


async def test_a_client_that_leaves_a_stream_before_its_first_frame_pays_for_the_prompt(
    bench: Bench,
) -> None:
    bench.worker.script = nothing
    stream = await bench.client.chat.completions.create(model=ALIAS, messages=MESSAGES, stream=True)
    await until(lambda: len(bench.worker.opens) == 1)
    await stream.close()
    [(_, settlement)] = await bench.settled()
    assert settlement.outcome == OUTCOME_CANCELLED
    assert settlement.counts.prompt_tokens == len(bench.worker.opens[0].prompt_tokens)
    assert settlement.counts.completion_tokens == 0


async def test_a_stream_that_fails_before_its_first_frame_is_free(bench: Bench) -> None:
    bench.worker.script = lambda _: [fail(InvalidArgumentError("x", field="y"))]
    await bench.post(bench.chat(stream=True))
    [(_, settlement)] = await bench.settled()
    assert settlement.outcome == OUTCOME_FAILED
    assert settlement.counts.prompt_tokens == 0


async def test_a_client_that_leaves_a_whole_answer_is_cancelled(bench: Bench) -> None:
    bench.worker.script = nothing
    task = asyncio.create_task(bench.client.chat.completions.create(model=ALIAS, messages=MESSAGES))
    await until(lambda: len(bench.worker.opens) == 1)
    task.cancel()
    [(_, settlement)] = await bench.settled()
    assert settlement.outcome == OUTCOME_CANCELLED
    assert settlement.counts.prompt_tokens == 0
    await until(lambda: len(bench.worker.aborted) == 1)


async def test_a_client_that_leaves_the_queue_holds_nothing(bench: Bench) -> None:
    bench.scheduler.gate.clear()
    task = asyncio.create_task(bench.client.chat.completions.create(model=ALIAS, messages=MESSAGES))
    await until(lambda: len(bench.scheduler.acquired) == 1)
    task.cancel()
    await until(lambda: "requests_in_flight 0.0" in bench.gateway_metrics())
    bench.scheduler.gate.set()
    assert not bench.worker.opens


async def test_a_client_that_does_not_read_is_paused_then_cut_and_billed(
    mesh_config: MeshConfig,
) -> None:
    async with open_bench(mesh_config, slow_client_seconds=0.3, socket_send_bytes=4096) as bench:
        bench.worker.script = lambda _: endless()
        host, port = bench.url.removeprefix("http://").split(":")
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((host, int(port)))
            body = json.dumps(bench.chat(stream=True)).encode()
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
                b"authorization: Bearer " + bench.key.value.encode() + b"\r\n"
                b"content-length: " + str(len(body)).encode() + b"\r\n\r\n" + body
            )
            [(_, settlement)] = await bench.settled()
        assert bench.worker.pauses >= 1
        assert settlement.outcome == OUTCOME_CANCELLED
        assert 0 < settlement.counts.completion_tokens <= bench.worker.sent_tokens
        assert "slow_clients_total 1.0" in bench.gateway_metrics()


async def test_a_paused_worker_goes_on_when_the_client_reads(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, pause_frames=4, resume_frames=1) as bench:
        frames = [*(say("y" * 8192) for _ in range(200)), say("", finish=FINISH_STOP)]
        bench.worker.script = lambda _: frames
        stream = await bench.client.chat.completions.create(
            model=ALIAS, messages=MESSAGES, stream=True
        )
        await until(lambda: bench.worker.pauses >= 1)
        text = ""
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
        assert text == "y" * 8192 * 200
        assert bench.worker.resumes >= 1


async def test_a_worker_lost_before_the_first_frame_is_replaced(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, workers=2) as bench:
        bench.worker.script = nothing
        task = asyncio.create_task(
            bench.client.chat.completions.create(
                model=ALIAS, messages=MESSAGES, stream=True, response_format=JSON_MODE
            )
        )
        await until(lambda: len(bench.worker.binds) == 1)
        bench.workers[1].script = lambda _: [say('{"a":1}', finish=FINISH_STOP)]
        await bench.worker_servers[0].stop()
        text = "".join([c.choices[0].delta.content or "" async for c in await task if c.choices])
        assert text == '{"a":1}'
        assert len(bench.workers[1].binds) == 1
        [(lease, settlement)] = await bench.settled()
        assert lease.attempt == 2
        assert settlement.outcome == OUTCOME_COMPLETED
        assert settlement.counts.completion_tokens == 1


async def test_a_whole_answer_is_made_again_even_after_tokens(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, workers=2) as bench:
        bench.worker.script = lambda _: [say("lost"), fail(WorkerLostError("Gone."))]
        bench.workers[1].script = lambda _: [say("found", finish=FINISH_STOP)]
        answer = await bench.client.chat.completions.create(model=ALIAS, messages=MESSAGES)
        assert answer.choices[0].message.content == "found"
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 1


async def test_a_sequence_that_the_worker_stopped_is_made_again(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, workers=2) as bench:
        bench.worker.script = lambda _: [Frame(finish=FINISH_ABORTED)]
        answer = await bench.client.chat.completions.create(model=ALIAS, messages=MESSAGES)
        assert answer.choices[0].message.content == "Hi"


async def test_a_worker_lost_after_the_first_token_ends_the_stream_with_an_error(
    mesh_config: MeshConfig,
) -> None:
    async with open_bench(mesh_config, workers=2) as bench:
        bench.worker.script = lambda _: [say("begun")]
        stream = await bench.client.chat.completions.create(
            model=ALIAS, messages=MESSAGES, stream=True
        )
        chunks = aiter(stream)
        assert (await anext(chunks)).choices[0].delta.role == "assistant"
        assert (await anext(chunks)).choices[0].delta.content == "begun"
        await bench.worker_servers[0].stop()
        with pytest.raises(openai.APIError) as caught:
            await anext(chunks)
        assert caught.value.code == "worker_lost"
        assert not bench.scheduler.retried
        [(_, settlement)] = await bench.settled()
        assert settlement.outcome == OUTCOME_FAILED
        assert settlement.counts.completion_tokens == 1


@pytest.mark.parametrize(
    "error",
    [
        DrainingError("Going."),
        ServiceUnavailableError("No scheduler."),
        LeaseInvalidError("Expired."),
        LimitExceededError("Too many sequences."),
    ],
)
async def test_what_another_worker_may_not_have_is_tried_there(
    mesh_config: MeshConfig, error: FormworkError
) -> None:
    async with open_bench(mesh_config, workers=2) as bench:
        bench.worker.script = lambda _: [fail(error)]
        answer = await bench.client.chat.completions.create(model=ALIAS, messages=MESSAGES)
        assert answer.choices[0].message.content == "Hi"


async def test_what_a_worker_does_not_understand_is_our_fault(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, workers=2) as bench:
        bench.worker.script = lambda _: [fail(InvalidArgumentError("secret", field="x"))]
        response = await bench.post(bench.chat())
        assert response.status_code == 500
        assert "secret" not in response.text
        assert not bench.scheduler.retried


async def test_attempts_are_bounded(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, workers=4) as bench:
        for worker in bench.workers:
            worker.script = lambda _: [fail(WorkerLostError("Gone."))]
        response = await bench.post(bench.chat())
        assert response.status_code == 503
        assert [lease.attempt for lease in bench.scheduler.retried] == [2, 3]


async def test_a_lease_that_ran_out_while_it_waited_for_another_worker_is_a_503(
    bench: Bench,
) -> None:
    bench.worker.script = lambda _: [fail(WorkerLostError("gone"))]
    bench.scheduler.retry_refusal = LeaseSettledError("The lease was closed while it waited.")
    response = await bench.post(bench.chat())
    assert response.status_code == 503
    assert "retry-after" in response.headers


async def test_no_other_worker_is_a_503_with_retry_after(bench: Bench) -> None:
    bench.worker.script = lambda _: [fail(WorkerLostError("Gone."))]
    response = await bench.post(bench.chat())
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "model_unavailable"
    assert response.headers["retry-after"] == "2"


async def test_a_worker_that_cannot_be_reached_is_lost(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, workers=2) as bench:
        await bench.worker_servers[0].stop()
        answer = await bench.client.chat.completions.create(model=ALIAS, messages=MESSAGES)
        assert answer.choices[0].message.content == "Hi"


async def test_an_index_that_a_worker_cannot_find_is_ensured_again(
    mesh_config: MeshConfig,
) -> None:
    async with open_bench(mesh_config, workers=2) as bench:
        bench.worker.script = lambda _: [fail(IndexNotFoundError("No such index."))]
        bench.workers[1].script = lambda _: [say("{}", finish=FINISH_STOP)]
        answer = await bench.client.chat.completions.create(
            model=ALIAS, messages=MESSAGES, response_format=JSON_MODE
        )
        assert answer.choices[0].message.content == "{}"
        assert len(bench.compiler.requests) == 2


async def test_one_stream_carries_every_request_and_is_opened_again(bench: Bench) -> None:
    await asyncio.gather(*(bench.post(bench.chat()) for _ in range(20)))
    assert bench.worker.streams == 1
    assert len(await bench.settled(20)) == 20


async def test_settlements_are_repeated_until_durable(bench: Bench) -> None:
    bench.scheduler.settle_failures = 2
    await bench.post(bench.chat())
    [(_, settlement)] = await bench.settled()
    assert settlement.outcome == OUTCOME_COMPLETED


async def test_a_request_has_an_end(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, request_seconds=0.3) as bench:
        bench.worker.script = nothing
        response = await bench.post(bench.chat())
        assert response.status_code == 504
        streamed = await bench.post(bench.chat(stream=True))
        assert '"code":"timeout"' in streamed.text
        assert len(await bench.settled(2)) == 2


async def test_too_many_requests_in_flight_are_shed(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, max_in_flight=1) as bench:
        bench.scheduler.gate.clear()
        first = asyncio.create_task(bench.post(bench.chat()))
        await until(lambda: len(bench.scheduler.acquired) == 1)
        second = await bench.post(bench.chat())
        assert second.status_code == 503
        assert second.headers["retry-after"] == "1"
        assert (await bench.get("/healthz")).status_code == 200
        bench.scheduler.gate.set()
        assert (await first).status_code == 200


async def test_whoever_is_refused_and_still_sending_fills_nothing(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, max_in_flight=1) as bench:
        host, port = bench.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        assert (await bench.post(bench.chat())).status_code == 200
        writer.close()


async def test_a_project_cannot_fill_the_gateway(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, max_in_flight_per_project=1) as bench:
        bench.worker.script = lambda _: [say("begun")]
        stream = await bench.client.chat.completions.create(
            model=ALIAS, messages=MESSAGES, stream=True
        )
        refused = await bench.post(bench.chat())
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert refused.headers["retry-after"] == "1"
        bench.worker.script = lambda _: [say("Hi", finish=FINISH_STOP)]
        other = f"Bearer {bench.store.add().value}"
        assert (await bench.post(bench.chat(), authorization=other)).status_code == 200
        await stream.close()
        await until(lambda: "requests_in_flight 0.0" in bench.gateway_metrics())
        assert (await bench.post(bench.chat())).status_code == 200


async def test_stopping_lets_a_request_in_flight_end(bench: Bench) -> None:
    gate = asyncio.Event()
    bench.compiler.gate = gate
    bench.worker.script = lambda _: [say("{}", finish=FINISH_STOP)]
    task = asyncio.create_task(bench.post(bench.chat(response_format=JSON_MODE)))
    await until(lambda: len(bench.compiler.requests) == 1)
    bench.server.should_exit = True
    gate.set()
    assert (await task).status_code == 200
    await bench.settled()


async def test_stopping_does_not_wait_for_ever(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config) as bench:
        bench.worker.script = lambda _: [say("begun")]
        stream = await bench.client.chat.completions.create(
            model=ALIAS, messages=MESSAGES, stream=True
        )
        bench.server.should_exit = True
        with pytest.raises(openai.APIError):
            _ = [chunk async for chunk in stream]
        [(_, settlement)] = await bench.settled()
        assert settlement.counts.completion_tokens == 1
