"""Tokens to text: whole code points, stop strings, endings."""

import pytest
from formwork_engine.vocabulary import Vocabulary
from hypothesis import given
from hypothesis import strategies as st

from sampler_service.text import TextStream

BYTES = [bytes([value]) for value in range(256)]
END = 256
VOCABULARY = Vocabulary([*BYTES, b""], special_ids=[END], end_ids=[END])


def feed(stream: TextStream, data: bytes) -> list[str]:
    return [stream.feed(value) for value in data]


def test_text_comes_in_whole_code_points() -> None:
    stream = TextStream(VOCABULARY)
    pieces = feed(stream, "aé漢😀".encode())
    assert "".join(pieces) == "aé漢😀"
    assert pieces == ["a", "", "é", "", "", "漢", "", "", "", "😀"]
    assert stream.finish() == ""


def test_bytes_that_are_not_utf8_are_replaced_at_the_end_too() -> None:
    stream = TextStream(VOCABULARY)
    assert "".join(feed(stream, b"a\xffb\xe6\xbc")) == "a\ufffdb"
    assert stream.finish() == "\ufffd"


def test_special_tokens_have_no_text() -> None:
    assert TextStream(VOCABULARY).feed(END) == ""


def test_text_that_may_become_a_stop_string_is_kept_back() -> None:
    stream = TextStream(VOCABULARY, ["<end>"])
    assert "".join(feed(stream, b"one <en")) == "one "
    assert "".join(feed(stream, b"ough <e")) == "<enough "
    assert "".join(feed(stream, b"nd> two")) == ""
    assert stream.stopped
    assert stream.finish() == ""


def test_what_was_kept_back_comes_at_the_end() -> None:
    stream = TextStream(VOCABULARY, ["<end>", "END"])
    assert "".join(feed(stream, b"one <en")) == "one "
    assert stream.finish() == "<en"


def test_the_first_of_several_stop_strings_counts() -> None:
    stream = TextStream(VOCABULARY, ["cd", "abcde", "b"])
    assert "".join(feed(stream, b"xxabcde")) == "xxa"


@given(
    st.text(st.sampled_from("ab<é"), max_size=40),
    st.lists(st.text(st.sampled_from("ab<é"), min_size=1, max_size=4), max_size=3),
)
def test_streaming_gives_what_searching_the_whole_text_gives(text: str, stop: list[str]) -> None:
    places = [place for one in stop if (place := text.find(one)) >= 0]
    stream = TextStream(VOCABULARY, stop)
    told = "".join(feed(stream, text.encode())) + stream.finish()
    # the whole text is searched for what ends first, as a reader of the stream would
    firsts = [text.find(one) + len(one) for one in stop if one in text]
    if not places:
        assert told == text
        assert not stream.stopped
    else:
        earliest = min(firsts)
        begins = [text.find(one) for one in stop if one in text[:earliest]]
        assert stream.stopped
        assert told == text[: min(begins)]


@pytest.mark.parametrize("text", ["", "plain", "é漢😀", "\x00\x7f"])
def test_any_text_survives(text: str) -> None:
    stream = TextStream(VOCABULARY)
    assert "".join(feed(stream, text.encode())) + stream.finish() == text
