"""The model table: aliases move, snapshots do not, and nothing unknown gets through."""

from pathlib import Path

import pytest

from mesh.config import ConfigError, Settings
from mesh.errors import ModelUnknownError, TokenizerUnknownError
from mesh.models import ModelTable, load_models

ENTRY = {"folder": "mini", "tokenizer_fingerprint": "f" * 64}


def load(models: dict[str, object], aliases: dict[str, object]) -> ModelTable:
    return load_models(Settings({"models": models, "aliases": aliases}, {}, Path("/models")))


def test_an_alias_and_a_snapshot_resolve_to_the_snapshot() -> None:
    table = load({"mini-1": ENTRY}, {"mini": "mini-1"})
    assert table.resolve("mini") == table.resolve("mini-1") == "mini-1"
    assert table.with_fingerprint("f" * 64).folder == Path("/models/mini")


def test_an_alias_may_name_several_snapshots_in_an_order() -> None:
    table = load({"mini-1": ENTRY, "mini-2": ENTRY}, {"mini": ["mini-2", "mini-1"]})
    assert table.candidates("mini") == ("mini-2", "mini-1")
    assert table.candidates("mini-1") == ("mini-1",)
    assert table.resolve("mini") == "mini-2"


def test_unknown_names_are_named() -> None:
    table = load({"mini-1": ENTRY}, {})
    with pytest.raises(ModelUnknownError, match="gpt-9"):
        table.resolve("gpt-9")
    with pytest.raises(TokenizerUnknownError, match="0000"):
        table.with_fingerprint("0000")


@pytest.mark.parametrize(
    ("models", "aliases", "named"),
    [
        ({"mini-1": ENTRY}, {"mini": "mini-2"}, "aliases.mini"),
        ({"mini-1": ENTRY}, {"mini-1": "mini-1"}, "aliases.mini-1"),
        ({"mini-1": {**ENTRY, "prise": 1}}, {}, "models.mini-1.prise"),
        ({"mini-1": {"folder": "x"}}, {}, "tokenizer_fingerprint"),
        ({"mini-1": 3}, {}, "models.mini-1"),
        ({"mini-1": ENTRY}, {"mini": 3}, "aliases.mini"),
        ({"mini-1": ENTRY}, {"mini": []}, "aliases.mini: names no snapshot"),
        ({"mini-1": ENTRY}, {"mini": ["mini-1", "mini-1"]}, "aliases.mini: .* twice"),
        ({"mini-1": ENTRY}, {"mini": ["mini-1", "mini-2"]}, "models.mini-2"),
        ({"mini-1": ENTRY}, {"mini": ["mini-1", 2]}, "aliases.mini"),
    ],
)
def test_a_wrong_table_is_refused_by_name(
    models: dict[str, object], aliases: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        load(models, aliases)
