"""Vocabularies."""

from pathlib import Path

import pytest
from formwork_engine import Vocabulary, load_vocabulary
from formwork_engine.testing import small_vocabulary

MODEL = Path(__file__).parents[2] / "models" / "formwork-mini"


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """A small one."""
    return small_vocabulary()


@pytest.fixture(scope="session")
def model_vocabulary() -> Vocabulary:
    """The built-in model's."""
    return load_vocabulary(MODEL)
