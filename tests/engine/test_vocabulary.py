"""Token bytes, special ids, end ids and the fingerprint."""

import json
from pathlib import Path
from typing import Any

import pytest
from formwork_engine import Vocabulary, VocabularyError, load_vocabulary


def byte_level(vocab: dict[str, int], added: list[dict[str, Any]]) -> bytes:
    document = {
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
        "decoder": {"type": "ByteLevel"},
        "added_tokens": added,
    }
    return json.dumps(document).encode()


def added(token_id: int, content: str, *, special: bool = True) -> dict[str, Any]:
    return {
        "id": token_id,
        "content": content,
        "special": special,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
    }


END = added(3, "<end>")


def test_byte_level_pieces_stand_for_their_bytes() -> None:
    data = byte_level({"a": 0, "Ġb": 1, "Ã©": 2}, [END])
    vocabulary = Vocabulary.from_tokenizer_json(data, end_ids=[3])
    assert vocabulary.decode([0, 1, 2]) == "a bé".encode()


def test_sentencepiece_pieces_stand_for_text_and_byte_tokens_for_bytes() -> None:
    document = {
        "model": {"type": "BPE", "byte_fallback": True, "vocab": {"▁a": 0, "<0xE9>": 1, "</s>": 2}},
        "added_tokens": [added(2, "</s>")],
    }
    vocabulary = Vocabulary.from_tokenizer_json(json.dumps(document).encode(), end_ids=[2])
    assert vocabulary.decode([0, 1]) == b" a\xe9"


def test_special_ids_have_no_bytes_and_added_text_is_literal() -> None:
    data = byte_level({"a": 0}, [END, added(4, "<tool>", special=False)])
    vocabulary = Vocabulary.from_tokenizer_json(data, end_ids=[3])
    assert vocabulary.special_ids == {3}
    assert vocabulary.token_bytes(3) == b""
    assert vocabulary.token_bytes(4) == b"<tool>"


def test_ids_that_the_file_leaves_out_have_no_bytes() -> None:
    vocabulary = Vocabulary.from_tokenizer_json(byte_level({"a": 0}, [END]), end_ids=[3])
    assert vocabulary.size == 4
    assert vocabulary.token_bytes(1) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"model": {"vocab": {}}}',
        b'{"model": {"vocab": {"a": -1}}, "decoder": {"type": "ByteLevel"}}',
        b'{"model": {"vocab": {"a": 99999999}}, "decoder": {"type": "ByteLevel"}}',
        '{"model": {"vocab": {"語": 0}}, "decoder": {"type": "ByteLevel"}}'.encode(),
        b'{"model": {"type": "WordPiece", "vocab": {"a": 0}}}',
    ],
)
def test_what_is_no_tokenizer_is_refused(data: bytes) -> None:
    with pytest.raises(VocabularyError):
        Vocabulary.from_tokenizer_json(data, end_ids=[0])


@pytest.mark.parametrize("end_ids", [[], [-1], [4]])
def test_a_vocabulary_has_an_end_inside_it(end_ids: list[int]) -> None:
    with pytest.raises(VocabularyError, match="end ids"):
        Vocabulary.from_tokenizer_json(byte_level({"a": 0}, [END]), end_ids=end_ids)


def test_the_fingerprint_tells_bytes_specials_and_ends_apart() -> None:
    base = {"special_ids": [2], "end_ids": [1]}
    fingerprints = {
        Vocabulary([b"a", b"b", b"c"], **base).fingerprint,
        Vocabulary([b"x", b"b", b"c"], **base).fingerprint,
        Vocabulary([b"a", b"b", b"c"], special_ids=[], end_ids=[1]).fingerprint,
        Vocabulary([b"a", b"b", b"c"], special_ids=[1], end_ids=[2]).fingerprint,
        Vocabulary([b"a", b"b", b"c", b""], **base).fingerprint,
    }
    assert len(fingerprints) == 5


def test_what_tokenize_says_decodes_to_the_text(model_vocabulary: Vocabulary) -> None:
    for text in (b'{"a": 1}', "naïve 語 😀".encode(), b"\xff\xfe", b"<|im_start|>", b""):
        token_ids = model_vocabulary.tokenize(text)
        assert model_vocabulary.decode(token_ids) == text
        assert model_vocabulary.special_ids.isdisjoint(token_ids)


class TestModelFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        data = byte_level({"a": 0, "b": 1}, [added(2, "<end>"), added(3, "<turn>")])
        (tmp_path / "tokenizer.json").write_bytes(data)
        return tmp_path

    def write(self, folder: Path, name: str, document: object) -> None:
        (folder / name).write_text(json.dumps(document))

    def test_every_end_of_generation_and_tokenizer_config_ends(self, folder: Path) -> None:
        self.write(folder, "generation_config.json", {"eos_token_id": [3]})
        self.write(folder, "tokenizer_config.json", {"eos_token": {"content": "<end>"}})
        assert load_vocabulary(folder).end_ids == (2, 3)

    def test_config_counts_where_generation_config_says_nothing(self, folder: Path) -> None:
        self.write(folder, "generation_config.json", {})
        self.write(folder, "config.json", {"eos_token_id": 2})
        assert load_vocabulary(folder).end_ids == (2,)

    @pytest.mark.parametrize("value", ["2", True, [2, "3"], {"id": 2}])
    def test_a_malformed_end_is_refused(self, folder: Path, value: object) -> None:
        self.write(folder, "generation_config.json", {"eos_token_id": value})
        with pytest.raises(VocabularyError, match="eos_token_id"):
            load_vocabulary(folder)

    def test_a_folder_without_an_end_is_refused(self, folder: Path) -> None:
        with pytest.raises(VocabularyError, match="end ids"):
            load_vocabulary(folder)

    def test_a_folder_without_a_tokenizer_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(VocabularyError, match=r"tokenizer\.json"):
            load_vocabulary(tmp_path)

    def test_a_file_that_is_not_json_is_refused_by_name(self, folder: Path) -> None:
        (folder / "config.json").write_text("{")
        with pytest.raises(VocabularyError, match=r"config\.json"):
            load_vocabulary(folder)
