"""How many characters a token stands for."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokenizer import PromptTokenizer, load_tokenizer

from .conftest import MODEL_FOLDER

TOKENIZER = load_tokenizer(MODEL_FOLDER)
DEFINITION = json.loads((MODEL_FOLDER / "tokenizer.json").read_bytes())


@given(st.text() | st.text(alphabet=" \ne", max_size=200))
def test_a_text_has_at_least_as_many_tokens_as_the_longest_token_says(text: str) -> None:
    assert TOKENIZER.longest is not None
    assert len(TOKENIZER.encode_message(text)) * TOKENIZER.longest >= len(text)


def test_a_long_text_leaves_other_threads_their_turn() -> None:
    gaps, at = [0.0], time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(TOKENIZER.encode_message, "x y" * 200_000)
        while not done.done():
            time.sleep(0)
            gaps.append(time.perf_counter() - at)
            at = time.perf_counter()
    assert len(gaps) > 100


@pytest.mark.parametrize(
    ("normalizer", "factor"),
    [
        (None, 1),
        ({"type": "NFC"}, 4),
        ({"type": "Sequence", "normalizers": [{"type": "NFC"}]}, 4),
        ({"type": "Replace", "pattern": {"String": " "}, "content": "_"}, 1),
        ({"type": "Replace", "pattern": {"String": "  "}, "content": "_"}, None),
        ({"type": "Replace", "pattern": {"Regex": " +"}, "content": "_"}, None),
        ({"type": "NFKC"}, None),
    ],
)
def test_a_normalizer_that_shortens_texts_is_reckoned_with(
    normalizer: dict[str, Any] | None, factor: int | None
) -> None:
    assert TOKENIZER.longest is not None
    data = json.dumps({**DEFINITION, "normalizer": normalizer}).encode()
    expected = None if factor is None else factor * TOKENIZER.longest
    assert PromptTokenizer(data).longest == expected
