"""What crosses between the service and the processes that compile: length-prefixed frames.

The service sends, over one control socket, one byte and a file descriptor for each compiling
process it wants. On that descriptor the process first says its id, then takes jobs, one at a time,
each answered by one result. An end in place of a result means that the process was ended from
outside: by its alarm, its memory limit, or a crash.
"""

import asyncio
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
    fill_seconds: float = 0.0
    """How long to fill the index, at the lowest priority; 0: not at all."""


@dataclass(frozen=True)
class CompiledIndex:
    """The bytes of a compiled index and what it took."""

    data: bytes
    shortest_answer_tokens: int | None
    compile_seconds: float


@dataclass(frozen=True)
class Answer:
    """What a compiling process says to a job."""

    result: CompiledIndex | EngineError
    is_last: bool = False
    """The process takes no further job."""


def write_job(job: Job) -> bytes:
    """Return the frame of a job."""
    head = {"seconds": job.seconds, "fill_seconds": job.fill_seconds}
    return frame(_join(head, job.canonical_grammar))


def read_job(data: bytes) -> Job:
    """Return the job that a frame holds."""
    head, canonical_grammar = _part(data)
    return Job(canonical_grammar, head["seconds"], head["fill_seconds"])


def write_answer(answer: Answer) -> bytes:
    """Return the frame of an answer."""
    if isinstance(answer.result, EngineError):
        name, fields = _refusal_fields(answer.result)
        return frame(_join({"last": answer.is_last, "error": name, "fields": fields}, b""))
    head = {
        "last": answer.is_last,
        "shortest_answer_tokens": answer.result.shortest_answer_tokens,
        "compile_seconds": answer.result.compile_seconds,
    }
    return frame(_join(head, answer.result.data))


def read_answer(data: bytes) -> Answer:
    """Return the answer that a frame holds."""
    head, index = _part(data)
    if "error" in head:
        return Answer(_refusal(head["error"], head["fields"]), head["last"])
    compiled = CompiledIndex(index, head["shortest_answer_tokens"], head["compile_seconds"])
    return Answer(compiled, head["last"])


def frame(data: bytes) -> bytes:
    """Return bytes with their length before them."""
    return _LENGTH.pack(len(data)) + data


def receive_frame(connection: socket.socket) -> bytes:
    """Return the next frame of a blocking socket.

    Raises:
        EOFError: The other side went away.
    """
    (size,) = _LENGTH.unpack(_receive(connection, _LENGTH.size))
    if size > MAX_FRAME_BYTES:
        raise EOFError("a frame is too long")
    return _receive(connection, size)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame of a stream.

    Raises:
        EOFError: The other side went away.
    """
    (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return await reader.readexactly(size)


def _join(head: dict[str, Any], rest: bytes) -> bytes:
    return frame(json.dumps(head).encode()) + rest


def _part(data: bytes) -> tuple[dict[str, Any], bytes]:
    (size,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + size
    return json.loads(data[_LENGTH.size : end]), data[end:]


def _receive(connection: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = connection.recv(min(size, 1 << 20))
        if not part:
            raise EOFError("the other side went away")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _refusal_fields(error: EngineError) -> tuple[str, tuple[Any, ...]]:
    match error:
        case UnsupportedError():
            return "UnsupportedError", (error.pointer, error.keyword, error.reason)
        case MalformedError():
            return "MalformedError", (error.reason, error.pointer, error.keyword)
        case TooLargeError():
            return "TooLargeError", (error.limit, error.maximum, error.value)
    return "EngineError", (str(error),)


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
