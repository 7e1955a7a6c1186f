"""What stands in for the native engine: the only module that knows llguidance.

llguidance 1.9.1 never raises for a grammar: a matcher enters an error state instead, which is read
and turned into a typed error here. A matcher that is out of fuel does the same.
"""

from collections.abc import Sequence
from functools import lru_cache

import llguidance
import numpy as np
from llguidance import LLExecutor, LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from numpy.typing import NDArray

from formwork_engine.errors import MalformedError, TooLargeError, UnsupportedError
from formwork_engine.inputs import Budget
from formwork_engine.vocabulary import Vocabulary

VERSION = f"llguidance-{llguidance.__version__}"

# What llguidance says when a limit of LLParserLimits was passed, and the field of the budget.
_LIMIT_OF_PHRASE = (
    ("initial lexer configuration (grammar) too big", "max_lexer_fuel"),
    ("fuel", "max_lexer_fuel"),
    ("grammar size", "max_grammar_size"),
    ("too many items", "max_step_items"),
    ("too many states", "max_states"),
    ("too many expressions", "max_lexer_fuel"),
    ("too complex", "max_lexer_fuel"),
    ("too large", "max_grammar_size"),
    ("too big", "max_grammar_size"),
)


class _ByteTokenizer:
    """The vocabulary in the shape that llguidance's TokenizerWrapper wants."""

    bos_token_id = None

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.eos_token_id = vocabulary.end_ids[0]
        self.special_token_ids = sorted(vocabulary.special_ids)
        self.tokens = [self._token(token_id) for token_id in range(vocabulary.size)]

    def _token(self, token_id: int) -> bytes:
        if token_id in self._vocabulary.special_ids:
            return b"<|%d|>" % token_id  # must not be empty; never part of any text
        return self._vocabulary.token_bytes(token_id)

    def __call__(self, text: bytes) -> list[int]:
        """Return the tokens of a text as its tokenizer writes it: what forced runs are cut from."""
        return self._vocabulary.tokenize(text)


def open_tokenizer(vocabulary: Vocabulary) -> LLTokenizer:
    """Return llguidance's view of a vocabulary: seconds for a large one, so keep it."""
    return LLTokenizer(
        TokenizerWrapper(_ByteTokenizer(vocabulary)),
        n_vocab=vocabulary.size,
        eos_token=list(vocabulary.end_ids),
        slices=LLTokenizer.json_slices(),
    )


def grammar_of_regex(pattern: str) -> str:
    """Return llguidance's grammar of a regular expression."""
    return LLMatcher.grammar_from_regex(pattern)


def grammar_of_lark(definition: str) -> str:
    """Return llguidance's grammar of a Lark grammar."""
    return LLMatcher.grammar_from_lark(definition)


@lru_cache(maxsize=10_000)
def is_empty_terminal(definition: str) -> bool:
    """Return whether a terminal of this definition matches no text at all.

    Raises:
        MalformedError: llguidance refuses the definition.
        TooLargeError: It cannot be told within the default budget.
    """
    matcher = open_matcher(
        _byte_tokenizer(), grammar_of_lark(f"start: A\nA: {definition}"), Budget()
    )
    matcher.compute_bitmask()
    return bool(matcher.is_error() or matcher.is_stopped()) and not matcher.is_accepting()


@lru_cache(maxsize=1)
def _byte_tokenizer() -> LLTokenizer:
    tokens = [bytes([byte]) for byte in range(256)]
    return open_tokenizer(Vocabulary([*tokens, b""], special_ids=[], end_ids=[256]))


def open_matcher(tokenizer: LLTokenizer, grammar: str, budget: Budget) -> LLMatcher:
    """Return a matcher at the start of the grammar.

    Raises:
        MalformedError: llguidance refuses the grammar.
        TooLargeError: It does not fit the budget.
    """
    limits = LLParserLimits(
        initial_lexer_fuel=budget.max_lexer_fuel,
        step_lexer_fuel=budget.max_step_fuel,
        step_max_items=budget.max_step_items,
        max_items_in_row=budget.max_row_items,
        max_lexer_states=budget.max_states,
        max_grammar_size=budget.max_grammar_size,
        verbose_errors=False,
    )
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=limits)
    raise_failure(matcher, budget)
    return matcher


def raise_failure(matcher: LLMatcher, budget: Budget) -> None:
    """Raise what is wrong with a matcher, if anything is."""
    if not matcher.is_error():
        return
    message = error_text(matcher)
    if message.startswith("NoExtension"):
        raise UnsupportedError("", "grammar", "leaves nothing that could be written")
    for phrase, limit in _LIMIT_OF_PHRASE:
        if phrase in message.lower():
            maximum = getattr(budget, limit)
            raise TooLargeError(limit, maximum, maximum + 1)
    raise MalformedError(message)


def is_spent(matcher: LLMatcher) -> bool:
    """Return whether a matcher failed because its lexer, which others share, is out of budget."""
    return matcher.is_error() and "lexer error" in matcher.get_error()


def error_text(matcher: LLMatcher) -> str:
    """Return why a matcher has failed, without llguidance's dump of its state."""
    return str(matcher.get_error()).partition("\n<")[0].strip()[:500]


def fill_mask(matcher: LLMatcher, row: NDArray[np.int32]) -> None:
    """Write the mask into a contiguous row, as llguidance sees it; releases the GIL."""
    matcher.unsafe_compute_mask_ptr(row.ctypes.data, row.nbytes)


def fill_masks(
    matchers: Sequence[LLMatcher], rows: Sequence[int], out: NDArray[np.int32], threads: int
) -> None:
    """Write many masks into rows of a contiguous (batch, words) array, on `threads` threads."""
    _executor(threads).unsafe_compute_mask_ptr(
        list(zip(matchers, rows, strict=True)), out.ctypes.data, out.strides[0], out.shape[0]
    )


@lru_cache(maxsize=8)
def _executor(threads: int) -> LLExecutor:
    return LLExecutor(threads)
