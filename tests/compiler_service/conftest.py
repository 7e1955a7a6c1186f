"""What the compiler's tests share."""

import pytest
from formwork_engine import IndexOptions, JsonSchema

from compiler_service.canonical import CanonicalGrammar, canonicalise
from compiler_service.config import CompilerConfig
from mesh.ids import Fingerprint
from mesh.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def config() -> CompilerConfig:
    return CompilerConfig()


@pytest.fixture
def grammar() -> CanonicalGrammar:
    return CanonicalGrammar(
        JsonSchema(canonicalise({"type": "string"})),
        IndexOptions(),
        CompilerConfig().budget(),
        Fingerprint("f" * 64),
    )
