"""Options and budget as the C ABI takes them."""

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

from formwork_engine._native import ffi
from formwork_engine.errors import TooLargeError, UnsupportedError
from formwork_engine.inputs import Budget, IndexOptions, PropertyOrder, Spellings, Whitespace

MAX_WHITESPACE: Final = 64
_SEPARATORS: Final = {
    "item_separator": re.compile(r",( {0,8})"),
    "key_separator": re.compile(r":( {0,8})"),
}


class Arguments(NamedTuple):
    """A C structure, and what it points to."""

    pointer: Any
    keeps: tuple[Any, ...]


@lru_cache(maxsize=8)
def arguments_of(options: IndexOptions, budget: Budget) -> Arguments:
    """Return options and budget as `formwork_index_compile` takes them.

    Raises:
        UnsupportedError: A separator that is none.
        TooLargeError: Too much whitespace.
    """
    if not 0 <= options.max_whitespace <= MAX_WHITESPACE:
        raise TooLargeError("max_whitespace", MAX_WHITESPACE, options.max_whitespace)
    remotes, texts = _remotes_of(options)
    fields = {
        "is_whitespace_bounded": options.whitespace is Whitespace.BOUNDED,
        "max_whitespace": options.max_whitespace,
        "item_spaces": _spaces_of(options, "item_separator"),
        "key_spaces": _spaces_of(options, "key_separator"),
        "any_order": options.property_order is PropertyOrder.ANY,
        "all_spellings": options.spellings is Spellings.ALL,
        "format_assertion": options.format_assertion,
        "in_json_string": options.in_json_string,
        "remotes": remotes,
        "remote_count": len(remotes),
        "max_bytes": budget.max_bytes,
        "max_depth": budget.max_depth,
        "max_nodes": budget.max_nodes,
        "compile_fuel": budget.compile_fuel,
        "mask_fuel": budget.mask_fuel,
    }
    return Arguments(ffi.new("FormworkOptions *", fields), (remotes, texts))


def _spaces_of(options: IndexOptions, name: str) -> int:
    form = _SEPARATORS[name].fullmatch(getattr(options, name))
    if form is None:
        raise UnsupportedError("", name, "is not the separator and up to eight spaces")
    return len(form.group(1))


def _remotes_of(options: IndexOptions) -> tuple[Any, list[Any]]:
    texts, remotes = [], []
    for uri, schema in options.remotes:
        name, text = (ffi.from_buffer(part.encode()) for part in (uri, schema))
        texts += [name, text]
        remotes.append((name, len(name), text, len(text)))
    return ffi.new("FormworkRemote[]", remotes), texts
