"""Tools that were read before are the same wherever they stand; errors name where that is."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.config import GatewayConfig
from gateway.errors import RequestError
from gateway.request import read_chat_request
from gateway.tool_memory import ToolMemory
from gateway.tools import Tool


def function(name: str, **properties: object) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def read(memory: ToolMemory, *tools: object) -> tuple[Tool, ...]:
    messages = [{"role": "user", "content": "u"}]
    body = {"model": "m", "messages": messages, "tools": tools}
    return read_chat_request(json.dumps(body).encode(), GatewayConfig(), memory).tool_use.tools


def test_a_tool_that_was_read_before_is_not_read_again() -> None:
    memory = ToolMemory(1 << 20)
    first, again = read(memory, function("f")), read(memory, function("f"))
    assert again[0] is first[0]


def test_a_tool_is_told_apart_by_all_of_its_text() -> None:
    memory = ToolMemory(1 << 20)
    read(memory, function("f", a={"type": "string"}))
    (other,) = read(memory, function("f", a={"type": "integer"}))
    assert other.grammar is not None
    assert json.loads(other.grammar.text)["properties"] == {"a": {"type": "integer"}}


def test_errors_about_a_tool_name_where_it_stands_now() -> None:
    memory = ToolMemory(1 << 20)
    first, second = read(memory, function("f"), function("g"))
    turned = read(memory, function("g"), function("f"))
    assert [tool.name for tool in turned] == ["g", "f"]
    assert [tool.subject.param for tool in turned] == [
        "tools[0].function.parameters",
        "tools[1].function.parameters",
    ]
    assert turned[0].grammar is second.grammar  # with what was worked out of it
    assert turned[1].grammar is first.grammar


def test_what_is_wrong_with_a_list_is_told_of_known_tools_too() -> None:
    memory = ToolMemory(1 << 20)
    read(memory, function("f"))
    with pytest.raises(RequestError, match="another tool"):
        read(memory, function("f"), function("f"))


def test_a_refused_tool_is_refused_again() -> None:
    memory = ToolMemory(1 << 20)
    for path in ("tools[0].function.parameters", "tools[1].function.parameters"):
        before = [function("g")] if path.startswith("tools[1]") else []
        bad = {"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}
        with pytest.raises(RequestError) as refused:
            read(memory, *before, bad)
        assert refused.value.field == path


def test_tools_beyond_the_bound_are_read_again() -> None:
    memory = ToolMemory(1 << 16)
    (first,) = read(memory, function("f"))
    for number in range(100):
        read(memory, function(f"f{number}"))
    (again,) = read(memory, function("f"))
    assert again == first
    assert again is not first


def test_several_threads_read_the_same_tools() -> None:
    memory = ToolMemory(1 << 15)  # too small for all of them: they come and go
    tools = [function(f"f{number}") for number in range(20)]
    with ThreadPoolExecutor(4) as threads:
        lists = list(threads.map(lambda _: read(memory, *tools), range(50)))
    assert all([tool.name for tool in one] == [f"f{n}" for n in range(20)] for one in lists)
