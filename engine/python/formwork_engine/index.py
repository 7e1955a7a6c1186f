"""One compiled grammar for one vocabulary."""

from typing import Any

from formwork_engine._native import ffi, lib
from formwork_engine.abi import copied, owned, raise_error
from formwork_engine.cursor import Cursor
from formwork_engine.inputs import (
    AnyJson,
    Budget,
    GrammarInput,
    IndexOptions,
    JsonSchema,
    Lark,
    Regex,
)
from formwork_engine.options import arguments_of
from formwork_engine.vocabulary import Vocabulary

_OPTIONS, _BUDGET = IndexOptions(), Budget()


class Index:
    """A grammar compiled for a vocabulary: shareable between threads.

    Made by `compile_index` or `Index.load`. What it allows never changes; it learns masks as
    cursors meet them.
    """

    def __init__(self, handle: Any, vocabulary: Vocabulary) -> None:  # noqa: ANN401 - cffi's
        self.handle = handle
        self.vocabulary = vocabulary

    @property
    def shortest_answer_tokens(self) -> int | None:
        """Tokens of a short answer, without the end token; None: none is known."""
        return self.cursor().shortest_end_tokens

    def cursor(self) -> Cursor:
        """Return a cursor at the start."""
        handle = owned(lib.formwork_cursor_free, lib.formwork_index_cursor, self.handle)
        return Cursor(handle, self.vocabulary)

    def dump(self) -> bytes:
        """Return the index as bytes that `load` takes: versioned and checked."""
        made = owned(lib.formwork_bytes_free, lib.formwork_index_dump, self.handle)
        return copied(lib.formwork_bytes_data, made)

    def fill(self, seconds: float) -> None:
        """Compute masks ahead, for about so long."""
        error = ffi.new("FormworkError **")
        if lib.formwork_index_fill(self.handle, round(seconds * 1000), error):
            raise_error(error[0])

    @classmethod
    def load(cls, data: bytes, vocabulary: Vocabulary) -> "Index":
        """Return the index that `dump` wrote.

        Raises:
            IndexFormatError: Not an index, damaged, or of another engine version or vocabulary.
            EngineError: What its grammar is refused for: a compiler never wrote these bytes.
        """
        handle = owned(
            lib.formwork_index_free,
            lib.formwork_index_load,
            vocabulary.handle,
            ffi.from_buffer(data),
            len(data),
        )
        return cls(handle, vocabulary)


def compile_index(
    grammar: GrammarInput,
    vocabulary: Vocabulary,
    options: IndexOptions | None = None,
    budget: Budget | None = None,
) -> Index:
    """Return the index of a grammar, its first mask computed.

    Bounded by the budget in size and in steps, not by a clock: run it where a process may be ended.

    Raises:
        MalformedError: Not a schema, expression or grammar.
        UnsupportedError: It says something that cannot be enforced.
        TooLargeError: A limit of the budget, or one of the engine's own.
    """
    kind, text = _kind_and_text(grammar)
    arguments = arguments_of(options or _OPTIONS, budget or _BUDGET)
    handle = owned(
        lib.formwork_index_free,
        lib.formwork_index_compile,
        vocabulary.handle,
        kind,
        ffi.from_buffer(text),
        len(text),
        arguments.pointer,
    )
    return Index(handle, vocabulary)


def free_here() -> None:
    """Have indexes freed by whoever leaves them, in this process from now on.

    Otherwise another thread does it, which suits those who serve, and not those who compile one
    index after the other.
    """
    lib.formwork_free_here()


def _kind_and_text(grammar: GrammarInput) -> tuple[int, bytes]:
    match grammar:
        case JsonSchema(text=text):
            return lib.JsonSchema, text.encode(errors="surrogatepass")
        case AnyJson(object_only=True):
            return lib.JsonSchema, b'{"type":"object"}'
        case AnyJson():
            return lib.AnyJson, b""
        case Regex(pattern=pattern):
            return lib.Regex, pattern.encode(errors="surrogatepass")
        case Lark(definition=definition):
            return lib.Lark, definition.encode(errors="surrogatepass")
