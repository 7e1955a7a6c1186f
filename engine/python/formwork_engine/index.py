"""One compiled grammar for one vocabulary."""

import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from formwork_engine import _llguidance, index_format
from formwork_engine.cursor import Cursor
from formwork_engine.deep_stack import call_deep
from formwork_engine.errors import CursorError, TooLargeError, UnsupportedError
from formwork_engine.grammar import write_grammar
from formwork_engine.index_format import IndexContent
from formwork_engine.inputs import AnyJson, Budget, GrammarInput, IndexOptions, JsonSchema
from formwork_engine.unique_keys import key_rule_of
from formwork_engine.vocabulary import Vocabulary

_tokenizers: WeakKeyDictionary[Vocabulary, Any] = WeakKeyDictionary()
_tokenizers_lock = threading.Lock()


class Index:
    """A grammar compiled for a vocabulary: immutable, shareable between threads.

    Made by `compile_index` or `Index.load`.
    """

    def __init__(
        self,
        content: IndexContent,
        vocabulary: Vocabulary,
        open_matcher: Callable[[], Any],
    ) -> None:
        self._content = content
        self._open = open_matcher
        self._matcher = open_matcher()
        self.vocabulary = vocabulary

    @property
    def shortest_answer_tokens(self) -> int | None:
        """Tokens of the shortest answer, without the end token; None: this engine cannot tell."""
        return None

    def cursor(self) -> Cursor:
        """Return a cursor at the start."""
        is_json = isinstance(self._content.grammar, JsonSchema | AnyJson)
        keys = key_rule_of(self.vocabulary) if is_json else None
        return Cursor(self._matcher.deep_copy(), self.vocabulary, keys, self._open_afresh)

    def _open_afresh(self) -> Any:  # noqa: ANN401 - untyped library
        """Return a matcher that shares nothing, and leave another to the cursors to come."""
        self._matcher = self._open()
        return self._open()

    def dump(self) -> bytes:
        """Return the index as bytes that `load` takes: versioned, checked, the same each time."""
        return index_format.write_index(self._content, self.vocabulary.fingerprint)

    @classmethod
    def load(cls, data: bytes, vocabulary: Vocabulary) -> "Index":
        """Return the index that `dump` wrote.

        Raises:
            IndexFormatError: Not an index, damaged, or of another engine version or vocabulary.
            EngineError: What its grammar is refused for: a compiler never wrote these bytes.
        """
        return _open_index(index_format.read_index(data, vocabulary.fingerprint), vocabulary)


def compile_index(
    grammar: GrammarInput,
    vocabulary: Vocabulary,
    options: IndexOptions | None = None,
    budget: Budget | None = None,
) -> Index:
    """Return the index of a grammar, its first mask computed.

    Bounded by the budget in size and by llguidance's fuel in work, not by a clock: run it where a
    process may be ended.

    Raises:
        MalformedError: Not a schema, expression or grammar.
        UnsupportedError: It says something that cannot be enforced.
        TooLargeError: A limit of the budget.
    """
    options, budget = options or IndexOptions(), budget or Budget()
    try:
        lowered = write_grammar(grammar, options, budget)
    except RecursionError as error:
        raise TooLargeError("max_depth", budget.max_depth, budget.max_depth + 1) from error
    return _open_index(IndexContent(grammar, options, budget, lowered), vocabulary)


def _open_index(content: IndexContent, vocabulary: Vocabulary) -> Index:
    tokenizer = _tokenizer_of(vocabulary)

    def open_matcher() -> Any:  # noqa: ANN401 - untyped library
        return call_deep(
            lambda: _llguidance.open_matcher(tokenizer, content.lowered, content.budget)
        )

    index = Index(content, vocabulary, open_matcher)
    _compute_first_mask(index, content.budget)
    return index


def _compute_first_mask(index: Index, budget: Budget) -> None:
    """Fail now if no sequence could start: out of fuel at the first step, or nothing to say."""
    cursor = index.cursor()
    try:
        cursor.fill_mask(np.zeros(index.vocabulary.words, dtype=np.int32))
    except CursorError as error:
        cursor.raise_failure(budget)
        raise UnsupportedError("", "grammar", "has no token to begin with") from error


def _tokenizer_of(vocabulary: Vocabulary) -> Any:  # noqa: ANN401 - untyped library
    with _tokenizers_lock:
        tokenizer = _tokenizers.get(vocabulary)
        if tokenizer is None:
            tokenizer = _tokenizers[vocabulary] = _llguidance.open_tokenizer(vocabulary)
        return tokenizer
