"""Regular expressions and grammars as inputs: the verdicts of `re`, Lark and llguidance."""

import json
import random
import re
from functools import cache

import numpy as np
import pytest
from formwork_engine import (
    Budget,
    Cursor,
    CursorError,
    EngineError,
    GrammarInput,
    Index,
    IndexOptions,
    Lark,
    Regex,
    TooLargeError,
    Vocabulary,
    compile_index,
)
from lark import Lark as Recogniser
from lark.exceptions import LarkError
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

END = 256
BYTES = Vocabulary([*(bytes([byte]) for byte in range(END)), b""], special_ids=[], end_ids=[END])

EXPRESSIONS = {
    r"(ab|a)*[0-9]{2,4}": "ab0123",
    r"[a-c&&[^b]]+|x{2,3}?y": "abcxy",
    r"(?i)ab?c*|[^a-c]": "abCÉé",
    r"a(?=b)[bc]+(?!.*d)e*": "abcde",
    r"(\w+ )*\d\s?": "aé_ 1٣",
    r"(x|yz?)*(?:z{,2})$": "xyz",
}
GRAMMARS = {
    "arithmetic": (
        """?start: sum
        ?sum: product | sum "+" product | sum "-" product
        ?product: atom | product "*" atom
        ?atom: NUMBER | "-" atom | "(" sum ")"
        NUMBER: /[0-9]+(\\.[0-9]+)?/
        %ignore " "
        """,
        "1 + 2 - ( ) . *",
    ),
    "keywords": (
        """start: (stmt ";")+
        stmt: "if" NAME ":" stmt | NAME "=" expr | "do"
        expr: NAME | NAME "." expr | INT
        NAME: /[a-z]+/
        INT: /[0-9]+/
        %ignore " "
        """,
        "if do ; = : a . 1 x",
    ),
    "recursion": (
        """start: a | b
        a: "x" a "y" | "x" a | NAME
        b: "y" b | NAME "!" b | "z"
        NAME: /[xy]z*/
        """,
        "x y z !",
    ),
    "empty": (
        """start: a b c
        a: "a"*
        b: ("b" a)? | a
        c: a "c"? | b b
        """,
        "a b c",
    ),
    "ambiguous": ('start: s\ns: s s | "a" | "b" s "b" | "ab"\n', "a b ab"),
    "numbers": (
        """start: v ("," v)*
        v: INT | FLOAT | INT ".." INT | FLOAT "e"
        INT: /[0-9]+/
        FLOAT: /[0-9]+\\.[0-9]+/
        """,
        "1 2 . , e ..",
    ),
    "texts": (
        """start: (S | W | C)+
        S: /"[^"]*"/
        W: /[a-b]+/
        C: /#[^;]*;/
        %ignore " "
        """,
        '" a b # ;',
    ),
    "counts": ('start: "a"~2..3 ("b" "c")~1..2 "a"~0..1\n', "a b c"),
}


def compile_text(grammar: GrammarInput) -> Index:
    return compile_index(grammar, BYTES)


def accepts(index: Index, text: str) -> bool:
    cursor = index.cursor()
    try:
        advance_text(cursor, text.encode())
    except CursorError:
        return False
    return cursor.may_end


def advance_text(cursor: Cursor, text: bytes) -> None:
    for byte in text:
        cursor.advance(byte)


def allowed(cursor: Cursor) -> list[int]:
    mask = np.zeros(BYTES.words, dtype=np.int32)
    cursor.fill_mask(mask)
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()


def tidy(grammar: str) -> str:
    return "\n".join(line.strip() for line in grammar.splitlines())


@cache
def index_of(name: str) -> Index:
    return compile_text(Lark(tidy(GRAMMARS[name][0])))


@cache
def recogniser(name: str) -> Recogniser:
    return Recogniser(tidy(GRAMMARS[name][0]), parser="earley", lexer="dynamic")


def recognises(name: str, text: str) -> bool:
    try:
        recogniser(name).parse(text)
    except LarkError:
        return False
    return True


def random_texts(name: str, count: int, seed: int) -> list[str]:
    rng, (grammar, pieces_text) = random.Random(seed), GRAMMARS[name]
    pieces = pieces_text.split() + ([" "] if "%ignore" in grammar else [])
    return ["".join(rng.choices(pieces, k=rng.randint(1, 9))) for _ in range(count)]


def walk(index: Index, rng: random.Random, steps: int) -> str | None:
    """Return the text of a walk along the mask, None if it did not end."""
    cursor, text = index.cursor(), b""
    for _ in range(steps):
        ids = allowed(cursor)
        assert ids, f"stuck after {text!r}"
        ascii_ids = [token_id for token_id in ids if token_id < 0x80]
        token_id = END if END in ids and rng.random() < 0.3 else rng.choice(ascii_ids or ids)
        cursor.advance(token_id)
        if cursor.is_finished:
            return text.decode()
        text += bytes([token_id])
    return None


@pytest.mark.parametrize("pattern", EXPRESSIONS)
def test_an_expression_matches_what_the_standard_library_matches(pattern: str) -> None:
    rng, index = random.Random(pattern), compile_text(Regex(pattern))
    spelt = re.sub(r"\[a-c&&\[\^b\]\]", "[ac]", pattern).replace("{,2}", "{0,2}")
    for _ in range(300):
        text = "".join(rng.choices(EXPRESSIONS[pattern], k=rng.randint(0, 6)))
        assert accepts(index, text) == bool(re.fullmatch(spelt, text)), text


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_grammar_reads_what_lark_reads(name: str) -> None:
    for text in random_texts(name, 120, seed=1):
        if "%ignore" in GRAMMARS[name][0] and text != text.strip():
            continue  # where ignored text may stand at an end differs, and is tested apart
        assert accepts(index_of(name), text) == recognises(name, text), text


@pytest.mark.parametrize("name", GRAMMARS)
def test_walks_along_the_mask_end_in_texts_of_the_grammar(name: str) -> None:
    rng = random.Random(name)
    finished = [text for _ in range(20) if (text := walk(index_of(name), rng, 60)) is not None]
    assert finished
    for text in finished:
        assert recognises(name, text.strip(" ")), text


IN_STRINGS = IndexOptions(in_json_string=True)


@pytest.mark.parametrize("name", GRAMMARS)
def test_in_a_json_string_a_grammar_holds_for_what_the_string_says(name: str) -> None:
    index = compile_index(Lark(tidy(GRAMMARS[name][0])), BYTES, IN_STRINGS)
    for text in random_texts(name, 120, seed=3):
        spelled = json.dumps(text, ensure_ascii=False)[1:-1]
        assert accepts(index, spelled) == accepts(index_of(name), text), text


@pytest.mark.parametrize(
    "pattern", [*EXPRESSIONS, r"(?s).{1,4}", r'["\\\n\x01\x1fé/]{3}', r'("[^"]*"\n)+']
)
def test_walks_in_a_json_string_are_read_back_by_a_json_parser(pattern: str) -> None:
    plain = compile_text(Regex(pattern))
    index, rng = compile_index(Regex(pattern), BYTES, IN_STRINGS), random.Random(pattern)
    finished = [text for _ in range(40) if (text := walk(index, rng, 80)) is not None]
    assert finished
    for text in finished:
        said = json.loads(f'"{text}"')
        assert accepts(plain, said)
        assert json.dumps(said, ensure_ascii=False) == f'"{text}"'


class _Bytes:
    eos_token_id, bos_token_id, special_token_ids = END, None, [END]
    tokens = [*(bytes([byte]) for byte in range(END)), b"<end>"]  # noqa: RUF012 - read only

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


@cache
def peer() -> LLTokenizer:
    return LLTokenizer(TokenizerWrapper(_Bytes()), eos_token=END)


def peer_accepts(grammar: str, text: str) -> bool:
    matcher = LLMatcher(peer(), LLMatcher.grammar_from_lark(grammar), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    data = list(text.encode())
    return matcher.try_consume_tokens(data) == len(data) and bool(matcher.is_accepting())


@pytest.mark.parametrize("name", GRAMMARS)
def test_what_llguidance_reads_is_read(name: str) -> None:
    read, rng = 0, random.Random(name)
    walked = [text for _ in range(20) if (text := walk(index_of(name), rng, 60)) is not None]
    shortened = [
        text[:place] + text[place + 1 :] for text in walked for place in (0, len(text) // 2)
    ]
    for text in [*random_texts(name, 60, seed=2), *walked, *shortened]:
        if peer_accepts(tidy(GRAMMARS[name][0]), text):
            read += 1
            assert accepts(index_of(name), text), text
    assert read


def test_ignored_text_stands_behind_terminals_that_others_may_follow() -> None:
    index = compile_text(Lark('start: "a" ("," "a")* "."?\n%ignore " "'))
    assert accepts(index, "a  , a ")
    assert accepts(index, "a .")
    assert not accepts(index, " a")
    assert not accepts(index, "a. ")


def test_a_text_that_no_answer_begins_with_is_refused_at_its_first_byte() -> None:
    cursor = compile_text(Lark("start: NAME (/s/ | /!/)\nNAME: /[a-z]+/")).cursor()
    cursor.advance(ord("a"))
    cursor.advance(ord("s"))  # of the name: it cannot be the other terminal
    assert not cursor.may_end
    cursor.advance(ord("!"))
    assert cursor.may_end
    with pytest.raises(CursorError):
        cursor.advance(ord("!"))


def test_mutated_grammars_give_an_index_or_a_typed_error() -> None:
    rng, marks = random.Random(3), [*'|"([{~:\n%/é*A\\', "{2}", "%ignore ", "start", "->"]
    for round_number in range(150):
        grammar = tidy(rng.choice(list(GRAMMARS.values()))[0])
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(grammar))
            grammar = grammar[:place] + rng.choice(marks) + grammar[place + rng.randint(0, 2) :]
        try:
            index = compile_text(Lark(grammar))
        except EngineError:
            continue
        walk(index, random.Random(round_number), 20)


def test_an_ambiguous_grammar_fails_its_own_cursor_at_most() -> None:
    grammar = Lark('start: s\ns: s s s | s s | "a" |')
    index = compile_index(grammar, BYTES, budget=Budget(mask_fuel=20_000))
    bystander, spender = index.cursor(), index.cursor()
    with pytest.raises(CursorError):
        advance_text(spender, b"a" * 5000)
    bystander.advance(ord("a"))
    assert bystander.may_end


@pytest.mark.parametrize(
    "grammar",
    ['start: "a"{2000000}', f"start: {'(' * 300}", f"start: {'x ' * 110_000}\nx: /a/"],
)
def test_a_grammar_that_is_too_large_names_its_limit(grammar: str) -> None:
    with pytest.raises(TooLargeError) as caught:
        compile_text(Lark(grammar))
    assert caught.value.limit in {"max_count", "max_depth", "max_symbols"}
