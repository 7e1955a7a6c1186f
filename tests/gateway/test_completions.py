"""Chat completions through the official client, in front of doubles of the mesh."""

import asyncio
import json

import openai
import pytest
from formwork.compiler.v1.compiler_pb2 import DIALECT_EXTENDED, DIALECT_STRICT
from formwork.sampler.v1.sampler_pb2 import (
    CHANNEL_REFUSAL,
    FINISH_LENGTH,
    FINISH_STOP,
    Frame,
    Timings,
    TokenLogprob,
    TopLogprob,
)
from formwork.scheduler.v1.scheduler_pb2 import OUTCOME_COMPLETED, OUTCOME_FAILED
from pydantic import BaseModel

from gateway.grammars import SchemaText
from gateway.testing import fail, say
from gateway.validation import AnswerValidator
from mesh.errors import CompileBudgetError, QueueFullError, SchemaRefusedError

from .conftest import ALIAS, SNAPSHOT, Bench, until

END = 2
"""The end token of the built-in model."""
MESSAGES = [{"role": "user", "content": "Ann is 30. Give JSON."}]


class Person(BaseModel):
    name: str
    age: int


ANSWER = [say('{"name":'), say('"Ann",'), say('"age":30}', tokens=3, finish=FINISH_STOP)]


async def test_create_answers_and_settles_once(bench: Bench) -> None:
    bench.worker.script = lambda _: [say("Hel"), say("lo", tokens=2, finish=FINISH_STOP)]
    answer = await bench.client.chat.completions.create(model=ALIAS, messages=MESSAGES)
    assert answer.choices[0].message.content == "Hello"
    assert answer.choices[0].message.refusal is None
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == SNAPSHOT
    assert answer.service_tier == "default"
    assert answer.system_fingerprint is not None
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 3
    [(lease, settlement)] = await bench.settled()
    assert lease.attempt == 1
    assert settlement.outcome == OUTCOME_COMPLETED
    assert settlement.counts.completion_tokens == 3
    assert settlement.counts.prompt_tokens == len(bench.worker.opens[0].prompt_tokens)


async def test_parse_gives_the_pydantic_model(bench: Bench) -> None:
    bench.worker.script = lambda _: ANSWER
    answer = await bench.client.chat.completions.parse(
        model=ALIAS, messages=MESSAGES, response_format=Person
    )
    assert answer.choices[0].message.parsed == Person(name="Ann", age=30)
    [asked] = bench.compiler.requests
    assert asked.dialect == DIALECT_STRICT
    assert asked.tokenizer_fingerprint == "f" * 64
    assert bench.worker.opens[0].constrained
    assert bench.worker.binds[0].index_id == f"{1:064x}"


async def test_stream_helper_sees_parsed_content_and_usage(bench: Bench) -> None:
    bench.worker.script = lambda _: ANSWER
    async with bench.client.chat.completions.stream(
        model=ALIAS,
        messages=MESSAGES,
        response_format=Person,
        stream_options={"include_usage": True},
    ) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()
    assert "content.delta" in kinds
    assert kinds[-1] != "error"
    assert final.choices[0].message.parsed == Person(name="Ann", age=30)
    assert final.usage is not None
    assert final.usage.completion_tokens == 5
    assert final.system_fingerprint is not None


async def test_chunks_are_openais(bench: Bench) -> None:
    bench.worker.script = lambda _: ANSWER
    body = bench.chat(stream=True, stream_options={"include_usage": True})
    response = await bench.post(body)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [line for line in response.text.split("\n\n") if line]
    assert events[-1] == "data: [DONE]"
    assert events[-2].startswith(": server-timing queue;dur=")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert all(chunk["system_fingerprint"] for chunk in chunks)
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 5
    assert chunks[-2]["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert "obfuscation" not in chunks[0]


async def test_without_include_usage_there_is_no_usage_member(bench: Bench) -> None:
    response = await bench.post(bench.chat(stream=True))
    assert '"usage"' not in response.text


async def test_obfuscation_pads_events_to_equal_lengths(bench: Bench) -> None:
    bench.worker.script = lambda _: [say("a"), say("four"), say("", finish=FINISH_STOP)]
    body = bench.chat(stream=True, stream_options={"include_obfuscation": True})
    response = await bench.post(body)
    chunks = [json.loads(e[6:]) for e in response.text.split("\n\n") if e.startswith("data: {")]
    sizes = [
        len(c["choices"][0]["delta"]["content"]) + len(c["obfuscation"])
        for c in chunks
        if c["choices"][0]["delta"].get("content")
    ]
    assert sizes == [32, 32]


async def test_choices_share_a_lease_and_appear_in_order(bench: Bench) -> None:
    bench.worker.script = lambda opened: [
        say(f"choice {opened.choice}", tokens=2, finish=FINISH_STOP)
    ]
    whole = await bench.client.chat.completions.create(model=ALIAS, messages=MESSAGES, n=3)
    assert [c.message.content for c in whole.choices] == ["choice 0", "choice 1", "choice 2"]
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 6
    response = await bench.post(bench.chat(stream=True, n=3))
    chunks = [json.loads(e[6:]) for e in response.text.split("\n\n") if e.startswith("data: {")]
    seen: list[int] = []
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice["index"] not in seen:
                seen.append(choice["index"])
    assert seen == [0, 1, 2]
    settlements = await bench.settled(2)
    assert len({lease.lease_id for lease, _ in settlements}) == 2
    assert bench.scheduler.acquired[0].choices == 3
    assert len({o.sampling.seed for o in bench.worker.opens[:3]}) == 1


async def test_refusal_has_its_own_field(bench: Bench) -> None:
    frames = [
        say("I cannot", channel=CHANNEL_REFUSAL),
        say(".", channel=CHANNEL_REFUSAL, finish=FINISH_STOP),
    ]
    bench.worker.script = lambda _: frames
    answer = await bench.client.chat.completions.parse(
        model=ALIAS, messages=MESSAGES, response_format=Person
    )
    assert answer.choices[0].message.refusal == "I cannot."
    assert answer.choices[0].message.content is None
    assert answer.choices[0].message.parsed is None
    assert answer.choices[0].finish_reason == "stop"
    async with bench.client.chat.completions.stream(
        model=ALIAS, messages=MESSAGES, response_format=Person
    ) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.refusal == "I cannot."


async def test_an_answer_cut_by_length_is_not_validated(bench: Bench) -> None:
    bench.worker.script = lambda _: [say('{"name":', finish=FINISH_LENGTH)]
    with pytest.raises(openai.LengthFinishReasonError):
        await bench.client.chat.completions.parse(
            model=ALIAS, messages=MESSAGES, response_format=Person
        )


async def test_an_invalid_answer_is_a_server_fault(bench: Bench) -> None:
    bench.worker.script = lambda _: [say('{"name":1,"age":2}', finish=FINISH_STOP)]
    with pytest.raises(openai.InternalServerError) as caught:
        await bench.client.chat.completions.parse(
            model=ALIAS, messages=MESSAGES, response_format=Person
        )
    assert caught.value.code == "invalid_answer"
    [(_, settlement)] = await bench.settled()
    assert settlement.outcome == OUTCOME_FAILED
    metrics = (await bench.get("/metrics")).text
    assert "formwork_gateway_invalid_answers_total 1.0" in metrics


async def test_an_invalid_streamed_answer_ends_with_an_error_event(bench: Bench) -> None:
    bench.worker.script = lambda _: [say('{"name":1,"age":2}', finish=FINISH_STOP)]
    stream = bench.client.chat.completions.stream(
        model=ALIAS, messages=MESSAGES, response_format=Person
    )
    async with stream as events:
        with pytest.raises(openai.APIError) as caught:
            await events.until_done()
    assert caught.value.code == "invalid_answer"
    assert '"finish_reason":"stop"' not in str(caught.value.body)


async def test_json_mode_asks_for_an_object(bench: Bench) -> None:
    bench.worker.script = lambda _: [say('{"a":1}', finish=FINISH_STOP)]
    answer = await bench.client.chat.completions.create(
        model=ALIAS, messages=MESSAGES, response_format={"type": "json_object"}
    )
    assert answer.choices[0].message.content == '{"a":1}'
    assert bench.compiler.requests[0].input.any_json.object_only
    bench.worker.script = lambda _: [say("[1]", finish=FINISH_STOP)]
    with pytest.raises(openai.InternalServerError):
        await bench.client.chat.completions.create(
            model=ALIAS, messages=MESSAGES, response_format={"type": "json_object"}
        )


async def test_the_schema_goes_to_the_compiler_as_it_was_written(bench: Bench) -> None:
    schema = (
        '{ "type" : "object", "properties": '
        '{"z":{"type":"integer","maximum":123456789012345678901}, "a":{}} }'
    )
    body = (
        b'{"model":"formwork-mini","messages":[{"role":"user","content":"x"}],"response_format":'
        b'{"type":"json_schema","json_schema":{"schema": ' + schema.encode() + b',"name":"n"}}}'
    )
    bench.worker.script = lambda _: [say('{"z":1,"a":2}', finish=FINISH_STOP)]
    response = await bench.post(body)
    assert response.status_code == 200, response.text
    [asked] = bench.compiler.requests
    assert asked.input.json_schema == schema
    assert asked.dialect == DIALECT_EXTENDED


async def test_a_projects_extended_dialect_holds_for_strict_too(bench: Bench) -> None:
    bench.key = bench.store.add(dialect="extended")
    bench.worker.script = lambda _: ANSWER
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    json_schema = {"name": "n", "schema": schema, "strict": True}
    form = {"type": "json_schema", "json_schema": json_schema}
    response = await bench.post(bench.chat(response_format=form))
    assert response.status_code == 200
    assert bench.compiler.requests[0].dialect == DIALECT_EXTENDED


async def test_logprobs_of_content(bench: Bench) -> None:
    top = [
        TopLogprob(token_id=7, token=b"Hi", logprob=-0.5),
        TopLogprob(token_id=END, token=b"", logprob=-0.9),
    ]
    entries = [
        TokenLogprob(token_id=7, token=b"Hi", logprob=-0.5, top=top),
        TokenLogprob(token_id=8, token=b"\xc3", logprob=float("-inf")),
        TokenLogprob(token_id=END, token=b"", logprob=-0.1),
    ]
    frame = Frame(text="Hi", tokens=3, finish=FINISH_STOP, logprobs=entries)
    bench.worker.script = lambda _: [frame]
    answer = await bench.client.chat.completions.create(
        model=ALIAS, messages=MESSAGES, logprobs=True, top_logprobs=1
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert logprobs.refusal is None
    assert [entry.logprob for entry in logprobs.content] == [-0.5, -9999.0]
    assert logprobs.content[1].bytes == [0xC3]
    likeliest = [(top.token, top.bytes) for top in logprobs.content[0].top_logprobs]
    assert likeliest == [("Hi", [0x48, 0x69]), ("<|end|>", None)]
    assert bench.worker.opens[0].sampling.top_logprobs == 1


async def test_sampling_parameters_reach_the_worker(bench: Bench) -> None:
    await bench.client.chat.completions.create(
        model=ALIAS,
        messages=MESSAGES,
        temperature=0.5,
        top_p=0.25,
        seed=-1,
        stop=["a", "b"],
        max_completion_tokens=7,
        presence_penalty=1.5,
        frequency_penalty=-1,
        logit_bias={"5": -100, "6": 2},
        service_tier="priority",
        user="someone",
    )
    sampling = bench.worker.opens[0].sampling
    assert sampling.temperature == 0.5
    assert sampling.top_p == 0.25
    assert sampling.seed == 2**64 - 1
    assert list(sampling.stop) == ["a", "b"]
    assert sampling.max_tokens == 7
    assert sampling.presence_penalty == 1.5
    assert sampling.frequency_penalty == -1
    assert dict(sampling.logit_bias) == {5: -100, 6: 2}
    assert bench.scheduler.acquired[0].max_completion_tokens == 7


async def test_fast_is_served_as_priority(bench: Bench) -> None:
    response = await bench.post(bench.chat(service_tier="fast"))
    assert response.json()["service_tier"] == "priority"


async def test_metadata_comes_back(bench: Bench) -> None:
    response = await bench.post(bench.chat(metadata={"a": "b"}))
    assert response.json()["metadata"] == {"a": "b"}


async def test_the_answer_tells_where_the_time_went(bench: Bench) -> None:
    timings = Timings(prefill=1500, decode=250_000)
    bench.worker.script = lambda _: [Frame(text="x", tokens=1, finish=FINISH_STOP, timings=timings)]
    response = await bench.post(bench.chat())
    timing = response.headers["server-timing"]
    assert timing.startswith("queue;dur=")
    assert timing.endswith("prefill;dur=1.5, decode;dur=250.0")
    assert response.headers["openai-organization"] == "org_test"
    assert int(response.headers["openai-processing-ms"]) >= 0


async def test_a_schema_refusal_is_openais_and_nothing_is_charged(bench: Bench) -> None:
    bench.compiler.refusal = SchemaRefusedError(
        "'additionalProperties' is required to be supplied and to be false.",
        field="/properties/x",
        metadata={"keyword": "additionalProperties", "context": "('properties','x')"},
    )
    with pytest.raises(openai.BadRequestError) as caught:
        await bench.client.chat.completions.parse(
            model=ALIAS, messages=MESSAGES, response_format=Person
        )
    assert caught.value.body == {
        "message": "Invalid schema for response_format 'Person': In context=('properties','x'), "
        "'additionalProperties' is required to be supplied and to be false.",
        "type": "invalid_request_error",
        "param": "response_format",
        "code": "invalid_json_schema",
    }
    for lease, settlement in bench.scheduler.settled:
        assert lease.attempt == 1
        assert settlement.counts.prompt_tokens == 0


async def test_a_refused_schema_is_remembered(bench: Bench) -> None:
    bench.compiler.refusal = CompileBudgetError("Too large.", metadata={"limit": "states"})
    for _ in range(2):
        with pytest.raises(openai.BadRequestError):
            await bench.client.chat.completions.parse(
                model=ALIAS, messages=MESSAGES, response_format=Person
            )
    assert len(bench.compiler.requests) == 1


async def test_an_index_is_remembered(bench: Bench) -> None:
    bench.worker.script = lambda _: ANSWER
    for _ in range(2):
        await bench.client.chat.completions.parse(
            model=ALIAS, messages=MESSAGES, response_format=Person
        )
    assert len(bench.compiler.requests) == 1
    assert len(bench.worker.binds) == 2


async def test_prefill_starts_while_the_schema_compiles(bench: Bench) -> None:
    bench.worker.script = lambda _: ANSWER
    bench.compiler.gate.clear()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(
            bench.client.chat.completions.parse(
                model=ALIAS, messages=MESSAGES, response_format=Person
            )
        )
        await until(lambda: len(bench.worker.opens) == 1)
        assert not bench.worker.binds
        bench.compiler.gate.set()
    assert running.result().choices[0].message.parsed == Person(name="Ann", age=30)


async def test_a_sequence_is_bound_while_its_validator_is_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.worker.script = lambda _: ANSWER
    validators, gate = bench.gateway.means.validators, asyncio.Event()
    make = validators.of

    async def make_late(schema: SchemaText, project_id: str) -> AnswerValidator:
        await gate.wait()
        return await make(schema, project_id)

    monkeypatch.setattr(validators, "of", make_late)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(
            bench.client.chat.completions.parse(
                model=ALIAS, messages=MESSAGES, response_format=Person
            )
        )
        await until(lambda: len(bench.worker.binds) == 1)
        assert not running.done()
        gate.set()
    assert running.result().choices[0].message.parsed == Person(name="Ann", age=30)


async def test_a_schema_that_no_validator_takes_is_refused_and_its_place_given_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.worker.script = lambda _: ANSWER

    async def refuse(schema: SchemaText, project_id: str) -> AnswerValidator:
        del schema, project_id
        await until(lambda: len(bench.worker.binds) == 1)
        raise SchemaRefusedError("No.", metadata={"pointer": "", "keyword": "type"})

    monkeypatch.setattr(bench.gateway.means.validators, "of", refuse)
    with pytest.raises(openai.BadRequestError):
        await bench.client.chat.completions.parse(
            model=ALIAS, messages=MESSAGES, response_format=Person
        )
    await until(lambda: len(bench.scheduler.settled) == 1)
    assert bench.scheduler.settled[0][1].counts.completion_tokens == 0


async def test_max_completion_tokens_below_the_shortest_answer_is_refused(bench: Bench) -> None:
    bench.compiler.shortest = 9
    with pytest.raises(openai.BadRequestError) as caught:
        await bench.client.chat.completions.parse(
            model=ALIAS, messages=MESSAGES, response_format=Person, max_completion_tokens=8
        )
    assert caught.value.param == "max_completion_tokens"
    assert "9 tokens" in caught.value.message


async def test_a_full_queue_is_a_503_with_retry_after(bench: Bench) -> None:
    bench.scheduler.refusal = QueueFullError("Full.", retry_after_seconds=500)
    response = await bench.post(bench.chat())
    assert response.status_code == 503
    assert response.headers["retry-after"] == "120"
    assert response.json()["error"]["code"] == "overloaded"


async def test_a_sequences_own_error_is_the_answer(bench: Bench) -> None:
    bench.worker.script = lambda _: [fail(QueueFullError("Full.", retry_after_seconds=1))]
    response = await bench.post(bench.chat())
    assert response.status_code == 503
    [(_, settlement)] = await bench.settled()
    assert settlement.outcome == OUTCOME_FAILED


async def test_context_overflow_names_both_numbers(bench: Bench) -> None:
    messages = [{"role": "user", "content": "word " * 2000}]
    with pytest.raises(openai.BadRequestError) as caught:
        await bench.client.chat.completions.create(model=ALIAS, messages=messages)
    assert caught.value.code == "context_length_exceeded"
    assert "maximum context length is 512 tokens" in caught.value.message
    assert not bench.scheduler.acquired


async def test_max_tokens_defaults_to_what_the_context_leaves(bench: Bench) -> None:
    await bench.client.chat.completions.create(model=ALIAS, messages=MESSAGES)
    opened = bench.worker.opens[0]
    assert opened.sampling.max_tokens == 512 - len(opened.prompt_tokens)


async def test_projects_have_different_cache_salts(bench: Bench) -> None:
    await bench.post(bench.chat())
    bench.key = bench.store.add()
    await bench.post(bench.chat())
    salts = {opened.cache_salt for opened in bench.worker.opens}
    assert len(salts) == 2


async def test_unknown_model_is_404(bench: Bench) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await bench.client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
