"""The loop: determinism bit for bit, places and turns, masks, endings, faults that stay alone."""

import json
from collections.abc import Callable, Sequence

import jsonschema_rs
import numpy as np
import pytest
import torch
from formwork_engine.cursor import Cursor, advance_all
from formwork_engine.errors import CursorError, EngineError, LimitReachedError
from formwork_engine.index import Index, compile_index
from formwork_engine.inputs import AnyJson, JsonSchema, Regex
from formwork_engine.vocabulary import Vocabulary

from mesh.errors import (
    DeadlineExceededError,
    FormworkError,
    InternalError,
    LimitExceededError,
    ModelFailedError,
    QueueFullError,
)
from mesh.testing import FakeClock
from sampler_service import batch as batch_module
from sampler_service.batch import Batch
from sampler_service.model_folder import ModelFolder
from sampler_service.native_runner import NativeRunner
from sampler_service.outputs import Channel, Finish
from sampler_service.runner import BLOCK, Logits
from sampler_service.testing import FaultyRunner, Told, run_batch
from sampler_service.testing_batches import ENDLESS, decode, key, opening, prompt, signature
from sampler_service.testing_models import END_ID, REFUSAL_ID

MakeBatch = Callable[..., Batch]


class SureCursor(Cursor):
    """Says of every place where one token is allowed that this token is forced."""

    def forced(self) -> tuple[int, ...]:
        run: list[int] = []
        ahead = self.fork()
        mask = np.zeros(self.vocabulary.words, dtype=np.int32)
        while not ahead.may_end:
            ahead.fill_mask(mask)
            allowed = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))
            if len(allowed) != 1:
                break
            run.append(int(allowed[0]))
            ahead.advance(run[-1])
        return tuple(run)


def one_way(text: str, vocabulary: Vocabulary) -> SureCursor:
    """Return a cursor before the text of an expression, its tokens one byte each."""
    tokens = [vocabulary.token_bytes(token_id) for token_id in range(vocabulary.size)]
    alone = [token if len(token) == 1 else b"" for token in tokens]
    single = Vocabulary(alone, special_ids=vocabulary.special_ids, end_ids=vocabulary.end_ids)
    return SureCursor(compile_index(Regex(text), single).cursor().handle, single)


class TestDeterminism:
    """Same seed, same bytes: promise 9."""

    @pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
    @pytest.mark.parametrize("length", [1, 2, BLOCK, BLOCK + 1, 2 * BLOCK + 17])
    def test_alone_in_company_reused_and_chunked_are_equal(
        self, make_batch: MakeBatch, seed: int, length: int
    ) -> None:
        options = {"seed": seed, "top_p": 0.97, "top_logprobs": 3}
        ours = opening(100, prompt=prompt(100, length), options=options, salt="ours")
        alone = signature(decode(make_batch(), ours)[100])
        company = [opening(n, prompt=prompt(n, 5 + 31 * n)) for n in range(9)]
        busy = make_batch()
        assert signature(decode(busy, *company[:4], ours, *company[4:])[100]) == alone
        again = decode(busy, *company[6:], ours)[100]  # its prefix is held now
        assert again.outputs[0].cached_prompt_tokens == (length - 1) // BLOCK * BLOCK
        assert signature(again) == alone
        small = decode(make_batch(prefill_chunk=1, slots=2), *company[:3], ours)
        assert signature(small[100]) == alone

    def test_constrained_sequences_with_forced_runs_are_equal(
        self, make_batch: MakeBatch, index: Index
    ) -> None:
        many = [
            opening(n, constrained=True, options={"max_tokens": 150}, prompt=prompt(n, 20 * n + 1))
            for n in range(8)
        ]
        together = decode(make_batch(), *many, index=index)
        for one in many:
            alone = decode(make_batch(), one, index=index)[one.key.sequence]
            assert signature(alone) == signature(together[one.key.sequence])

    @pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"frequency_penalty": 1.5}])
    def test_jumping_forward_changes_no_token_and_saves_steps(
        self, make_batch: MakeBatch, index: Index, options: dict[str, float]
    ) -> None:
        many = [
            opening(n, constrained=True, options={"max_tokens": 30 + 40 * n, **options})
            for n in range(5)
        ]
        jumping = decode(make_batch(), *many, index=index)
        single = decode(make_batch(jump_forward=False), *many, index=index)
        for one in many:
            told, other = jumping[one.key.sequence], single[one.key.sequence]
            assert signature(told) == signature(other)
            assert told.last.timings is not None
            assert other.last.timings is not None
            assert told.last.timings.forced_tokens == other.last.timings.forced_tokens > 0
            assert len(told.outputs) < len(other.outputs)

    def test_asking_for_logprobs_changes_no_token(
        self, make_batch: MakeBatch, index: Index
    ) -> None:
        for number in range(4):
            plain = opening(number, constrained=True, options={"max_tokens": 150})
            asked = opening(
                number, constrained=True, options={"max_tokens": 150, "top_logprobs": 2}
            )
            told = decode(make_batch(), asked, index=index)[number]
            without = decode(make_batch(), plain, index=index)[number]
            assert (told.text, told.tokens) == (without.text, without.tokens)
            logprobs = [token for output in told.outputs for token in output.logprobs]
            assert len(logprobs) == told.tokens

    def test_a_place_lost_and_won_again_changes_nothing(self, make_batch: MakeBatch) -> None:
        ours = opening(100, prompt=prompt(100, 90), options={"max_tokens": 60})
        expected = signature(decode(make_batch(), ours)[100])
        batch = make_batch(slots=12)  # as many as there are places: no room for who waits
        batch.open(ours)
        said = Told()
        for _ in range(20):
            collect(said, batch)
        assert 0 < said.tokens < 60
        batch.pause(ours.key, paused=True)
        for number in range(14):
            batch.open(opening(number, options={"max_tokens": 8, "logit_bias": ENDLESS}))
        while any(sequence.key != ours.key for sequence in batch.roster):
            collect(said, batch)
        paused = batch.roster.find(ours.key)
        assert paused is not None
        assert paused.slot is None or paused.computed < len(paused.tokens)
        batch.pause(ours.key, paused=False)
        while batch.roster.find(ours.key) is not None:
            collect(said, batch)
        assert signature(said) == expected

    def test_choices_of_one_request_differ(self, make_batch: MakeBatch) -> None:
        options = {"seed": 5}
        told = decode(
            make_batch(),
            *(opening(n, prompt=prompt(7), options=options, choice=n) for n in range(4)),
        )
        assert len({said.text for said in told.values()}) == 4


def collect(said: Told, batch: Batch) -> None:
    """Run one step and keep what it told about sequence 100."""
    outputs, _ = batch.step()
    for output in outputs:
        if output.key.sequence == 100:
            said.text += output.text
            said.tokens += output.tokens
            said.outputs.append(output)


class TestPrefixes:
    """Reuse within a salt, never across."""

    def test_no_salt_sees_what_another_has_computed(self, make_batch: MakeBatch) -> None:
        batch = make_batch()
        long = prompt(1, 3 * BLOCK)
        cached = []
        for number, salt in enumerate(("a", "a", "b", "", "")):
            said = decode(batch, opening(number, prompt=long, salt=salt))[number]
            cached.append(said.outputs[0].cached_prompt_tokens)
        assert cached == [0, 2 * BLOCK, 0, 0, 0]

    def test_prompts_that_come_together_are_computed_once(self, make_batch: MakeBatch) -> None:
        long = prompt(1, 3 * BLOCK)
        told = decode(make_batch(), *(opening(n, prompt=long, salt="a") for n in range(4)))
        cached = [told[n].outputs[0].cached_prompt_tokens for n in range(4)]
        assert cached == [0, 2 * BLOCK, 2 * BLOCK, 2 * BLOCK]

    def test_a_cache_without_room_only_costs_time(self, make_batch: MakeBatch) -> None:
        batch = make_batch(prefix_cache_bytes=0)
        for number in range(2):
            long = opening(number, prompt=prompt(1, 3 * BLOCK), salt="a")
            assert decode(batch, long)[number].outputs[0].cached_prompt_tokens == 0


class TestConstraints:
    """What an index allows comes out, and nothing else."""

    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "boolean"},
            {"enum": ["a", 1, None]},
            {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
            {
                "type": "object",
                "properties": {
                    "why": {"type": "string", "maxLength": 20},
                    "at": {"type": "object", "properties": {"x": {"type": "number"}}},
                },
                "required": ["why"],
                "additionalProperties": False,
            },
        ],
    )
    def test_every_answer_that_ends_is_valid(
        self, make_batch: MakeBatch, folder: ModelFolder, schema: dict[str, object]
    ) -> None:
        validator = jsonschema_rs.validator_for(schema)
        compiled = compile_index(JsonSchema(json.dumps(schema)), folder.vocabulary)
        many = [
            opening(n, constrained=True, options={"max_tokens": 120, "temperature": 1.5})
            for n in range(12)
        ]
        told = decode(make_batch(), *many, index=compiled)
        ended = [said for said in told.values() if said.last.finish is Finish.STOP]
        assert len(ended) >= 6
        for said in ended:
            validator.validate(json.loads(said.text))
        assert {said.last.finish for said in told.values()} <= {Finish.STOP, Finish.LENGTH}

    def test_an_index_with_one_answer_needs_no_forward(
        self, make_batch: MakeBatch, folder: ModelFolder
    ) -> None:
        text = "the answer is not known yet"
        said = decode(
            make_batch(),
            opening(1, constrained=True, options={"max_tokens": 60}),
            cursor=lambda: one_way(text, folder.vocabulary),
        )[1]
        assert said.text == "the answer is not known yet"
        assert said.last.finish is Finish.STOP
        assert said.last.timings is not None
        assert said.last.timings.forced_tokens == said.tokens

    def test_forced_tokens_are_not_penalised(
        self, make_batch: MakeBatch, folder: ModelFolder
    ) -> None:
        """A penalty that forced tokens could feel would make the free choice a sure thing."""
        free = {"max_tokens": 20, "frequency_penalty": 2.0, "presence_penalty": 2.0}
        plain = {"max_tokens": 20}
        for number in range(6):
            told = [
                decode(
                    make_batch(),
                    opening(number, constrained=True, options=o),
                    cursor=lambda: one_way("tttttttt(ty|x)", folder.vocabulary),
                )
                for o in (free, plain)
            ]
            assert told[0][number].text == told[1][number].text

    def test_a_failing_cursor_fails_its_sequence_only(
        self, make_batch: MakeBatch, index: Index
    ) -> None:
        broken = index.cursor()
        with pytest.raises(Exception, match="not allowed"):
            broken.advance(END_ID)
        batch = make_batch()
        batch.open(opening(1, constrained=True))
        batch.open(opening(2, constrained=True, options={"max_tokens": 100}))
        batch.open(opening(3))
        batch.bind(key(1), broken)
        batch.bind(key(2), index.cursor())
        told = run_batch(batch)
        assert isinstance(told[key(1)].last.error, InternalError)
        assert json.loads(told[key(2)].text)
        assert told[key(3)].last.finish is not None

    def test_a_cursor_that_fails_in_the_middle_fails_its_sequence_only(
        self, make_batch: MakeBatch, index: Index
    ) -> None:
        batch = make_batch()
        cursor = index.cursor()
        batch.open(opening(1, constrained=True, options={"max_tokens": 200}))
        batch.bind(key(1), cursor)
        batch.open(opening(2, options={"logit_bias": ENDLESS}))
        batch.step()
        with pytest.raises(Exception, match="not allowed"):
            cursor.advance(END_ID)
        told = run_batch(batch)
        assert isinstance(told[key(1)].last.error, InternalError)
        assert told[key(2)].last.finish is Finish.LENGTH

    @pytest.mark.parametrize(
        ("failure", "told_as"),
        [
            (CursorError("no such way"), InternalError),
            (EngineError("a bug in the engine"), InternalError),
            (LimitReachedError("mask_fuel", 7), LimitExceededError),
        ],
    )
    def test_a_cursor_that_fails_as_many_are_moved_fails_its_sequence_only(
        self,
        make_batch: MakeBatch,
        index: Index,
        monkeypatch: pytest.MonkeyPatch,
        failure: EngineError,
        told_as: type[FormworkError],
    ) -> None:
        cursors = [index.cursor() for _ in range(3)]

        def move(
            moving: Sequence[Cursor], tokens: Sequence[int], threads: int
        ) -> list[int | Exception]:
            moved = advance_all(moving, tokens, threads)
            return [
                failure if cursor is cursors[1] else one
                for cursor, one in zip(moving, moved, strict=True)
            ]

        monkeypatch.setattr(batch_module, "advance_all", move)
        batch = make_batch()
        for number, cursor in enumerate(cursors):
            batch.open(opening(number, constrained=True, options={"max_tokens": 200}))
            batch.bind(key(number), cursor)
        told = run_batch(batch)
        assert type(told[key(1)].last.error) is told_as
        assert json.loads(told[key(0)].text)
        assert json.loads(told[key(2)].text)

    def test_a_second_bind_is_ignored(self, make_batch: MakeBatch, index: Index) -> None:
        batch = make_batch()
        batch.open(opening(1, constrained=True, options={"max_tokens": 100}))
        batch.bind(key(1), index.cursor())
        batch.bind(key(1), index.cursor())
        batch.bind(key(9), index.cursor())
        assert json.loads(run_batch(batch)[key(1)].text)


class TestControlTokens:
    """They end text or refuse; they never come out as content."""

    @pytest.mark.parametrize("may_refuse", [False, True])
    def test_text_never_has_other_control_tokens(
        self, make_batch: MakeBatch, *, may_refuse: bool
    ) -> None:
        pushed = dict.fromkeys((0, 1, 4, 5), 500.0) | {REFUSAL_ID: -1000.0}
        many = [
            opening(
                n,
                options={"temperature": 2.0, "logit_bias": pushed, "top_logprobs": 0},
                may_refuse=may_refuse,
            )
            for n in range(6)
        ]
        for said in decode(make_batch(), *many).values():
            taken = {token.token_id for output in said.outputs for token in output.logprobs}
            assert taken
            assert not taken & {0, 1, 3, 4, 5}

    @pytest.mark.parametrize("constrained", [False, True])
    def test_a_refusal_is_text_of_its_own_channel(
        self, make_batch: MakeBatch, index: Index, *, constrained: bool
    ) -> None:
        wanting = {REFUSAL_ID: 900.0, END_ID: -3.0}
        options = {"logit_bias": wanting, "max_tokens": 20}
        one = opening(1, options=options, constrained=constrained, may_refuse=True)
        said = decode(make_batch(), one, index=index)[1]
        assert {output.channel for output in said.outputs} == {Channel.REFUSAL}
        assert said.text
        assert "refusal" not in said.text
        assert said.last.finish in (Finish.STOP, Finish.LENGTH)

    @pytest.mark.parametrize("constrained", [False, True])
    def test_a_bias_leads_to_a_refusal_or_not_and_does_not_steer_its_words(
        self, make_batch: MakeBatch, index: Index, *, constrained: bool
    ) -> None:
        told = [
            decode(
                make_batch(),
                opening(
                    1,
                    options={"logit_bias": {REFUSAL_ID: 900.0, **steering}, "max_tokens": 20},
                    constrained=constrained,
                    may_refuse=True,
                ),
                index=index,
            )[1]
            for steering in ({}, {77: 400.0})
        ]
        assert {output.channel for said in told for output in said.outputs} == {Channel.REFUSAL}
        assert signature(told[0]) == signature(told[1])

    def test_who_may_not_refuse_does_not(self, make_batch: MakeBatch, index: Index) -> None:
        options = {"logit_bias": {REFUSAL_ID: 900.0}, "max_tokens": 150}
        told = decode(
            make_batch(),
            opening(1, options=options, constrained=True),
            opening(2, options=options),
            index=index,
        )
        assert json.loads(told[1].text)
        assert {o.channel for said in told.values() for o in said.outputs} == {Channel.CONTENT}

    def test_who_may_refuse_but_does_not_answers_as_asked(
        self, make_batch: MakeBatch, index: Index
    ) -> None:
        options = {"logit_bias": {REFUSAL_ID: -900.0}, "max_tokens": 150}
        one = opening(1, options=options, constrained=True, may_refuse=True)
        assert json.loads(decode(make_batch(), one, index=index)[1].text)


class TestEndings:
    """Length, stop strings, end tokens, deadlines, aborts."""

    def test_the_end_token_ends_and_is_counted(self, make_batch: MakeBatch) -> None:
        said = decode(make_batch(), opening(1, options={"logit_bias": {END_ID: 900.0}}))[1]
        assert (said.text, said.tokens, said.last.finish) == ("", 1, Finish.STOP)

    def test_a_stop_string_ends_before_itself(self, make_batch: MakeBatch) -> None:
        whole = decode(make_batch(), opening(1, options={"logit_bias": ENDLESS}))[1].text
        stop = whole[7:10]
        options = {"logit_bias": ENDLESS, "stop": (stop,)}
        said = decode(make_batch(), opening(1, options=options))[1]
        assert said.text == whole[: whole.index(stop)]
        assert said.last.finish is Finish.STOP
        assert said.tokens < 30

    def test_length_ends_at_the_limit_and_at_the_context(self, make_batch: MakeBatch) -> None:
        options = {"logit_bias": ENDLESS, "max_tokens": 5000}
        told = decode(
            make_batch(),
            opening(1, options=options | {"max_tokens": 7}),
            opening(2, options=options, prompt=prompt(2, 1000)),
        )
        assert [(told[n].tokens, told[n].last.finish) for n in (1, 2)] == [
            (7, Finish.LENGTH),
            (24, Finish.LENGTH),
        ]

    def test_only_the_last_output_is_last_and_text_is_whole(self, make_batch: MakeBatch) -> None:
        said = decode(make_batch(), opening(1, options={"logit_bias": ENDLESS}))[1]
        assert [output.is_last for output in said.outputs] == [False] * 29 + [True]
        assert said.outputs[0].cached_prompt_tokens == 0
        assert all(output.cached_prompt_tokens is None for output in said.outputs[1:])

    async def test_a_deadline_ends_whoever_waits_too(self, make_batch: MakeBatch) -> None:
        clock = FakeClock()
        batch = make_batch(clock)
        batch.open(opening(1, constrained=True, deadline=5.0))
        batch.open(opening(2, deadline=9.0, options={"max_tokens": 900, "logit_bias": ENDLESS}))
        batch.step()
        await clock.advance(6.0)
        outputs, _ = batch.step()
        ended = [output for output in outputs if output.is_last]
        assert [output.key for output in ended] == [key(1)]
        assert isinstance(ended[0].error, DeadlineExceededError)
        await clock.advance(6.0)
        assert isinstance(batch.step()[0][-1].error, DeadlineExceededError)
        assert not len(batch.roster)

    def test_an_abort_frees_the_place_at_once(self, make_batch: MakeBatch) -> None:
        batch = make_batch()
        batch.open(opening(1, options={"max_tokens": 900, "logit_bias": ENDLESS}))
        batch.step()
        assert batch.roster.placed()
        batch.abort(key(1))
        batch.abort(key(2))
        assert not len(batch.roster)
        outputs, busy = batch.step()
        assert (outputs[-1].finish, busy) == (Finish.ABORTED, False)


class TestPlaces:
    """Who waits, who has a place, who decodes."""

    def test_the_queue_is_bounded(self, make_batch: MakeBatch) -> None:
        batch = make_batch(max_waiting=2)
        for number in range(14 + 3):
            batch.open(opening(number))
        refused = [told for told in run_batch(batch).values() if told.last.error is not None]
        assert len(refused) == 3
        assert all(isinstance(told.last.error, QueueFullError) for told in refused)

    def test_no_more_than_the_slots_decode_together(self, make_batch: MakeBatch) -> None:
        batch = make_batch(slots=3)
        for number in range(9):
            batch.open(opening(number, options={"logit_bias": ENDLESS}))
        most = 0
        while len(batch.roster):
            batch.step()
            most = max(most, sum(sequence.decoding for sequence in batch.roster))
        assert most == 3

    def test_a_better_tier_goes_first(self, make_batch: MakeBatch) -> None:
        batch = make_batch(slots=1)
        for number, tier in enumerate((3, 1, 0, 1)):
            batch.open(opening(number, tier=tier, options={"max_tokens": 3}))
        ended: list[int] = []
        while len(batch.roster):
            outputs, _ = batch.step()
            ended += [output.key.sequence for output in outputs if output.is_last]
        assert ended == [2, 1, 3, 0]

    def test_who_sends_many_does_not_hold_up_another_project(self, make_batch: MakeBatch) -> None:
        batch = make_batch(slots=2)
        for number in range(5):
            batch.open(opening(number, salt="many", tier=0, options={"logit_bias": ENDLESS}))
        batch.step()
        batch.open(opening(50, salt="one", options={"max_tokens": 3, "logit_bias": ENDLESS}))
        steps = 0
        while batch.roster.find(key(50)) is not None:
            batch.step()
            steps += 1
        assert steps <= 4
        assert len(batch.roster) == 5

    def test_whoever_holds_all_places_gives_one_to_a_project_without_any(
        self, make_batch: MakeBatch
    ) -> None:
        options = {"max_tokens": 200, "logit_bias": ENDLESS}
        alone = {n: decode(make_batch(), opening(n, options=options))[n] for n in range(16)}
        batch = make_batch(slots=2)
        for number in range(16):
            batch.open(opening(number, salt="many", options=options))
        batch.step()
        assert len(batch.roster.placed()) < len(batch.roster)
        batch.open(opening(50, salt="one", options={"max_tokens": 3, "logit_bias": ENDLESS}))
        for _ in range(4):
            batch.step()
        assert batch.roster.find(key(50)) is None
        told = run_batch(batch)
        assert {n: told[key(n)].text[-40:] for n in range(16)} == {
            n: one.text[-40:] for n, one in alone.items()
        }

    def test_long_prompts_of_one_project_do_not_hold_up_those_of_another(
        self, make_batch: MakeBatch
    ) -> None:
        batch = make_batch(slots=8, prefill_chunk=BLOCK)
        for number in range(6):
            batch.open(opening(number, prompt=prompt(number, 10 * BLOCK), salt="long"))
        batch.open(opening(40, prompt=prompt(40, 10 * BLOCK), salt="as long"))
        batch.step()
        batch.open(opening(50, prompt=prompt(50, 2 * BLOCK), salt="short"))
        for _ in range(7):  # every third of them is for the third project
            batch.step()
        assert [s.key for s in batch.roster if s.prefilled] == [key(50)]

    def test_who_waits_for_an_index_is_prefilled_but_holds_up_nobody(
        self, make_batch: MakeBatch, index: Index
    ) -> None:
        batch = make_batch(slots=2)
        for number in range(20):
            batch.open(opening(number, constrained=True, options={"max_tokens": 100}))
        batch.open(opening(50))
        told = run_batch(batch)
        assert set(told) == {key(50)}
        waiting = [sequence for sequence in batch.roster if sequence.prefilled]
        assert len(waiting) >= 11
        assert not any(sequence.decoding for sequence in waiting)
        for number in range(20):
            batch.bind(key(number), index.cursor())
        told = run_batch(batch)
        assert all(json.loads(told[key(number)].text) for number in range(20))

    def test_an_index_that_comes_behind_the_prompt_costs_no_step_more(
        self, make_batch: MakeBatch, runner: NativeRunner, index: Index
    ) -> None:
        forwards: list[int] = []

        def count(logits: Logits) -> Logits:
            forwards.append(len(logits.values))
            return logits

        options = {"max_tokens": 100, "top_logprobs": 2}
        asked = opening(1, constrained=True, options=options)
        at_once = decode(make_batch(), asked, index=index)[1]
        counting = FaultyRunner(runner)
        counting.spoil = count
        batch = make_batch(runner=counting)
        batch.open(asked)
        run_batch(batch)
        before = len(forwards)
        batch.bind(key(1), index.cursor())
        (first,), _ = batch.step()
        assert first.tokens == 1
        assert len(forwards) == before
        rest = run_batch(batch)[key(1)]
        whole = Told(first.text + rest.text, 1 + rest.tokens, [first, *rest.outputs])
        assert signature(whole) == signature(at_once)

    @pytest.mark.parametrize("forced", [False, True])
    @pytest.mark.parametrize("during_forward", [False, True])
    def test_an_index_that_comes_within_a_step_serves_in_it_unless_tokens_are_forced(
        self,
        make_batch: MakeBatch,
        runner: NativeRunner,
        index: Index,
        *,
        during_forward: bool,
        forced: bool,
    ) -> None:
        options = {"max_tokens": 100} | ({} if forced else {"top_logprobs": 2})
        asked = opening(1, constrained=True, options=options)
        at_once = decode(make_batch(), asked, index=index)[1]
        coming = {} if during_forward else {key(1): index}

        def arrive(logits: Logits) -> Logits:
            coming[key(1)] = index
            return logits

        visited = FaultyRunner(runner)
        visited.spoil = arrive
        batch = make_batch(runner=visited)
        batch.open(asked)
        firsts, _ = batch.step(coming)
        assert [first.tokens for first in firsts] == ([] if forced else [1])
        batch.bind(key(1), index.cursor())  # as always behind the step
        rest = run_batch(batch)[key(1)]
        text = "".join(first.text for first in firsts) + rest.text
        tokens = sum(first.tokens for first in firsts) + rest.tokens
        assert signature(Told(text, tokens, [*firsts, *rest.outputs])) == signature(at_once)

    def test_an_index_that_comes_within_a_step_serves_who_keeps_logits_from_before(
        self, make_batch: MakeBatch, index: Index
    ) -> None:
        options = {"max_tokens": 100, "top_logprobs": 2}
        asked = opening(1, constrained=True, options=options)
        other = opening(2, options={"max_tokens": 5, "logit_bias": ENDLESS})
        alone = decode(make_batch(), asked, index=index)[1]
        batch = make_batch()
        batch.open(asked)
        batch.open(other)
        batch.step()
        outputs, _ = batch.step({key(1): index})
        told = {output.key: output.tokens for output in outputs}
        assert told == {key(1): 1, key(2): 1}
        (first,) = (output for output in outputs if output.key == key(1))
        rest = run_batch(batch)[key(1)]
        whole = Told(first.text + rest.text, 1 + rest.tokens, [first, *rest.outputs])
        assert signature(whole) == signature(alone)

    def test_long_prompts_do_not_hold_up_tokens(self, make_batch: MakeBatch) -> None:
        batch = make_batch(prefill_chunk=BLOCK)
        batch.open(opening(1, options={"max_tokens": 900, "logit_bias": ENDLESS}))
        batch.step()
        batch.open(opening(2, prompt=prompt(2, 900)))
        for _ in range(10):
            outputs, _ = batch.step()
            assert key(1) in {output.key for output in outputs}


class TestFaults:
    """They stay with whom they hit."""

    def test_logits_that_are_not_finite_fail_their_sequence_only(
        self, make_batch: MakeBatch, runner: NativeRunner
    ) -> None:
        faulty = FaultyRunner(runner)
        batch = make_batch(runner=faulty)
        batch.open(opening(1, options={"logit_bias": ENDLESS}))
        batch.open(opening(2, options={"logit_bias": ENDLESS}))
        batch.step()
        nan = torch.tensor([[float("nan")], [0.0]])
        faulty.spoil = lambda logits: Logits(logits.values + nan, logits.masks)
        outputs, _ = batch.step()
        faulty.spoil = lambda logits: logits
        errors = {output.key: output.error for output in outputs}
        assert isinstance(errors[key(1)], ModelFailedError)
        assert errors[key(2)] is None
        assert run_batch(batch)[key(2)].last.finish is Finish.LENGTH

    def test_a_step_that_raises_fails_its_sequences_and_the_next_one_works(
        self, make_batch: MakeBatch, runner: NativeRunner
    ) -> None:
        def explode(_logits: Logits) -> Logits:
            raise RuntimeError("out of memory")

        faulty = FaultyRunner(runner)
        batch = make_batch(runner=faulty)
        batch.open(opening(1))
        faulty.spoil = explode
        outputs, _ = batch.step()
        assert isinstance(outputs[-1].error, InternalError)
        assert "memory" not in outputs[-1].error.message
        assert batch.failed_steps == 1
        faulty.spoil = lambda logits: logits
        batch.open(opening(2))
        assert run_batch(batch)[key(2)].last.finish is not None
        assert batch.failed_steps == 0

    def test_a_step_that_raises_fails_whose_index_came_within_it_too(
        self, make_batch: MakeBatch, index: Index, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def explode(*_arguments: object) -> None:
            raise RuntimeError("out of memory")

        batch = make_batch()
        batch.open(opening(1, constrained=True, options={"max_tokens": 100, "top_logprobs": 2}))
        batch.step()
        batch.open(opening(2))
        with monkeypatch.context() as patch:
            patch.setattr(batch_module, "sample", explode)
            outputs, _ = batch.step({key(1): index})
        assert {output.key for output in outputs if output.error} == {key(1), key(2)}
        batch.bind(key(1), index.cursor())
        assert batch.step() == ([], False)


def test_json_mode_gives_json(make_batch: MakeBatch, folder: ModelFolder) -> None:
    compiled = compile_index(AnyJson(object_only=True), folder.vocabulary)
    many = [opening(n, constrained=True, options={"max_tokens": 200}) for n in range(6)]
    told = decode(make_batch(), *many, index=compiled)
    ended = [said for said in told.values() if said.last.finish is Finish.STOP]
    assert ended
    assert all(isinstance(json.loads(said.text), dict) for said in ended)
