"""Patterns mean what a strict validator takes them to mean, matched and written alike."""

import json

import jsonschema_rs
import pytest
from formwork_engine import Index, JsonSchema, Vocabulary, compile_index
from formwork_engine.schema.characters import quote
from formwork_engine.schema.pattern_spelling import spell_pattern
from formwork_engine.schema.patterns import PatternError, matches, read_pattern
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
]


@pytest.mark.parametrize("text", PATTERNS)
def test_matching_agrees_with_a_validator(text: str) -> None:
    pattern = read_pattern(text)
    validator = jsonschema_rs.validator_for({"pattern": text})
    assert {t: matches(pattern, t) for t in TEXTS} == {t: validator.is_valid(t) for t in TEXTS}


@pytest.mark.parametrize("text", PATTERNS)
def test_writing_agrees_with_matching(vocabulary: Vocabulary, text: str) -> None:
    index = compile_index(JsonSchema(json.dumps({"type": "string", "pattern": text})), vocabulary)
    pattern = read_pattern(text)
    assert {t: accepts(index, quote(t)) for t in TEXTS} == {t: matches(pattern, t) for t in TEXTS}


def test_a_dot_matches_no_line_separator() -> None:
    assert not any(matches(read_pattern("^.$"), t) for t in ("\n", "\r", "\u2028", "\u2029"))


def test_a_surrogate_pair_is_one_character() -> None:
    assert matches(read_pattern(r"^\ud83d\ude00$"), "😀")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(?=a)b", "look-around"),
        ("a(?!b)", "look-around"),
        ("(?<=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "back-reference"),
        (r"\bfoo", "word boundary"),
        ("(?i)a", "inline flags"),
        (r"\p{Script=Greek}", "Unicode property"),
        (r"[^\p{L}]", "negates"),
        (r"\ud83d", "no character"),
        ("(", "unmatched"),
        (")", "unmatched"),
        ("*a", "nothing to repeat"),
        ("a**", "repetition"),
        ("a{3,2}", "out of order"),
        ("[b-a]", "out of order"),
        (r"[\d-a]", "class"),
        ("[a", "ends too early"),
        ("a\\", "ends too early"),
        (r"\x1", "incomplete"),
        (r"\y", "unknown escape"),
        ("[]", "empty class"),
        ("^*", "anchor"),
        ("a" * 30_000, "characters"),
        ("(" * 300 + ")" * 300, "deep"),
        ("(a{1000}){1000}", "size"),
        ("a{200000}", "times"),
    ],
)
def test_what_is_not_enforced_says_why(text: str, reason: str) -> None:
    with pytest.raises(PatternError, match=reason):
        read_pattern(text)


@pytest.mark.parametrize("text", ["a^", "(a^)+b", "$a"])
def test_an_anchor_out_of_place_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        spell_pattern(read_pattern(text))


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
        ('"\x7f"', False),
        (r'"\u007f"', True),
        ('"\u2028"', True),
    ],
)
def test_a_string_has_one_spelling(strings: Index, spelling: str, *, is_accepted: bool) -> None:
    assert accepts(strings, spelling) is is_accepted


@pytest.fixture(scope="module")
def strings(vocabulary: Vocabulary) -> Index:
    return compile_index(JsonSchema('{"type":"string"}'), vocabulary)
