"""Which engine this is: part of every index id, so that no index outlives its engine."""

from typing import Final

from formwork_engine._native import ffi, lib


def _read_version() -> str:
    length = ffi.new("size_t *")
    text = lib.formwork_engine_version(length)
    return bytes(ffi.buffer(text, length[0])).decode("ascii")


ENGINE_VERSION: Final = _read_version()
