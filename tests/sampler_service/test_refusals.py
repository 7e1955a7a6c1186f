"""Refusals of a model without a token for them: in its family's words, or not at all."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from formwork_engine.index import Index
from formwork_engine.vocabulary import Vocabulary

from sampler_service.batch import Batch
from sampler_service.model_folder import ModelFolder
from sampler_service.native_runner import NativeRunner
from sampler_service.openings import Opening, SamplingOptions, SequenceKey
from sampler_service.outputs import Channel, Finish
from sampler_service.refusal_probe import MOST_TOKENS, Verdict, judge
from sampler_service.runner import Logits
from sampler_service.testing import FaultyRunner, Told, run_batch

MakeBatch = Callable[..., Batch]
PHRASES = ("I'm sorry", "I cannot")
KEY = SequenceKey(1, 1)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", Verdict.UNDECIDED),
        (" I", Verdict.UNDECIDED),
        ("i\u2019m sorry, but", Verdict.REFUSAL),
        ("I cannot", Verdict.REFUSAL),
        ("I can", Verdict.UNDECIDED),
        ("I can do", Verdict.ANSWER),
        ("```json", Verdict.ANSWER),
    ],
)
def test_a_refusal_is_known_by_how_it_begins(text: str, verdict: Verdict) -> None:
    assert judge(text, 3, PHRASES) is verdict


def test_what_is_not_decided_soon_is_an_answer() -> None:
    assert judge("I", MOST_TOKENS, PHRASES) is Verdict.ANSWER


class Saying:
    """Makes the tokens of a text the likeliest, one after the other, and then leaves the logits."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self.left = vocabulary.tokenize(text.encode())

    def __call__(self, logits: Logits) -> Logits:
        values = logits.values.clone()
        if self.left and len(values):
            values[:, self.left.pop(0)] += 1000.0
        return Logits(values, logits.masks)


@pytest.fixture
def decode(
    make_batch: MakeBatch, runner: NativeRunner, folder: ModelFolder, index: Index
) -> Callable[..., tuple[Told, FaultyRunner]]:
    def run(text: str = "", **changes: Any) -> tuple[Told, FaultyRunner]:  # noqa: ANN401 - fields
        saying = FaultyRunner(runner)
        saying.spoil = Saying(text, folder.vocabulary)
        batch = make_batch(runner=saying)
        sampling = {"max_tokens": changes.pop("most", 200), **changes.pop("sampling", {})}
        options = SamplingOptions(temperature=1.0, seed=3, **sampling)
        values: dict[str, Any] = {"refusal_phrases": PHRASES, **changes}
        prompt = tuple(range(10, 90))
        batch.open(Opening(KEY, prompt, options, deadline=float("inf"), constrained=True, **values))
        batch.bind(KEY, index.cursor())
        return run_batch(batch)[KEY], saying

    return run


Decode = Callable[..., tuple[Told, FaultyRunner]]


def test_a_refusal_goes_on_in_its_own_channel(decode: Decode) -> None:
    said, _ = decode("I cannot", most=30)
    assert said.text.startswith("I cannot")
    assert {output.channel for output in said.outputs} == {Channel.REFUSAL}
    assert said.last.finish in (Finish.STOP, Finish.LENGTH)


def test_a_bias_steers_neither_what_is_tried_nor_the_refusal(decode: Decode) -> None:
    said, _ = decode("I cannot", most=30)
    pushed, _ = decode("I cannot", most=30, sampling={"logit_bias": {77: 5000.0}})
    assert pushed.text == said.text
    assert {output.channel for output in pushed.outputs} == {Channel.REFUSAL}


@pytest.mark.parametrize("text", ["The answer", "I can", "```", "I"])
def test_what_is_no_refusal_is_taken_back_without_a_trace(decode: Decode, text: str) -> None:
    untried, _ = decode(text, refusal_phrases=())
    said, saying = decode(text)
    assert json.loads(said.text)
    assert {output.channel for output in said.outputs} == {Channel.CONTENT}
    assert isinstance(saying.spoil, Saying)
    plain, _ = decode(refusal_phrases=())
    assert untried.text.startswith("{")
    if not saying.spoil.left:  # all that was said was tried: the logits are the model's own again
        assert (said.text, said.tokens) == (plain.text, plain.tokens)


def test_a_likeliest_token_that_is_allowed_is_no_reason_to_look(decode: Decode) -> None:
    said, _ = decode('{"name":"')
    assert json.loads(said.text)


def test_an_abort_in_between_tells_nothing_of_what_was_tried(
    make_batch: MakeBatch, runner: NativeRunner, folder: ModelFolder, index: Index
) -> None:
    saying = FaultyRunner(runner)
    saying.spoil = Saying("I can", folder.vocabulary)
    batch = make_batch(runner=saying)
    options = SamplingOptions(max_tokens=50)
    opening = Opening(KEY, (7, 8), options, float("inf"), constrained=True, refusal_phrases=PHRASES)
    batch.open(opening)
    batch.bind(KEY, index.cursor())
    outputs, _ = batch.step()
    assert outputs == []
    batch.abort(KEY)
    (output,), _ = batch.step()
    assert (output.finish, output.text, output.tokens) == (Finish.ABORTED, "", 0)
