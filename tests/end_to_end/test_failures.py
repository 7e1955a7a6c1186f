"""What happens to requests and to their usage when a process of the mesh is killed."""

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import httpx2
import openai
import psutil
import psycopg
import pytest

from infra.testing import MeshForTests, wait_until

MODEL = "formwork-mini"
MESSAGES = [{"role": "user", "content": "Tell me something."}]
# Neither the end nor a refusal: a random model then writes until its limit.
ENDLESS = {"2": -100, "11": -100}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"kind": {"enum": ["cat", "dog"]}},
            "required": ["kind"],
            "additionalProperties": False,
        },
    },
}


def answer_fits(client: openai.OpenAI) -> bool:
    completion = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, response_format=SCHEMA, logit_bias={"11": -100}
    )
    content = completion.choices[0].message.content
    return content is not None and json.loads(content)["kind"] in {"cat", "dog"}


def works(client: openai.OpenAI) -> bool:
    try:
        return answer_fits(client)
    except (openai.APIConnectionError, openai.InternalServerError):
        return False


def open_stream(client: openai.OpenAI, tokens: int = 3000) -> openai.Stream:
    return client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        max_completion_tokens=tokens,
        logit_bias=ENDLESS,
        stream=True,
    )


def usage_rows(mesh: MeshForTests, request_id: str) -> list[tuple[str, str, int]]:
    query = (
        "SELECT outcome, settled_by, completion_tokens FROM scheduler.usage WHERE request_id = %s"
    )
    try:
        with psycopg.connect(str(mesh.database("scheduler"))) as connection:
            return connection.execute(query, (request_id,)).fetchall()
    except psycopg.OperationalError:  # PostgreSQL is starting again
        return []


def wait_for_row(mesh: MeshForTests, request_id: str) -> tuple[str, str, int]:
    wait_until(lambda: len(usage_rows(mesh, request_id)) > 0, "the usage row is written")
    rows = usage_rows(mesh, request_id)
    assert len(rows) == 1
    return rows[0]


def in_flight(mesh: MeshForTests) -> float:
    text = httpx.get(f"http://127.0.0.1:{mesh.http_port}/metrics", trust_env=False).text
    name = "formwork_gateway_requests_in_flight "
    lines = [line for line in text.splitlines() if line.startswith(name)]
    return float(lines[0].removeprefix(name))


def exhaust(stream: openai.Stream) -> list[str]:
    return [c.choices[0].finish_reason for c in stream if c.choices]


def kill(process: psutil.Process) -> None:
    process.send_signal(signal.SIGKILL)


@pytest.fixture
def background() -> Iterator[Callable[[Callable[[], bool]], Future[bool]]]:
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield pool.submit


@pytest.fixture(autouse=True)
def healthy(client: openai.OpenAI) -> None:
    """Each test starts with a mesh that has recovered from the one before."""
    wait_until(lambda: works(client), "the mesh answers")


def test_usage_is_written_once_for_each_request(mesh: MeshForTests, client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=MESSAGES, response_format=SCHEMA, logit_bias={"11": -100}
    )
    outcome, settled_by, tokens = wait_for_row(mesh, raw.headers["x-request-id"])
    assert (outcome, settled_by) == ("completed", "gateway")
    assert tokens == raw.parse().usage.completion_tokens


def test_a_request_without_a_token_yet_is_retried_when_its_worker_dies(
    mesh: MeshForTests,
    client: openai.OpenAI,
    background: Callable[[Callable[[], bool]], Future[bool]],
) -> None:
    [worker] = mesh.workers()
    worker.suspend()  # so that no token can come before the kill
    idle = in_flight(mesh)
    waiting = background(lambda: answer_fits(client))
    wait_until(lambda: in_flight(mesh) > idle, "the request is under way")
    kill(worker)
    assert waiting.result(timeout=60)
    wait_until(lambda: [w.pid for w in mesh.workers()] != [worker.pid], "the worker is replaced")


def test_a_stream_whose_worker_dies_ends_with_an_error_and_is_charged_once(
    mesh: MeshForTests, client: openai.OpenAI
) -> None:
    stream = open_stream(client)
    request_id = stream.response.headers["x-request-id"]
    for _ in range(5):
        next(stream)
    kill(mesh.workers()[0])
    with pytest.raises(openai.APIError):
        exhaust(stream)
    outcome, settled_by, tokens = wait_for_row(mesh, request_id)
    assert (outcome, settled_by) == ("failed", "gateway")
    assert tokens > 0


def test_the_scheduler_comes_back_and_keeps_its_workers(
    mesh: MeshForTests, client: openai.OpenAI
) -> None:
    workers = [worker.pid for worker in mesh.workers()]
    stream = open_stream(client, tokens=400)
    request_id = stream.response.headers["x-request-id"]
    next(stream)
    kill(mesh.process("scheduler"))
    assert exhaust(stream)[-1] == "length"
    wait_until(lambda: works(client), "the mesh answers")
    assert [worker.pid for worker in mesh.workers()] == workers
    outcome, _, tokens = wait_for_row(mesh, request_id)
    assert (outcome, tokens) == ("completed", 400)


def test_the_worker_settles_what_a_killed_gateway_left(
    mesh: MeshForTests, client: openai.OpenAI
) -> None:
    stream = open_stream(client)
    request_id = stream.response.headers["x-request-id"]
    next(stream)
    old = mesh.process("gateway")
    kill(old)
    with pytest.raises((openai.APIError, httpx2.TransportError)):
        exhaust(stream)
    wait_until(lambda: works(client), "the gateway is back")
    assert mesh.process("gateway").pid != old.pid
    outcome, settled_by, _ = wait_for_row(mesh, request_id)
    assert settled_by in {"worker", "sweeper"}
    assert outcome in {"cancelled", "failed"}


def test_the_compiler_comes_back(mesh: MeshForTests, client: openai.OpenAI) -> None:
    old = mesh.process("compiler")
    kill(old)
    wait_until(lambda: works(client), "the mesh answers")
    wait_until(lambda: mesh.process("compiler").pid != old.pid, "the compiler is replaced")


def test_the_database_comes_back(mesh: MeshForTests, client: openai.OpenAI) -> None:
    old = mesh.process("postgres")
    kill(old)
    wait_until(lambda: mesh.process("postgres").pid != old.pid, "PostgreSQL is replaced")
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=MESSAGES, response_format=SCHEMA, logit_bias={"11": -100}
    )
    assert wait_for_row(mesh, raw.headers["x-request-id"])[0] == "completed"


def test_workers_come_back_with_the_ray_head(mesh: MeshForTests, client: openai.OpenAI) -> None:
    [old] = mesh.workers()
    kill(mesh.process("ray"))
    wait_until(lambda: not old.is_running(), "the head takes its workers with it")
    wait_until(lambda: works(client), "the mesh answers", seconds=120)
    assert [worker.pid for worker in mesh.workers()] != [old.pid]


def test_a_ray_node_that_ended_itself_is_started_again(
    mesh: MeshForTests, client: openai.OpenAI
) -> None:
    [old] = mesh.workers()
    head = mesh.process("ray")
    agents = [p for p in head.children(recursive=True) if "RuntimeEnvAgent" in p.cmdline()[0]]
    kill(agents[0])
    wait_until(lambda: not old.is_running(), "the node takes its workers with it")
    wait_until(lambda: not head.is_running(), "the head that has no node is ended")
    wait_until(lambda: works(client), "the mesh answers", seconds=120)


def test_sigterm_lets_the_gateway_finish_its_requests(
    mesh: MeshForTests, client: openai.OpenAI
) -> None:
    stream = open_stream(client, tokens=200)
    next(stream)
    old = mesh.process("gateway")
    old.send_signal(signal.SIGTERM)
    assert exhaust(stream)[-1] == "length"
    wait_until(lambda: works(client), "a new gateway answers")
    assert mesh.process("gateway").pid != old.pid
