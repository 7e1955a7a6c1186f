import math

import pytest
from openai.types.chat import ChatCompletionTokenLogprob
from openai.types.chat.chat_completion_token_logprob import TopLogprob

from examples.probabilities import read_choice


def token(text: str, **likely: float) -> ChatCompletionTokenLogprob:
    """Return a written token, and the probabilities of what might have been written there."""
    top = [
        TopLogprob(token=other.replace("_", '"'), logprob=math.log(probability))
        for other, probability in likely.items()
    ]
    own = math.log(likely.get(text.replace('"', "_"), 1.0))
    return ChatCompletionTokenLogprob(token=text, logprob=own, top_logprobs=top)


def test_the_choice_is_read_where_it_was_made() -> None:
    tokens = [token('{"a":"', x=1.0), token("spam", spam=0.75, ham=0.25), token('"}', y=1.0)]
    assert read_choice(tokens, '{"a":"', ["ham", "spam"]) == pytest.approx(
        {"ham": 0.25, "spam": 0.75}
    )


def test_the_beginning_of_an_option_counts_for_it_and_what_is_none_does_not() -> None:
    tokens = [token('{"a":"'), token("sp", sp=0.3, spam=0.2, ham=0.1, eggs=0.4)]
    assert read_choice(tokens, '{"a":"', ["ham", "spam"]) == pytest.approx(
        {"ham": 0.1 / 0.6, "spam": 0.5 / 0.6}
    )


def test_a_token_may_have_more_than_the_option() -> None:
    tokens = [token('{"a":'), token('"ham"', _ham_=0.5, _spam=0.5)]
    assert read_choice(tokens, '{"a":"', ["ham", "spam"]) == pytest.approx(
        {"ham": 0.5, "spam": 0.5}
    )


def test_one_is_not_ten() -> None:
    tokens = [token('{"a":'), token("1", **{"1": 0.6, "10": 0.4}), token("}", **{"}": 1.0})]
    assert read_choice(tokens, '{"a":', ["1", "10"]) == pytest.approx({"1": 0.6, "10": 0.4})


def test_options_that_begin_alike_are_told_apart_where_they_part() -> None:
    first = token("1", **{"1": 0.5, "2": 0.5})
    second = token("}", **{"}": 0.8, "0": 0.2})
    found = read_choice([token('{"a":'), first, second], '{"a":', ["1", "2", "10"])
    assert found == pytest.approx({"1": 0.4, "2": 0.5, "10": 0.1})


def test_nothing_found_is_nothing_likely() -> None:
    assert read_choice([], '{"a":', ["1", "2"]) == {"1": 0, "2": 0}
