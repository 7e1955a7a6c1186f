"""Patterns mean what a validator takes them to mean, and a string has one spelling."""

import json

import jsonschema_rs
import pytest
from formwork_engine import EngineError, Index, JsonSchema, Vocabulary, compile_index
from formwork_engine.testing import accepts

TEXTS = [
    *("", "a", "b", "x", "é", "\u0663", "1", " ", "\xa0", "\n", "foo", "A", "/x", "-", "xx", "😀"),
    *("ab", "ba", "\ufeff", '"', "\\", "\x7f", "\x01", "aXb", ",x,", "x,", "p{L}", "a\n", "]"),
]
PATTERNS = [
    *("^a$", "a", "^[^x]$", r"\d", r"^\w+$", r"^\s$", r"\p{L}", "^a|b$", r"[\d]", r"\u0041"),
    *(r"^\/x$", "^$", "x{2,3}?", "^😀$", "(^|,)x($|,)", "^(a|b$)", r"\\", r'["\\]', "[]a-]"[1:]),
    *(r"^[\x00-\x1f]$", r"\S", r"[^\w]", "(?:a|)b", "^(?:^a)$", "$^", "(a?)^b", r"\cA", "(?<n>a)b"),
    *("a{0}", "(a|b){2}", "^(a*)*$", r"\u{1F600}", "[a-]", "^.{2}$", "(x|^)(a|$)"),
    *("(?<=a)b", "(?<!a)b", "^(?=a)ab$", "^(?!ab)a", r"\bfoo\b", r"\Bb"),
]


def of_pattern(vocabulary: Vocabulary, pattern: str) -> Index:
    schema = {"type": "string", "pattern": pattern}
    return compile_index(JsonSchema(json.dumps(schema)), vocabulary)


def quoted(text: str) -> str:
    """Return the one spelling of a string."""
    return json.dumps(text, ensure_ascii=False)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_is_written_under_a_pattern_is_what_a_validator_takes(
    vocabulary: Vocabulary, pattern: str
) -> None:
    index = of_pattern(vocabulary, pattern)
    validator = jsonschema_rs.validator_for({"pattern": pattern})
    assert {t: accepts(index, quoted(t)) for t in TEXTS} == {
        t: validator.is_valid(t) for t in TEXTS
    }


def test_a_dot_matches_no_line_separator(vocabulary: Vocabulary) -> None:
    index = of_pattern(vocabulary, "^.$")
    assert accepts(index, quoted("x"))
    assert not any(accepts(index, quoted(text)) for text in ("\n", "\r", "\u2028", "\u2029"))


def test_a_surrogate_pair_is_one_character(vocabulary: Vocabulary) -> None:
    assert accepts(of_pattern(vocabulary, r"^\ud83d\ude00$"), quoted("😀"))


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"(a)\1", "(", ")", "*a", "a**", "a{3,2}", "[b-a]", "[a", "a\\"),
        "(" * 300 + ")" * 300,
    ],
)
def test_what_is_not_enforced_is_refused(vocabulary: Vocabulary, pattern: str) -> None:
    with pytest.raises(EngineError):
        of_pattern(vocabulary, pattern)


@pytest.fixture(scope="module")
def strings(vocabulary: Vocabulary) -> Index:
    return compile_index(JsonSchema('{"type":"string"}'), vocabulary)


@pytest.mark.parametrize(
    ("spelling", "is_accepted"),
    [
        (r'"\n"', True),
        (r'"\u000a"', False),
        (r'"\u0001"', True),
        (r'"\u001F"', False),
        (r'"\u001f"', True),
        (r'"\u0041"', False),
        (r'"\/"', False),
        (r'"\ud800"', False),
        ('"\x7f"', True),
        (r'"\u007f"', False),
        ('"\u2028"', True),
    ],
)
def test_a_string_has_one_spelling(strings: Index, spelling: str, *, is_accepted: bool) -> None:
    assert accepts(strings, spelling) is is_accepted
