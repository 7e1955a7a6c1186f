"""The table of errors: every code that is used is a row, and every row can be met."""

import ast
import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from formwork.sampler.v1.sampler_pb2 import FINISH_STOP

import gateway
from gateway import error_page
from gateway.error_table import CODE_OF_REASON, CODES
from gateway.errors import SlowClientError, reply_of
from gateway.parameters import UNSUPPORTED
from gateway.testing import fail, say
from mesh.config import MeshConfig
from mesh.errors import (
    CompileBudgetError,
    CompileQueueFullError,
    DatabaseUnavailableError,
    DrainingError,
    FormworkError,
    GrammarRefusedError,
    InternalError,
    InvalidArgumentError,
    LimitExceededError,
    ModelFailedError,
    NoWorkerError,
    QueueFullError,
    QueueTimeoutError,
    SchemaRefusedError,
    ServiceUnavailableError,
    WorkerLostError,
)

from .conftest import Bench, make_mesh_config, open_bench

GATEWAY = Path(gateway.__file__).parent

# One wrong parameter for each code that a chat completion's body is refused with.
CHANGES: dict[str, dict[str, Any]] = {
    "invalid_request": {
        "messages": [{"role": "user", "content": "hi"}],
        "response_format": {"type": "json_object"},
    },
    "unknown_parameter": {"top_k": 5},
    "unsupported_parameter": {"verbosity": "low"},
    "unsupported_value": {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
        ]
    },
    "missing_required_parameter": {"response_format": {}},
    "invalid_parameter_combination": {"max_tokens": 1, "max_completion_tokens": 1},
    "invalid_type": {"n": "1"},
    "invalid_value": {"service_tier": "scale"},
    "integer_below_min_value": {"n": 0},
    "integer_above_max_value": {"n": 129},
    "decimal_below_min_value": {"temperature": -0.1},
    "decimal_above_max_value": {"temperature": 2.1},
    "empty_string": {"stop": ""},
    "string_above_max_length": {"safety_identifier": "x" * 65},
    "empty_array": {"messages": []},
    "array_above_max_length": {"stop": ["a"] * 5},
    "object_above_max_properties": {"metadata": {str(i): "x" for i in range(17)}},
    "schema_too_large": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"description": "x" * 600_000}},
        }
    },
    "context_length_exceeded": {"messages": [{"role": "user", "content": "word " * 5000}]},
    "model_not_found": {"model": "none"},
}
# What a neighbour answers, for each code that begins there; the request is right.
COMPILER: dict[str, FormworkError] = {
    "invalid_json_schema": SchemaRefusedError("bad.", field="/x", metadata={"keyword": "x"}),
    "rate_limit_exceeded": CompileQueueFullError("x", retry_after_seconds=1),
}
SCHEDULER: dict[str, FormworkError] = {
    "limit_exceeded": LimitExceededError("x"),
    "overloaded": QueueFullError("x"),
    "model_unavailable": NoWorkerError("x", retry_after_seconds=1),
    "service_unavailable": ServiceUnavailableError("x"),
}
WORKER: dict[str, FormworkError] = {
    "internal_error": InternalError("x"),
    "model_failed": ModelFailedError("x"),
}


def form(title: str) -> dict[str, Any]:
    """Return a response format like no other: what was refused is remembered for a while."""
    schema = {"title": title, "type": "object"}
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


Meet = Callable[[Bench], Awaitable[bytes]]
MEETINGS: dict[str, Meet] = {}
"""Requests for codes that need more than a body: what they return is the response's bytes."""


def meets(code: str) -> Callable[[Meet], Meet]:
    def keep(meet: Meet) -> Meet:
        MEETINGS[code] = meet
        return meet

    return keep


@meets("invalid_function_parameters")
async def offer_a_function_of_an_array(bench: Bench) -> bytes:
    function = {"name": "f", "parameters": {"type": "array"}}
    tools = [{"type": "function", "function": function}]
    return (await bench.post(bench.chat(tools=tools))).content


@meets("invalid_grammar")
async def offer_a_grammar_that_is_refused(bench: Bench) -> bytes:
    bench.compiler.refusal = GrammarRefusedError("it has templates.")
    grammar = {"syntax": "lark", "definition": "start{x}: x"}
    custom = {"name": "c", "format": {"type": "grammar", "grammar": grammar}}
    return (await bench.post(bench.chat(tools=[{"type": "custom", "custom": custom}]))).content


@meets("invalid_json")
async def send_no_json(bench: Bench) -> bytes:
    return (await bench.post(b"{")).content


@meets("duplicate_key")
async def send_a_key_twice(bench: Bench) -> bytes:
    return (await bench.post(b'{"model":"a","model":"b"}')).content


@meets("unsupported_encoding")
async def send_compressed(bench: Bench) -> bytes:
    return (await bench.post(bench.chat(), **{"content-encoding": "gzip"})).content


@meets("request_too_large")
async def send_much(bench: Bench) -> bytes:
    return (await bench.post(bench.chat(user="x" * 5_000_000))).content


@meets("headers_too_large")
async def send_a_long_header(bench: Bench) -> bytes:
    return await exchange(bench, b"x-large: " + b"a" * 100_000)


@meets("request_timeout")
async def send_slowly(bench: Bench) -> bytes:
    return await exchange(bench, b"content-length: 100\r\n\r\n{")


@meets("invalid_api_key")
async def send_no_key(bench: Bench) -> bytes:
    return (await bench.post(bench.chat(), authorization="")).content


@meets("unknown_url")
async def get_nothing(bench: Bench) -> bytes:
    return (await bench.get("/v1/nothing")).content


@meets("method_not_supported")
async def get_completions(bench: Bench) -> bytes:
    return (await bench.get("/v1/chat/completions")).content


@meets("invalid_answer")
async def get_what_does_not_fit(bench: Bench) -> bytes:
    bench.worker.script = lambda _: [say("[]", finish=FINISH_STOP)]
    return (await bench.post(bench.chat(response_format=form("f")))).content


@meets("worker_lost")
async def lose_the_worker(bench: Bench) -> bytes:
    bench.worker.script = lambda _: [say("Hi"), fail(WorkerLostError("x"))]
    return (await bench.post(bench.chat(stream=True))).content.split(b"data: ")[-1]


@meets("timeout")
async def wait_for_nothing(bench: Bench) -> bytes:
    bench.worker.script = lambda _: iter(())
    return (await bench.post(bench.chat())).content


@meets("unsupported_messages")
async def send_roles_that_the_template_refuses(bench: Bench) -> bytes:
    return (await bench.post(bench.chat(messages=[{"role": "user", "content": "x"}]))).content


@meets("schema_not_found")
async def get_no_schema(bench: Bench) -> bytes:
    return (await bench.get("/v1/schemas/none")).content


@meets("schema_limit_reached")
async def register_too_much(bench: Bench) -> bytes:
    return (await bench.post({"name": "n", "schema": {}}, path="/v1/schemas")).content


@meets("slow_client")
async def read_nothing(_: Bench) -> bytes:
    # Nobody reads the answer of a client that does not read: it is for the log and the metrics.
    return reply_of(SlowClientError("x")).body


# Rows that need a gateway with other settings.
SETTINGS: dict[str, dict[str, Any]] = {
    "request_timeout": {"body_seconds": 0.2},
    "timeout": {"request_seconds": 0.3},
    "unsupported_messages": {"max_prompt_characters": 1},
    "schema_limit_reached": {"max_schemas_per_project": 0},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with open_bench(make_mesh_config(tmp_path_factory.mktemp("mesh"))) as opened:
        yield opened


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("code", sorted(CODES))
async def test_every_row_can_be_met_and_is_what_the_table_says(
    shared: Bench, code: str, tmp_path: Path
) -> None:
    if code in SETTINGS:
        async with open_bench(make_mesh_config(tmp_path), **SETTINGS[code]) as own:
            check(code, await meet(own, code))
        return
    try:
        check(code, await meet(shared, code))
    finally:
        shared.compiler.refusal = shared.scheduler.refusal = None
        shared.worker.script = lambda _: [say("Hi", finish=FINISH_STOP)]


async def meet(bench: Bench, code: str) -> bytes:
    """Return the response that has the code; a row that nobody can meet fails here."""
    if code in MEETINGS:
        return await MEETINGS[code](bench)
    if code in CHANGES:
        return (await bench.post({**bench.chat(), **CHANGES[code]})).content
    assert code in {**COMPILER, **SCHEDULER, **WORKER}, f"no request is known that has {code}"
    bench.compiler.refusal = COMPILER.get(code)
    bench.scheduler.refusal = SCHEDULER.get(code)
    if code in WORKER:
        bench.worker.script = lambda _: [fail(WORKER[code])]
    chat = bench.chat(response_format=form(code)) if code in COMPILER else bench.chat()
    return (await bench.post(chat)).content


def check(code: str, answer: bytes) -> None:
    """Check status (where the answer has its head), type and code."""
    head, _, body = answer.rpartition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert (error["code"], error["type"]) == (code, CODES[code].type)
    assert not head or head.startswith(b"HTTP/1.1 %d " % CODES[code].status)


async def exchange(bench: Bench, rest: bytes) -> bytes:
    """Send the beginning of a request and the rest; return everything that comes back."""
    host, port = bench.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    key = bench.key.value.encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
    writer.write(b"authorization: Bearer " + key + b"\r\n" + rest)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


NEIGHBOURS: list[tuple[str, FormworkError, str]] = [
    ("compiler", GrammarRefusedError("x"), "JSON_SCHEMA_INVALID"),
    ("compiler", CompileBudgetError("x"), "JSON_SCHEMA_INVALID"),
    ("compiler", CompileQueueFullError("x"), "COMPILE_QUEUE_FULL"),
    ("scheduler", InvalidArgumentError("x"), "INVALID_ARGUMENT"),
    ("scheduler", QueueTimeoutError("x"), "QUEUE_TIMEOUT"),
    ("scheduler", DrainingError("x"), "DRAINING"),
    ("scheduler", DatabaseUnavailableError("x"), "DATABASE_UNAVAILABLE"),
]


@pytest.mark.parametrize(
    ("where", "error", "reason"), NEIGHBOURS, ids=[error.reason for _, error, _ in NEIGHBOURS]
)
async def test_what_a_neighbour_says_has_the_code_of_its_reason(
    mesh_config: MeshConfig, where: str, error: FormworkError, reason: str
) -> None:
    async with open_bench(mesh_config) as bench:
        getattr(bench, where).refusal = error
        response = await bench.post(bench.chat(response_format=form("f")))
        code = CODE_OF_REASON[reason]
        assert response.json()["error"]["code"] == code
        assert response.status_code == CODES[code].status


def test_every_code_that_the_gateway_raises_is_a_row() -> None:
    raised = {code: place for path in GATEWAY.glob("*.py") for code, place in codes_in(path)}
    assert len(raised) > 15
    unknown = {
        code: place
        for code, place in raised.items()
        if not any(re.fullmatch(code, row) for row in CODES)
    }
    assert not unknown


def codes_in(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the codes of the RequestErrors that a module makes, as patterns, with their places."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        named = [word.value for word in node.keywords if word.arg == "code"]
        if isinstance(node.func, ast.Name) and node.func.id == "RequestError":
            named += node.args[2:3]
        else:
            named = [value for value in named if isinstance(value, ast.Constant)]
        for value in named:
            yield pattern_of(value), f"{path.name}:{node.lineno}"


def pattern_of(value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return re.escape(str(value.value))
    if isinstance(value, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else None for part in value.values)
        return "".join("[a-z]+" if part is None else re.escape(str(part)) for part in parts)
    return f"cannot be read: {ast.unparse(value)}"


def test_the_page_is_up_to_date() -> None:
    page = GATEWAY.parent / error_page.PAGE
    assert page.read_text(encoding="utf-8") == error_page.write_page(), "run `make docs`"


def test_the_page_of_differences_names_what_is_refused() -> None:
    page = (GATEWAY.parent / "docs" / "differences.md").read_text(encoding="utf-8")
    assert [name for name in UNSUPPORTED if f"`{name}" not in page] == []


def test_every_advice_is_a_sentence() -> None:
    for code, row in CODES.items():
        assert re.fullmatch(r"[A-Z].*\.", row.advice), code
        assert "|" not in row.advice, code
