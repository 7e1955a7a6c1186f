"""Our engine in the benchmark's harness: give it this file's path as the engine's name.

Variants, joined by "+": "" the default options; "wide" whitespace bounded to 1, all spellings, any
order; "annotate" `format` asserts nothing; "open" masks without forced runs.
"""

import json
import marshal
from typing import Any

import numpy as np
import tok
from formwork_engine import (
    Cursor,
    EngineError,
    Index,
    IndexOptions,
    JsonSchema,
    PropertyOrder,
    Spellings,
    Vocabulary,
    Whitespace,
    compile_index,
)
from formwork_engine._native import ffi, lib
from formwork_engine.envelope import Choice, Envelope, Part, Sequence, Text, link_index
from formwork_engine.tokenisation import Tokenisation
from numpy.typing import NDArray

_mask, _advance, _state = (
    lib.formwork_cursor_mask,
    lib.formwork_cursor_advance,
    lib.formwork_cursor_state,
)
_MAY_END = lib.MayEnd


def vocabulary_of(*, is_cut: bool = True) -> Vocabulary:
    """Return the harness's vocabulary, which knows how its tokenizer cuts text if it shall."""
    tokens, (pattern, _ranks) = tok.token_bytes(b""), tok.load()
    return Vocabulary(
        tokens,
        special_ids=range(tok.SPECIALS),
        end_ids=[tok.EOS],
        tokenisation=Tokenisation.of_ranks(tokens, pattern) if is_cut and pattern else None,
    )


class Engine:
    """One tokenizer and one set of options."""

    def __init__(self, variant: str = "") -> None:
        parts = set(variant.split("+")) - {""}
        unknown = parts - {"wide", "annotate", "open"}
        if unknown:
            raise ValueError(f"no such variant: {sorted(unknown)}")
        self.vocabulary = vocabulary_of(is_cut="open" not in parts)
        self.is_wide = "wide" in parts
        self.is_asserting = "annotate" not in parts
        self.tools: dict[tuple[str, bytes], Envelope] = {}
        self.set_remotes({})

    def set_remotes(self, schemas: dict[str, Any]) -> None:
        """Tell what remote references mean, by URI."""
        wide = {
            "whitespace": Whitespace.BOUNDED,
            "max_whitespace": 1,
            "property_order": PropertyOrder.ANY,
            "spellings": Spellings.ALL,
        }
        self.options = IndexOptions(
            **(wide if self.is_wide else {}),
            format_assertion=self.is_asserting,
            remotes=tuple((uri, json.dumps(schema)) for uri, schema in schemas.items()),
        )
        self.tools.clear()

    def compile(self, schema: Any) -> "Artifact":  # noqa: ANN401 - any JSON
        """Return the index of a schema."""
        text = JsonSchema(json.dumps(schema))
        return Artifact(compile_index(text, self.vocabulary, self.options))

    def compile_union(self, schemas: list[Any]) -> "Artifact":
        """Return the index of what any of the schemas allows."""
        return self.compile({"anyOf": schemas})

    def compile_tools(self, tools: list[tuple[str, Any]]) -> "Artifact":
        """Return the index of one call of any of the tools, linked from an index for each.

        What was compiled for a tool is kept, by its name and its schema.
        """
        if self.is_wide:  # whitespace and order are free around the arguments too
            return self.compile_union([_call(name, schema) for name, schema in tools])
        each = tuple([self.tool(*tool) for tool in tools])
        call = Sequence((_BEGIN, Choice(each), _END))
        return Artifact(link_index(call, self.vocabulary))

    def tool(self, name: str, schema: Any) -> Envelope:  # noqa: ANN401 - any JSON
        """Return what a call of a tool looks like, its arguments an index of their own."""
        key = name, _content(schema)
        known = self.tools.get(key)
        if known is None:
            text = f'{json.dumps(name, ensure_ascii=False)},"arguments":'
            known = Sequence((Text(text), Part(self.compile(schema).index)))
            self.tools[key] = known
        return known

    def load(self, data: bytes) -> "Artifact":
        """Return a dumped index."""
        return Artifact(Index.load(data, self.vocabulary))


_BEGIN, _END = Text('{"name":'), Text("}")


def _call(name: str, schema: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": schema},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _content(schema: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Return what makes a schema another one: its JSON, by the quickest writer that is there."""
    return marshal.dumps(schema, 0)  # the version without references to what it met before


class Artifact:
    """A compiled schema."""

    def __init__(self, index: Index) -> None:
        self.index = index

    def matcher(self) -> "Matcher":
        """Return a cursor at the start."""
        return Matcher(self.index.cursor())

    def dump(self) -> bytes:
        """Return it as bytes."""
        return self.index.dump()

    def fill(self, seconds: float) -> None:
        """Compute reachable masks ahead."""
        self.index.fill(seconds)


class Matcher:
    """One sequence's place: as `Cursor`, by the cheapest calls that there are."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor, self.handle = cursor, cursor.handle
        self.buffer: NDArray[np.int32] | None = None

    def mask(self, buffer: NDArray[np.int32]) -> None:
        """Fill a mask."""
        if self.buffer is not buffer:  # a pointer costs as much as a small mask
            self.buffer, self.words = buffer, buffer.size
            self.pointer = ffi.from_buffer("uint32_t[]", buffer)
        if _mask(self.handle, self.pointer, self.words):
            raise EngineError(self.cursor.failure)

    def accept(self, token_id: int) -> bool:
        """Move on by a token; tell whether it was allowed."""
        return not _advance(self.handle, token_id)

    def is_accepting(self) -> bool:
        """Tell whether the sequence may end."""
        return bool(_state(self.handle) & _MAY_END)
