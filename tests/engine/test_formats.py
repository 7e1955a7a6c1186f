"""Every string that is written under a format passes a validator that checks formats."""

import json
import random

import jsonschema_rs
import pytest
from formwork_engine import Budget, JsonSchema, Vocabulary, compile_index
from formwork_engine.testing import accepts, walk

FORMATS = (
    *("date", "time", "date-time", "duration", "email", "idn-email", "hostname", "idn-hostname"),
    *("ipv4", "ipv6", "uuid", "uri", "uri-reference", "iri", "iri-reference", "uri-template"),
    *("json-pointer", "relative-json-pointer", "regex"),
)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_under_a_format_has_it(vocabulary: Vocabulary, name: str) -> None:
    schema = {"type": "string", "format": name}
    index = compile_index(JsonSchema(json.dumps(schema)), vocabulary)
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    rng, written = random.Random(name), set()
    for _ in range(40):
        walked = walk(index, rng, limit=400)
        if walked.is_whole:
            written.add(json.loads(walked.text))
    assert len(written) > 5
    assert [text for text in written if not validator.is_valid(text)] == []


@pytest.mark.parametrize(
    ("name", "text", "is_accepted"),
    [
        ("date", "2024-02-29", True),
        ("date", "2023-02-29", False),
        ("date", "1900-02-29", False),
        ("date", "2000-02-29", True),
        ("date", "2024-04-31", False),
        ("time", "23:59:59Z", True),
        ("time", "24:00:00Z", False),
        ("date-time", "2024-02-29T12:00:00.5+02:00", True),
        ("date-time", "2024-02-29 12:00:00Z", False),
        ("duration", "P1Y2M3DT4H5M6S", True),
        ("duration", "P1W1D", False),
        ("email", "jo.do+x@example.org", True),
        ("email", "jo..do@example.org", False),
        ("email", "a@b@c", False),
        ("hostname", "a-b.example", True),
        ("hostname", "-a.example", False),
        ("hostname", "a" * 64, False),
        ("ipv4", "192.168.0.255", True),
        ("ipv4", "192.168.0.256", False),
        ("ipv6", "2001:db8::1", True),
        ("ipv6", "1::2::3", False),
        ("uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d16380", True),
        ("uuid", "2eb8aa08aa9811eab4aa73b441d16380", False),
        ("uri", "https://example.org/a?b=c#d", True),
        ("uri", "no scheme", False),
        ("json-pointer", "/a~0b/~1", True),
        ("json-pointer", "/a~2", False),
    ],
)
def test_known_examples(vocabulary: Vocabulary, name: str, text: str, *, is_accepted: bool) -> None:
    schema = JsonSchema(json.dumps({"type": "string", "format": name}))
    assert accepts(compile_index(schema, vocabulary), json.dumps(text)) is is_accepted


def test_an_unknown_format_is_an_annotation(vocabulary: Vocabulary) -> None:
    schema = JsonSchema('{"type":"string","format":"colour"}')
    assert accepts(compile_index(schema, vocabulary), '"anything"')


def test_a_format_that_is_named_many_times_costs_little_more_than_once(
    vocabulary: Vocabulary,
) -> None:
    properties = {f"p{number}": {"format": "uri-reference"} for number in range(2_000)}
    text = JsonSchema(json.dumps({"properties": properties}))
    index = compile_index(text, vocabulary, budget=Budget(compile_fuel=20_000))
    assert accepts(index, '{"p0":"a/b","p1999":"#"}')
    assert not accepts(index, '{"p1999":"a b"}')
