"""Tools over HTTP: what is asked of the compiler and the worker, and how calls come back."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from formwork.sampler.v1.sampler_pb2 import (
    CHANNEL_REFUSAL,
    FINISH_LENGTH,
    FINISH_STOP,
    Frame,
    Mark,
    TokenLogprob,
)

from gateway.grammars import SchemaText
from gateway.validation_process import Finding
from mesh.config import MeshConfig
from mesh.errors import SchemaRefusedError

from .conftest import ALIAS, Bench, make_mesh_config, open_bench, until

CALL, ARGUMENTS = 9, 10  # control tokens of the built-in model
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
TIME = {
    "type": "function",
    "function": {"name": "get_time", "description": "Now.", "strict": False},
}
SQL = {
    "type": "custom",
    "custom": {
        "name": "sql",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": 'start: "x"'}},
    },
}
# In draft 7, what stands beside a reference counts for nothing: this is the schema of a text.
REFERRING = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "$ref": "#/definitions/text",
    "definitions": {"text": {"type": "string"}},
}
FORM = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
NOTE = {"type": "custom", "custom": {"name": "note"}}


def mark(token_id: int, position: int = 0) -> Mark:
    return Mark(token_id=token_id, position=position)


def calls(*written: tuple[str, str]) -> list[Frame]:
    """Return frames in which the built-in model makes calls, its tokens split unkindly."""
    frames = []
    for name, arguments in written:
        frames += [
            Frame(text=name[:3], marks=[mark(CALL)], tokens=2),
            Frame(text=name[3:] + arguments[:2], marks=[mark(ARGUMENTS, len(name) - 3)], tokens=3),
            Frame(text=arguments[2:], tokens=2),
        ]
    return [*frames, Frame(tokens=1, finish=FINISH_STOP)]


async def create(bench: Bench, **parameters: Any) -> Any:  # noqa: ANN401 - of the client
    messages = [{"role": "user", "content": "Weather in Rome?"}]
    return await bench.client.chat.completions.create(
        model=ALIAS,
        messages=messages,
        **parameters,  # type: ignore[arg-type]
    )


async def test_calls_come_back_as_openai_writes_them(bench: Bench) -> None:
    bench.worker.script = lambda _: calls(("get_weather", '{"city":"Rome"}'), ("get_time", "{}"))
    completion = await create(bench, tools=[WEATHER, TIME])
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.refusal is None
    first, second = choice.message.tool_calls
    assert (first.type, first.function.name) == ("function", "get_weather")
    assert json.loads(first.function.arguments) == {"city": "Rome"}
    assert (second.function.name, second.function.arguments) == ("get_time", "{}")
    assert first.id.startswith("call_")
    assert first.id != second.id


async def test_streamed_calls_come_one_after_the_other(bench: Bench) -> None:
    bench.worker.script = lambda _: calls(("get_weather", '{"city":"Rome"}'), ("get_time", "{}"))
    stream = await create(bench, tools=[WEATHER, TIME], stream=True)
    deltas, reasons = [], []
    async for chunk in stream:
        deltas += chunk.choices[0].delta.tool_calls or []
        reasons += [chunk.choices[0].finish_reason]
    indexes = [delta.index for delta in deltas]
    assert indexes == sorted(indexes)
    heads = [delta for delta in deltas if delta.id]
    assert [(d.index, d.type, d.function.name) for d in heads] == [
        (0, "function", "get_weather"),
        (1, "function", "get_time"),
    ]
    written = ["".join(d.function.arguments or "" for d in deltas if d.index == n) for n in (0, 1)]
    assert written == ['{"city":"Rome"}', "{}"]
    assert reasons[-1] == "tool_calls"


async def test_one_index_for_each_tool_and_only_new_ones_are_asked_for(bench: Bench) -> None:
    bench.worker.script = lambda _: calls(("get_time", "{}"))
    await create(bench, tools=[WEATHER, TIME])
    assert len(bench.compiler.requests) == 2
    envelope = bench.worker.binds[0].envelope
    assert {part.index_id for part in envelope.parts} == {f"{n:064x}" for n in (1, 2)}
    await create(bench, tools=[TIME, WEATHER])
    assert len(bench.compiler.requests) == 2
    changed = {**WEATHER, "function": {**WEATHER["function"], "parameters": {"type": "object"}}}  # type: ignore[dict-item]
    await create(bench, tools=[TIME, changed])
    assert len(bench.compiler.requests) == 3


async def test_indexes_are_asked_for_before_a_prompt_is_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.worker.script = lambda _: calls(("get_time", "{}"))
    writers = bench.gateway.means.writers
    write = writers.write

    async def write_late(*arguments: Any) -> list[int]:  # noqa: ANN401 - as they are passed on
        await until(lambda: len(bench.compiler.requests) == 1)
        return await write(*arguments)

    monkeypatch.setattr(writers, "write", write_late)
    completion = await create(bench, tools=[TIME])
    assert completion.choices[0].finish_reason == "tool_calls"


async def test_a_prompt_that_is_too_long_is_refused_while_its_indexes_are_awaited(
    bench: Bench,
) -> None:
    bench.compiler.gate.clear()
    messages = [{"role": "user", "content": "word " * 1000}]
    response = await bench.post({"model": ALIAS, "messages": messages, "tools": [TIME]})
    assert response.json()["error"]["code"] == "context_length_exceeded"
    assert not bench.scheduler.acquired


async def test_a_worker_is_sent_an_index_once_for_all_choices(
    bench: Bench,
) -> None:
    bench.compiler.grammar, bench.compiler.inline = b"its grammar", b"its bytes"
    bench.worker.script = lambda _: calls(("get_time", "{}"))
    await create(bench, tools=[TIME], n=3)
    parts = [bind.envelope.parts[0] for bind in bench.worker.binds]
    assert [part.canonical_grammar for part in parts] == [b"its grammar", b"", b""]
    assert [part.inline_index for part in parts] == [b"its bytes", b"", b""]
    assert len({bind.envelope.parts[0].index_id for bind in bench.worker.binds}) == 1
    assert len({bind.sequence_id for bind in bench.worker.binds}) == 3


async def test_an_answer_that_has_no_room_is_refused_by_who_waits_for_a_place(bench: Bench) -> None:
    bench.compiler.shortest = 50
    bench.compiler.gate.clear()
    bench.scheduler.gate.clear()
    few = {"tool_choice": "required", "max_completion_tokens": 3}
    asking = asyncio.create_task(bench.post(bench.chat(tools=[WEATHER], **few)))
    await until(lambda: len(bench.scheduler.acquired) == 1)
    bench.compiler.gate.set()
    response = await asking
    assert response.json()["error"]["code"] == "integer_below_min_value"
    assert not bench.worker.opens


async def test_sequences_are_opened_bound_where_it_is_known_what_to(bench: Bench) -> None:
    bench.worker.script = lambda _: calls(("get_time", "{}"))
    for _ in range(2):
        await create(bench, tools=[TIME], n=2)
    assert all(opened.HasField("bind") for opened in bench.worker.opens[2:])
    assert {opened.bind.sequence_id for opened in bench.worker.opens[2:]} == {
        opened.sequence_id for opened in bench.worker.opens[2:]
    }
    assert len(bench.worker.binds) == 4  # once for each sequence


async def test_the_bytes_of_an_index_are_passed_on_by_who_has_just_got_them(bench: Bench) -> None:
    bench.compiler.inline = b"its bytes"
    bench.worker.script = lambda _: calls(("get_time", "{}"))
    for _ in range(2):
        await create(bench, tools=[TIME])
    brought = [bind.envelope.parts[0].inline_index for bind in bench.worker.binds]
    assert brought == [b"its bytes", b""]


async def test_tools_are_bounded_together(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, max_schema_bytes=len(json.dumps(PARAMETERS)) + 20) as bench:
        bench.worker.script = lambda _: calls(("get_weather", '{"city":"Rome"}'))
        assert await create(bench, tools=[WEATHER])
        more = {**WEATHER, "function": {**WEATHER["function"], "name": "more"}}  # type: ignore[dict-item]
        with pytest.raises(openai.BadRequestError) as refused:
            await create(bench, tools=[WEATHER, more])
        assert (refused.value.param, refused.value.code) == ("tools", "schema_too_large")


async def test_calls_of_one_tool_are_checked_one_after_the_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its validator may have to be made for that, and is made once."""
    validators, checked = bench.gateway.means.validators, []
    check = validators.check

    async def spy(schema: SchemaText, answer: bytes | None, project_id: str) -> Finding:
        checked.append(schema)
        return await check(schema, answer, project_id)

    monkeypatch.setattr(validators, "check", spy)
    parameters = {"type": "object", "properties": {"of": {"type": "integer"}}}
    other = {"type": "function", "function": {"name": "other", "parameters": parameters}}
    one, two = ("get_weather", '{"city":"Rome"}'), ("other", '{"of":1}')
    bench.worker.script = lambda _: calls(one, two, one, two)
    await create(bench, tools=[WEATHER, other])
    of_calls = checked[-4:]
    assert of_calls[0] == of_calls[1]
    assert of_calls[2] == of_calls[3] != of_calls[0]


@pytest.mark.parametrize(("seconds", "status"), [(60.0, 200), (0.00001, 500)])
async def test_checks_of_all_calls_of_an_answer_are_bounded_together(
    mesh_config: MeshConfig, seconds: float, status: int
) -> None:
    """A check that has begun is finished: the second is one too many, however quick the first."""
    doubled = {
        f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level - 1}"}] * 2} for level in range(1, 17)
    }
    parameters = {
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/d16"}},
        "$defs": {"d0": {"minimum": 0}, **doubled},
    }
    heavy = {"type": "function", "function": {"name": "heavy", "parameters": parameters}}
    patient = {"validation_wall_seconds": 60.0, "validation_answer_seconds": seconds}
    async with open_bench(mesh_config, **patient) as bench:
        bench.worker.script = lambda _: calls(*[("heavy", '{"n":5}')] * 20)
        response = await bench.post(bench.chat(tools=[heavy]))
    assert response.status_code == status


async def test_validators_of_a_tool_set_are_bounded_together(mesh_config: MeshConfig) -> None:
    letters = {"type": "string", "pattern": r"^\p{L}{1,600}$"}
    parameters = {"type": "object", "properties": {"text": letters}}
    heavy = {"type": "function", "function": {"name": "heavy", "parameters": parameters}}
    patient = {"validation_wall_seconds": 60.0, "validation_request_seconds": 0.01}
    async with open_bench(mesh_config, **patient) as bench:
        response = await bench.post(bench.chat(tools=[heavy]))
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "limit_exceeded"
    assert "validation_request_seconds" in error["message"]


def pieces(text: str) -> list[Frame]:
    """Return frames of a few characters each, and the end of the answer."""
    parts = [text[at : at + 3] for at in range(0, len(text), 3)]
    return [*(Frame(text=part, tokens=1) for part in parts), Frame(tokens=1, finish=FINISH_STOP)]


OF_WEATHER = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("written", "stop", "expected"),
    [
        ("So it rains. END of it.", "END", ("So it rains. ", 0)),
        ("So it rains. EN", "END", ("So it rains. EN", 0)),
        (f"So: END {OF_WEATHER}", "END", ("So: ", 0)),
        (f"So: EN{OF_WEATHER}", "END", ("So: EN", 1)),
        (OF_WEATHER, ["Oslo", "<tool_call>", "name"], ("", 1)),
    ],
)
async def test_stop_ends_content_and_never_a_call(
    mesh_config: MeshConfig,
    written: str,
    stop: str | list[str],
    expected: tuple[str, int],
    *,
    stream: bool,
) -> None:
    content, count = expected
    async with open_bench(mesh_config, model={"family": "hermes"}) as bench:
        bench.worker.script = lambda _: pieces(written)
        answer = await create(bench, tools=[WEATHER], stop=stop, stream=stream)
        choices = [chunk.choices[0] async for chunk in answer] if stream else answer.choices
        said = [part.delta if stream else part.message for part in choices]
        calls = [call for one in said for call in one.tool_calls or []]
        assert "".join(one.content or "" for one in said) == content
        assert sum(bool(call.id) for call in calls) == count
        assert choices[-1].finish_reason == ("tool_calls" if count else "stop")
        assert not bench.worker.opens[0].sampling.stop


async def test_an_answer_that_stopped_is_charged_up_to_there(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, model={"family": "hermes"}) as bench:
        endless = [Frame(text="ab", tokens=1), Frame(text=" END", tokens=1)]
        bench.worker.script = lambda _: [*endless, *[Frame(text="x", tokens=1)] * 500]
        completion = await create(bench, tools=[WEATHER], stop="END", n=2)
        assert [choice.message.content for choice in completion.choices] == ["ab "] * 2
        assert completion.usage.completion_tokens == 4
        _, settled = (await bench.settled())[0]
        assert settled.counts.completion_tokens == 4
        await until(lambda: len(bench.worker.aborted) == 2)


async def test_a_worker_looks_for_stop_where_all_of_an_answer_is_content(bench: Bench) -> None:
    bench.worker.script = lambda _: pieces("no x is left to be found")
    answer = await create(bench, stop=["x"])
    assert bench.worker.opens[0].sampling.stop == ["x"]
    assert answer.choices[0].message.content == "no x is left to be found", "nor does anybody else"


async def test_custom_tools_take_text_or_a_grammar(bench: Bench) -> None:
    bench.worker.script = lambda _: calls(("sql", "SELECT 1"), ("note", "a {\nb"))
    completion = await create(bench, tools=[SQL, NOTE])
    first, second = completion.choices[0].message.tool_calls
    assert (first.type, first.custom.name, first.custom.input) == ("custom", "sql", "SELECT 1")
    assert (second.custom.name, second.custom.input) == ("note", "a {\nb")
    assert [r.input.WhichOneof("kind") for r in bench.compiler.requests] == ["lark"]


async def test_where_calls_are_json_a_grammar_holds_for_what_the_string_says(
    mesh_config: MeshConfig,
) -> None:
    written = '<tool_call>\n{"name": "sql", "arguments": {"input": "a \\"x\\"\\n"}}\n</tool_call>'
    async with open_bench(mesh_config, model={"family": "hermes"}) as bench:
        bench.worker.script = lambda _: pieces(written)
        completion = await create(bench, tools=[SQL], tool_choice="required")
        (call,) = completion.choices[0].message.tool_calls
        assert (call.custom.name, call.custom.input) == ("sql", 'a "x"\n')
        (asked,) = bench.compiler.requests
        assert (asked.input.lark, asked.options.in_json_string) == ('start: "x"', True)


async def test_tools_are_in_the_prompt_even_where_none_may_be_called(bench: Bench) -> None:
    with_tools = (await create(bench, tools=[WEATHER, TIME], tool_choice="none")).usage
    without = (await create(bench)).usage
    assert with_tools.prompt_tokens > without.prompt_tokens + 10
    assert not bench.worker.opens[0].constrained


@pytest.mark.parametrize(
    ("choice", "pieces"),
    [
        ("required", {"get_weather", "get_time"}),
        ({"type": "function", "function": {"name": "get_time"}}, {"get_time"}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "get_weather"}}],
                },
            },
            {"get_weather"},
        ),
    ],
)
async def test_a_choice_of_tools_leaves_no_other_way(
    bench: Bench, choice: object, pieces: set[str]
) -> None:
    written = {"get_weather": '{"city":""}', "get_time": "{}"}
    bench.worker.script = lambda _: calls((min(pieces), written[min(pieces)]))
    await create(bench, tools=[WEATHER, TIME], tool_choice=choice)
    shape = str(bench.worker.binds[0].envelope.shape)
    assert {name for name in ("get_weather", "get_time") if name in shape} == pieces
    assert "free_text" not in shape


async def test_what_opens_a_call_has_no_log_probability_as_content(bench: Bench) -> None:
    frames = calls(("get_time", "{}"))
    for frame in frames:
        frame.logprobs.extend([TokenLogprob(token_id=99, token=b"get", logprob=-1.0)])
    bench.worker.script = lambda _: frames
    completion = await create(bench, tools=[TIME], logprobs=True)
    assert completion.choices[0].logprobs.content == []


async def test_a_call_cut_by_length_keeps_what_it_has(bench: Bench) -> None:
    frames = calls(("get_weather", '{"city":"Rome"}'))[:2]
    bench.worker.script = lambda _: [*frames, Frame(tokens=1, finish=FINISH_LENGTH)]
    choice = (await create(bench, tools=[WEATHER])).choices[0]
    assert choice.finish_reason == "length"
    assert choice.message.tool_calls[0].function.arguments == '{"'


async def test_a_refusal_stays_a_refusal_under_tools(bench: Bench) -> None:
    refusal = Frame(text="No.", channel=CHANNEL_REFUSAL, tokens=3, finish=FINISH_STOP)
    bench.worker.script = lambda _: [refusal]
    choice = (await create(bench, tools=[WEATHER], tool_choice="required")).choices[0]
    assert (choice.message.refusal, choice.message.content) == ("No.", None)
    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_without_a_word_is_one_too(bench: Bench, *, stream: bool) -> None:
    bench.worker.script = lambda _: [
        Frame(channel=CHANNEL_REFUSAL, tokens=2, finish=FINISH_STOP),
    ]
    response = await bench.post(bench.chat(tools=[WEATHER], response_format=FORM, stream=stream))
    assert response.status_code == 200
    assert '"error"' not in response.text
    if not stream:
        message = response.json()["choices"][0]["message"]
        assert (message["content"], message["refusal"]) == (None, "")


async def test_arguments_that_do_not_fit_are_a_fault_of_ours(bench: Bench) -> None:
    bench.worker.script = lambda _: calls(("get_weather", '{"city":5}'))
    with pytest.raises(openai.InternalServerError) as caught:
        await create(bench, tools=[WEATHER])
    assert caught.value.code == "invalid_answer"


async def test_a_refused_schema_names_its_function(bench: Bench) -> None:
    bench.compiler.refusal = SchemaRefusedError("it is odd", metadata={"context": "('x',)"})
    with pytest.raises(openai.BadRequestError) as caught:
        await create(bench, tools=[TIME, WEATHER])
    assert caught.value.code == "invalid_function_parameters"
    assert caught.value.param == "tools[0].function.parameters"
    assert "schema for function 'get_" in str(caught.value)


async def test_of_several_refused_schemas_the_one_listed_first_is_named(bench: Bench) -> None:
    bench.compiler.refusal = SchemaRefusedError("it is odd", metadata={"context": "('x',)"})
    for tools in ([TIME, WEATHER], [WEATHER, TIME], [WEATHER, TIME]):  # at last as it is remembered
        with pytest.raises(openai.BadRequestError) as caught:
            await create(bench, tools=tools)
        assert caught.value.param == "tools[0].function.parameters"
        assert f"schema for function '{tools[0]['function']['name']}'" in str(caught.value)


async def test_a_conversation_with_calls_and_their_results_is_rendered(bench: Bench) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    custom = {"id": "c2", "type": "custom", "custom": {"name": "note", "input": "hi"}}
    messages = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "tool_calls": [call, custom]},
        {"role": "tool", "tool_call_id": "c2", "content": "ok"},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ]
    response = await bench.post({"model": ALIAS, "messages": messages})
    assert response.status_code == 200, response.text


ANSWERED = {"role": "tool", "tool_call_id": "c1", "content": "x"}
ASKED = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}


# One gateway for the whole table.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with open_bench(make_mesh_config(tmp_path_factory.mktemp("mesh"))) as opened:
        yield opened


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"tools": []}, "tools", "empty_array"),
        ({"tools": {}}, "tools", "invalid_type"),
        ({"tools": [TIME] * 129}, "tools", "array_above_max_length"),
        ({"tools": [{"type": "search"}]}, "tools[0].type", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        (
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
            "tools[0].function.name",
            "invalid_value",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "x": 1}}]},
            "tools[0].function.x",
            "unknown_parameter",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": []}}]},
            "tools[0].function.parameters",
            "invalid_type",
        ),
        (
            {
                "tools": [
                    {"type": "function", "function": {"name": "a", "parameters": {"type": "array"}}}
                ]
            },
            "tools[0].function.parameters",
            "invalid_function_parameters",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": REFERRING}}]},
            "tools[0].function.parameters",
            "invalid_function_parameters",
        ),
        ({"tools": [TIME, TIME]}, "tools[1].function.name", "invalid_value"),
        (
            {"tools": [{"type": "custom", "custom": {"name": "a", "format": {"type": "xml"}}}]},
            "tools[0].custom.format.type",
            "invalid_value",
        ),
        ({"tool_choice": "auto"}, "tool_choice", "invalid_value"),
        ({"parallel_tool_calls": "none"}, "parallel_tool_calls", "invalid_value"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", "invalid_value"),
        ({"tools": [TIME], "tool_choice": "any"}, "tool_choice", "invalid_value"),
        ({"tools": [TIME], "tool_choice": {"type": "x"}}, "tool_choice.type", "invalid_value"),
        (
            {
                "tools": [TIME],
                "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
            },
            "tool_choice",
            "invalid_value",
        ),
        ({"tools": [NOTE], "stream": True}, "stream", "unsupported_parameter"),
        (
            {"tools": [TIME], "tool_choice": "required", "max_completion_tokens": 1},
            "max_completion_tokens",
            "integer_below_min_value",
        ),
        ({"messages": [ANSWERED]}, "messages[0].role", "invalid_value"),
        ({"messages": [ASKED]}, "messages[0].tool_calls", "invalid_value"),
        (
            {"messages": [ASKED, {"role": "user", "content": "x"}, ANSWERED]},
            "messages[0].tool_calls",
            "invalid_value",
        ),
    ],
)
async def test_what_is_wrong_with_tools_is_named(
    shared: Bench, change: dict[str, Any], param: str, code: str
) -> None:
    response = await shared.post({**shared.chat(), **change})
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, param, code)


async def test_a_model_without_tools_refuses_them(mesh_config: MeshConfig) -> None:
    async with open_bench(mesh_config, model={"tools": False}) as bench:
        response = await bench.post({**bench.chat(), "tools": [TIME]})
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("tools", "unsupported_value")
