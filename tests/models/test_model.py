"""The model computes as Llama does, alone or in a batch, with a cache or without."""

from __future__ import annotations

import random

import torch
from torch.nn import functional

from models.training.batches import Encoded, answer_weights, collate
from models.training.decode import greedy
from models.training.initial import twins_of, write_copying_heads
from models.training.llama import Llama, LlamaConfig
from models.training.train import BUILT_IN, Plan, rate_factor

SMALL = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=48, layers=2, heads=4, kv_heads=2
)


def made(config: LlamaConfig) -> Llama:
    torch.manual_seed(3)
    return Llama(config).eval()


def test_a_cache_changes_nothing() -> None:
    model = made(SMALL)
    tokens = torch.randint(1, 64, (1, 9))
    places = torch.arange(9)[None]
    whole, _ = model.hidden(tokens, places)
    _, past = model.hidden(tokens[:, :6], places[:, :6])
    mask = torch.ones(3, 9, dtype=torch.bool).tril(6)[None, None]
    rest, _ = model.hidden(tokens[:, 6:], places[:, 6:], past, mask)
    torch.testing.assert_close(rest, whole[:, 6:], atol=1e-5, rtol=1e-4)


def test_a_neighbour_changes_no_greedy_answer() -> None:
    model = made(SMALL)
    long, short = list(range(2, 14)), [5, 9, 5]
    together = greedy(model, [long, short], [None, None], end=1, limit=8)
    assert together == [greedy(model, [p], [None], end=1, limit=8)[0] for p in (long, short)]


def test_the_states_of_an_answer_alone_are_those_of_the_whole() -> None:
    model = made(SMALL)
    tokens = torch.randint(1, 64, (2, 9))
    places = torch.arange(9).expand(2, 9)
    whole, _ = model.hidden(tokens, places)
    torch.testing.assert_close(model.hidden_from(4, tokens, places), whole[:, 4:])


def test_a_batch_points_at_the_answers() -> None:
    rows = [Encoded([5, 6, 7, 8, 9], 3, [1, 2]), Encoded([5, 6, 7, 8], 2, [3, 4])]
    batch = collate(rows, random.Random(2))
    assert batch.targets.tolist() == [8, 9, 7, 8]
    assert batch.weights.tolist() == [1, 2, 3, 4]
    assert batch.first == 1
    left = batch.tokens[:, batch.first :].flatten()
    assert left[batch.where].tolist() == [7, 8, 6, 7]


def test_the_beginnings_of_values_count_most_and_keys_least() -> None:
    answer = '{"age":34,"city":"New Porto"}'
    parts = ['{"', "age", '":', "34", ',"', "city", '":"', "New", " ", "Porto", '"}']
    ends = [sum(map(len, parts[: i + 1])) for i in range(len(parts))]
    places = [(end - len(part), end) for part, end in zip(parts, ends, strict=True)]
    assert answer_weights(answer, places) == [0.3, 0.3, 0.3, 2, 0.3, 0.3, 0.3, 2, 0.3, 1, 0.3]


def test_a_capitalised_token_begins_near_its_lower_case_form() -> None:
    model = made(BUILT_IN)
    write_copying_heads(model, {30: 40})
    table = model.model.embed_tokens.weight
    assert functional.cosine_similarity(table[30], table[40], dim=0) > 0.5
    assert twins_of({"City": 7, "city": 9, "Ci": 3}) == {7: 9}


def test_an_untrained_model_already_copies() -> None:
    model = made(BUILT_IN)
    write_copying_heads(model)
    phrase = torch.randperm(1500)[:20] + 100
    tokens = torch.cat((phrase, phrase))[None]
    hidden, _ = model.hidden(tokens, torch.arange(40)[None])
    ranks = model.logits(hidden[0, 22:39]).argsort(descending=True)[:, :5]
    found = sum(int(next_) in row.tolist() for row, next_ in zip(ranks, phrase[3:], strict=True))
    assert found >= 12


def test_the_rate_warms_up_holds_and_falls_to_the_deadline() -> None:
    plan = Plan(seconds=100.0, decay_share=0.5)
    assert rate_factor(plan, 0, 0.0) < 0.05
    assert rate_factor(plan, 500, 40.0) == 1.0
    assert 0.3 < rate_factor(plan, 500, 80.0) < 0.5
    assert rate_factor(plan, 500, 100.0) == 0.02
