"""Which engine this is: part of every index id, so that no index outlives its engine."""

from typing import Final

from formwork_engine import _llguidance

LOWERING_VERSION: Final = 5
"""Raised with every change of what a grammar is lowered to."""
ENGINE_VERSION: Final = f"{_llguidance.VERSION}+{LOWERING_VERSION}"
