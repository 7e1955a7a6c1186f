"""What crosses between the service and its compiling process: length-prefixed JSON and bytes.

The service sends, over one control socket, one byte and a file descriptor per compile. That
descriptor is a socket of its own, on which one job goes in and at most one result comes out; an end
without a result means that the compile was ended from outside: by its alarm, its memory limit, or a
crash.
"""

import json
import socket
import struct
from dataclasses import dataclass
from typing import Any, Final

from formwork_engine import EngineError, MalformedError, TooLargeError, UnsupportedError

MAX_FRAME_BYTES: Final = 256 * 1024 * 1024
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Job:
    """One compile and its limits."""

    canonical_grammar: bytes
    seconds: float
    """Wall-clock time after which the kernel ends it."""
    memory_bytes: int
    """Address space that it may add."""


@dataclass(frozen=True)
class CompiledIndex:
    """The bytes of a compiled index and what it took."""

    data: bytes
    shortest_answer_tokens: int | None
    compile_seconds: float


def write_job(job: Job) -> bytes:
    """Return the frames of a job."""
    head = {"seconds": job.seconds, "memory_bytes": job.memory_bytes}
    return _frame(json.dumps(head).encode()) + _frame(job.canonical_grammar)


def read_job(connection: socket.socket) -> Job:
    """Return the job that was written.

    Raises:
        EOFError: The other side went away.
    """
    head = json.loads(_receive_frame(connection))
    return Job(_receive_frame(connection), head["seconds"], head["memory_bytes"])


def write_index(compiled: CompiledIndex) -> bytes:
    """Return the frames of a compiled index."""
    head = {
        "shortest_answer_tokens": compiled.shortest_answer_tokens,
        "compile_seconds": compiled.compile_seconds,
    }
    return _frame(json.dumps(head).encode()) + _frame(compiled.data)


def write_refusal(error: EngineError) -> bytes:
    """Return the frames of what the engine refused."""
    match error:
        case UnsupportedError():
            fields: tuple[Any, ...] = (error.pointer, error.keyword, error.reason)
        case MalformedError():
            fields = (error.reason, error.pointer, error.keyword)
        case TooLargeError():
            fields = (error.limit, error.maximum, error.value)
        case _:
            fields = (str(error),)
    return _frame(json.dumps({"error": type(error).__name__, "fields": fields}).encode())


def read_result(frames: bytes) -> CompiledIndex | None:
    """Return the index that the frames hold; None where they end early.

    Raises:
        EngineError: What was refused.
    """
    head_bytes, rest = _split_frame(frames)
    if head_bytes is None:
        return None
    head = json.loads(head_bytes)
    if "error" in head:
        raise _refusal(head["error"], head["fields"])
    data, _ = _split_frame(rest)
    if data is None:
        return None
    return CompiledIndex(data, head["shortest_answer_tokens"], head["compile_seconds"])


def _refusal(name: str, fields: list[Any]) -> EngineError:
    match name:
        case "UnsupportedError":
            return UnsupportedError(*fields)
        case "MalformedError":
            reason, pointer, keyword = fields
            return MalformedError(reason, pointer=pointer, keyword=keyword)
        case "TooLargeError":
            return TooLargeError(*fields)
    return EngineError(*fields)


def _frame(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _split_frame(data: bytes) -> tuple[bytes | None, bytes]:
    if len(data) < _LENGTH.size:
        return None, b""
    (size,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + size
    return (data[_LENGTH.size : end] if len(data) >= end else None), data[end:]


def _receive_frame(connection: socket.socket) -> bytes:
    (size,) = _LENGTH.unpack(_receive(connection, _LENGTH.size))
    if size > MAX_FRAME_BYTES:
        raise EOFError("a frame is too long")
    return _receive(connection, size)


def _receive(connection: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = connection.recv(min(size, 1 << 20))
        if not part:
            raise EOFError("the other side went away")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
