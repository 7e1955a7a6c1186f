"""Refusals of a model without a token for them: in its family's words, or not at all."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from formwork.sampler.v1.sampler_pb2 import FreeText, Piece, Pieces, Repeat
from formwork_engine.index import Index
from formwork_engine.vocabulary import Vocabulary

from sampler_service.batch import Batch
from sampler_service.envelopes import link_shape
from sampler_service.model_folder import ModelFolder
from sampler_service.native_runner import NativeRunner
from sampler_service.openings import ContentStart, Opening, SamplingOptions, SequenceKey
from sampler_service.outputs import Channel, Finish
from sampler_service.refusal_probe import MOST_TOKENS, Lookout, Verdict, judge
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
    def run(
        text: str = "",
        used: Index = index,
        **changes: Any,  # noqa: ANN401 - fields
    ) -> tuple[Told, FaultyRunner]:
        saying = FaultyRunner(runner)
        saying.spoil = Saying(text, folder.vocabulary)
        batch = make_batch(runner=saying, jump_forward=changes.pop("jumps", True))
        sampling = {"max_tokens": changes.pop("most", 200), **changes.pop("sampling", {})}
        options = SamplingOptions(temperature=1.0, seed=3, **sampling)
        values: dict[str, Any] = {"refusal_phrases": PHRASES, **changes}
        prompt = tuple(range(10, 90))
        batch.open(Opening(KEY, prompt, options, deadline=float("inf"), constrained=True, **values))
        batch.bind(KEY, used.cursor())
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


THOUGHTS = ContentStart(("<think>",), ("</think>\n",))


@pytest.fixture
def thinking(folder: ModelFolder, index: Index) -> Index:
    """An answer that may begin with thoughts, before its content under a schema."""
    thoughts = Piece(
        sequence=Pieces(
            pieces=[Piece(text="<think>"), Piece(free_text=FreeText(until=["</think>"]))]
        )
    )
    thoughts.sequence.pieces.append(Piece(text="\n"))
    pieces = [Piece(repeat=Repeat(piece=thoughts, minimum=0, maximum=1)), Piece(part=0)]
    shape = Piece(sequence=Pieces(pieces=pieces))
    return link_shape(shape, [index], folder.vocabulary)


def texts_of(said: Told) -> dict[Channel, str]:
    return {
        channel: "".join(output.text for output in said.outputs if output.channel is channel)
        for channel in Channel
    }


@pytest.mark.parametrize(("begun", "jumps"), [("<think>", False), ("<", True)])
def test_a_refusal_behind_thoughts_goes_on_in_its_own_channel(
    decode: Decode,
    thinking: Index,
    begun: str,
    jumps: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Also where the rest of `<think>` and the line behind thoughts are appended unsampled."""
    line = "" if jumps else "\n"
    text = f"{begun}It is bad.</think>{line}I cannot"
    said, _ = decode(text, thinking, most=60, content_start=THOUGHTS, jumps=jumps)
    texts = texts_of(said)
    assert texts[Channel.CONTENT] == "<think>It is bad.</think>\n"
    assert texts[Channel.REFUSAL].startswith("I cannot")
    assert said.tokens == sum(output.tokens for output in said.outputs) <= 60


def test_behind_thoughts_what_is_no_refusal_is_taken_back_without_a_trace(
    decode: Decode, thinking: Index
) -> None:
    thoughts = "<think>Why not?</think>\n"
    said, saying = decode(thoughts + "I?", thinking, content_start=THOUGHTS, jumps=False)
    untried, _ = decode(thoughts, thinking, jumps=False)
    assert isinstance(saying.spoil, Saying)
    assert not saying.spoil.left
    assert json.loads(said.text.removeprefix(thoughts))
    assert {output.channel for output in said.outputs} == {Channel.CONTENT}
    assert (said.text, said.tokens) == (untried.text, untried.tokens)


def test_a_refusal_is_tried_at_both_starts(decode: Decode, thinking: Index) -> None:
    text = "I?<think>Hm</think>\nI cannot"
    said, _ = decode(text, thinking, content_start=THOUGHTS, most=60, jumps=False)
    texts = texts_of(said)
    assert texts[Channel.CONTENT].startswith("<think>")
    assert texts[Channel.REFUSAL].startswith("I cannot")


@pytest.mark.parametrize(
    "text",
    [
        "<think>I cannot do this</think>\n{",  # what is thought is no refusal
        '{"name":"</think>\nI cannot',  # nor is what follows a text like the end of thoughts
    ],
)
def test_nowhere_else_a_refusal_is_looked_for(decode: Decode, thinking: Index, text: str) -> None:
    said, _ = decode(text, thinking, content_start=THOUGHTS, jumps=False)
    assert {output.channel for output in said.outputs} == {Channel.CONTENT}


@pytest.mark.parametrize(
    ("start", "said", "place"),
    [
        (None, ["a"], 0),
        (THOUGHTS, ["<think>", "a</th", "ink>\n", "{"], 3),
        (THOUGHTS, ["<thi", "nk>", "</think>", "\n", "</think>\n"], 4),
        (THOUGHTS, ["<think>", "a</think>\n{", "</think>\n"], 0),
        (THOUGHTS, ["{", "<think>", "</think>\n"], 0),
        (THOUGHTS, [5, "<think>", "</think>\n"], 0),
        (ContentStart((), (7, "final", 8)), [9, "a", 7, "final", 8, "{"], 5),
        (ContentStart((), (7, "final", 8)), ["a7final8", "final", 8], 0),
        (ContentStart((3,), (4, "\n\n")), [3, "x", 4, "\n", "\n"], 5),
    ],
)
def test_where_content_begins_is_found_in_what_was_said(
    start: ContentStart | None, said: list[str | int], place: int
) -> None:
    """`place` counts tokens; at 0 is the start of every answer."""
    options = SamplingOptions()
    lookout = Lookout(
        Opening(KEY, (7,), options, 0.0, refusal_phrases=PHRASES, content_start=start)
    )
    assert lookout.is_here
    places = []
    for number, one in enumerate(said, 1):
        lookout.note(one)
        places += [number] if lookout.is_here else []
    assert places == ([place] if place else [])
