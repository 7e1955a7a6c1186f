"""Bodies are read without losing anything."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import json_body
from gateway.config import GatewayConfig
from gateway.errors import RequestError
from gateway.json_body import read_object, text_at
from gateway.request import read_chat_request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(), JSON, max_size=4), indent=st.sampled_from([None, 1, 4]))
def test_an_object_is_read_as_it_was_written(value: dict[str, object], indent: int | None) -> None:
    body = json.dumps(value, indent=indent).encode()
    assert read_object(body)[0] == value


@given(before=JSON, inner=JSON, after=JSON, indent=st.sampled_from([None, 2]))
def test_the_text_of_a_part_is_exactly_its_own(
    before: object, inner: object, after: object, indent: int | None
) -> None:
    document = {"x": before, "a": {"b": before, 'c"': inner, "d": after}, "y": after}
    body = json.dumps(document, indent=indent)
    _, source = read_object(body.encode())
    found = source.text_at(["a", 'c"'])
    assert json.loads(found) == inner
    assert found in body
    assert json.loads(source.text_at(["y"])) == after


@given(items=st.lists(JSON, max_size=4), indent=st.sampled_from([None, 2]))
def test_the_texts_of_items_are_exactly_their_own(items: list[object], indent: int | None) -> None:
    body = json.dumps({"x": 1, "a": items, "y": 2}, indent=indent)
    value, source = read_object(body.encode())
    texts = source.items_of("a")
    assert value["a"] == items == [json.loads(text) for text in texts]
    assert all(text in body for text in texts)


def test_what_stands_beside_a_schema_is_read_once_and_not_again_for_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    decode = json_body._DECODER.raw_decode

    def spy(text: str, start: int = 0) -> tuple[object, int]:
        value, end = decode(text, start)
        read.append(text[start:end])
        return value, end

    monkeypatch.setattr(json_body._DECODER, "raw_decode", spy)
    parameters = {"type": "object"}
    tools = [
        {"type": "function", "function": {"name": name, "parameters": parameters}} for name in "fg"
    ]
    schema = {"name": "n", "schema": {"type": "object"}}
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "words"}] * 3,
        "tools": tools,
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    read_chat_request(json.dumps(body).encode(), GatewayConfig())
    assert sum("words" in text for text in read) == 3
    assert sum("parameters" in text for text in read) == 2


def test_an_escaped_key_is_found_too() -> None:
    assert text_at('{"\\u0061" : [1 , 2] }', ["a"]) == "[1 , 2]"


@pytest.mark.parametrize("body", [b'{"a":1,"a":1}', b'{"x":[{"b":{"a":1,"a":2}}]}'])
def test_a_repeated_key_is_refused_at_any_depth(body: bytes) -> None:
    with pytest.raises(RequestError, match="Duplicate key"):
        read_object(body)


def test_nesting_is_refused_wherever_the_stack_ends() -> None:
    """A body that could just be read is read again, further up the stack, for a tool's own text."""
    for depth in range(900, 1000):
        deep = '{"a":' * depth + "1" + "}" * depth
        function = f'{{"name":"f","parameters":{{"type":"object","x":{deep}}}}}'
        tool = f'{{"type":"function","function":{function}}}'
        body = f'{{"model":"m","messages":[{{"role":"user","content":"x"}}],"tools":[{tool}]}}'
        with contextlib.suppress(RequestError):
            read_chat_request(body.encode(), GatewayConfig())


def test_large_integers_stay_exact() -> None:
    assert read_object(b'{"a":123456789012345678901234567890}')[0]["a"] == (
        123456789012345678901234567890
    )


@pytest.mark.parametrize("member", ['"stop":[%s]', '"metadata":{"a":[%s]}', '"tools":[%s]'])
@pytest.mark.parametrize("item", ["[]", "{}", "1", '"a"', '{"a":"b"}'])
def test_a_body_of_too_many_parts_is_refused_before_anything_is_made_of_it(
    monkeypatch: pytest.MonkeyPatch, member: str, item: str
) -> None:
    def fail(_: bytes) -> object:
        raise AssertionError("it was read")

    monkeypatch.setattr("orjson.loads", fail)
    body = ("{" + member % ",".join([item] * 200_001) + "}").encode()
    with pytest.raises(RequestError, match="more than 200000 commas") as refused:
        read_object(body)
    assert refused.value.metadata["code"] == "limit_exceeded"


@pytest.mark.parametrize("text", ["," * 300_000, '[,\\"' * 100_000, "\\\\,[{" * 100_000])
def test_what_stands_in_strings_does_not_count(text: str) -> None:
    value, _ = read_object(('{"a":"' + text + '","b":[1]}').encode())
    assert value["b"] == [1]


def test_a_long_array_is_read_at_once_and_not_item_by_item(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    decode = json_body._DECODER.raw_decode

    def spy(text: str, start: int = 0) -> tuple[object, int]:
        reads.append(start)
        value, end = decode(text, start)
        return value, end

    monkeypatch.setattr(json_body._DECODER, "raw_decode", spy)
    assert read_object(b'{"a":[' + b"[]," * 50_000 + b"[]]}")[0] == {"a": [[]] * 50_001}
    assert len(reads) < 1_000


def test_members_without_number_are_read_and_repeated_ones_found() -> None:
    members = ",".join(f'"{n}":{n}' for n in range(10_000))
    assert read_object(("{" + members + "}").encode())[0]["9999"] == 9_999
    with pytest.raises(RequestError, match="'7'"):
        read_object(("{" + members + ',"7":1}').encode())
