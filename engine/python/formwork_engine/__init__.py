"""The grammar engine: schema → index → masks.

    vocabulary = load_vocabulary(folder)
    index = compile_index(JsonSchema(text), vocabulary)
    cursor = index.cursor()
    cursor.fill_mask(mask)      # which tokens may come next
    cursor.advance(token_id)

Vocabularies and indexes may be used by many threads at once; a cursor by one.
"""

from formwork_engine.cursor import Cursor, MaskStatus, advance_all, fill_masks
from formwork_engine.errors import (
    CursorError,
    EngineError,
    IndexFormatError,
    LimitReachedError,
    MalformedError,
    TooLargeError,
    UnsupportedError,
    VocabularyError,
)
from formwork_engine.index import Index, compile_index, free_here
from formwork_engine.inputs import (
    AnyJson,
    Budget,
    GrammarInput,
    IndexOptions,
    JsonSchema,
    Lark,
    PropertyOrder,
    Regex,
    Spellings,
    Whitespace,
)
from formwork_engine.version import ENGINE_VERSION
from formwork_engine.vocabulary import Vocabulary, load_vocabulary

__all__ = [
    "ENGINE_VERSION",
    "AnyJson",
    "Budget",
    "Cursor",
    "CursorError",
    "EngineError",
    "GrammarInput",
    "Index",
    "IndexFormatError",
    "IndexOptions",
    "JsonSchema",
    "Lark",
    "LimitReachedError",
    "MalformedError",
    "MaskStatus",
    "PropertyOrder",
    "Regex",
    "Spellings",
    "TooLargeError",
    "UnsupportedError",
    "Vocabulary",
    "VocabularyError",
    "Whitespace",
    "advance_all",
    "compile_index",
    "fill_masks",
    "free_here",
    "load_vocabulary",
]
