"""Token bounds, sampling, salts."""

import pytest

from gateway.config import GatewayConfig
from gateway.errors import ContextLengthError, RequestError
from gateway.messages import Message
from gateway.plan import Plan, affinity, cache_salt, check_characters, check_shortest, make_plan
from gateway.request import ChatRequest

MESSAGES = (Message("user", "x"),)


def plan(request: ChatRequest, prompt: int = 10, context: int = 100, most: int = 1000) -> Plan:
    config = GatewayConfig(max_completion_tokens=most)
    return make_plan(request, [1] * prompt, context=context, vocabulary_size=50, config=config)


@pytest.mark.parametrize(
    ("asked", "most", "given"),
    [(None, 1000, 90), (None, 20, 20), (5, 1000, 5), (500, 1000, 90), (50, 20, 20)],
)
def test_max_tokens_is_an_upper_bound_within_context_and_configuration(
    asked: int | None, most: int, given: int
) -> None:
    request = ChatRequest("m", MESSAGES, max_completion_tokens=asked)
    made = plan(request, most=most)
    assert made.max_tokens == given
    assert made.sampling.max_tokens == given


def test_a_prompt_as_long_as_the_context_is_refused() -> None:
    request = ChatRequest("m", MESSAGES)
    assert plan(request, prompt=99).max_tokens == 1
    with pytest.raises(ContextLengthError, match="resulted in 100 tokens"):
        plan(request, prompt=100)


def test_messages_with_more_characters_than_a_context_can_stand_for_are_refused() -> None:
    request = ChatRequest("m", (Message("user", "x" * 60), Message("assistant", None)))
    check_characters(request, 20, 3)
    check_characters(request, 19, None)
    with pytest.raises(ContextLengthError, match="more than 20 tokens"):
        check_characters(request, 19, 3)


def test_without_a_seed_every_request_draws_its_own() -> None:
    request = ChatRequest("m", MESSAGES)
    assert plan(request).sampling.seed != plan(request).sampling.seed
    seeded = ChatRequest("m", MESSAGES, seed=7)
    assert plan(seeded).sampling.seed == 7


def test_a_bias_for_a_token_that_is_not_there_is_refused() -> None:
    with pytest.raises(RequestError, match="below 50"):
        plan(ChatRequest("m", MESSAGES, logit_bias={50: 1.0}))


def test_the_shortest_answer_bounds_what_may_be_asked_for() -> None:
    asked = ChatRequest("m", MESSAGES, max_completion_tokens=5)
    check_shortest(asked, plan(asked), 0, 100)
    check_shortest(asked, plan(asked), 5, 100)
    with pytest.raises(RequestError) as caught:
        check_shortest(asked, plan(asked), 6, 100)
    assert caught.value.field == "max_completion_tokens"
    unasked = ChatRequest("m", MESSAGES)
    with pytest.raises(ContextLengthError):
        check_shortest(unasked, plan(unasked, prompt=90), 11, 100)


def test_salts_and_affinities_differ_by_project_label_and_prefix() -> None:
    salts = {cache_salt("s", "a"), cache_salt("s", "b"), cache_salt("t", "a")}
    assert len(salts) == 3
    places = {affinity("s", "", [1]), affinity("s", "k", [1]), affinity("s", "", [2])}
    assert len(places) == 3
    assert affinity("s", "", [1] * 300) == affinity("s", "", [1] * 256 + [2])
