"""The process that validates: `python -m gateway.validation_process <seconds> <bytes>`.

The validating library holds the interpreter for as long as a schema makes it work, so it works
here, not in the gateway. The kernel ends this process when one build or one check takes more than
`seconds` of processor time, and refuses it more than `bytes` of memory, of which a quarter is for
validators that are kept. It knows no secrets, reads checks from its standard input, writes verdicts
to its standard output, and ends with its input.
"""

import io
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from hashlib import sha256
from typing import BinaryIO, TypeVar

from gateway.schema_check import SchemaUnusableError, Validator, build_validator, fits
from mesh.memory import BoundedMemory

T = TypeVar("T")

CHECK_HEAD = struct.Struct(">BII")
"""What is asked, then the sizes of the two texts that follow."""
SIZE = struct.Struct(">I")
"""Of one of several schemas."""

VERDICT_HEAD = struct.Struct(">B?ddH")
"""The verdict, whether the process should be replaced, the seconds that the validator took to make
and the answer to check, and the size of a reason, which follows."""

_TIMES_TEXT = 32
"""About how much larger than its schema's text a validator is, where no pattern is: 26 for objects
of a hundred strings. Compiled patterns show in the address space instead."""


_STATM_BYTES = 128

_MOMENT_SECONDS = 0.05
"""Processor time after which no further validator of several is made."""


class Asked(IntEnum):
    """What a check is of, and what its two texts are."""

    SCHEMA = 0
    """A schema alone; the second text is empty."""
    ANSWER = 1
    """An answer, which comes second, under a schema."""
    SEVERAL = 2
    """Several schemas, whose sizes come first; there is a verdict on each."""


class Verdict(IntEnum):
    """What came out of a check; READY is the answer to a schema alone."""

    READY = 1
    FITS = 2
    MISFITS = 3
    UNUSABLE = 4
    LATER = 5
    """It is one of several, and was not looked at: those before it took too long."""


@dataclass(frozen=True)
class Finding:
    """What a process says: the verdict, and the seconds that making the validator took.

    `check_seconds` are those of checking the answer.
    """

    verdict: Verdict
    build_seconds: float = 0.0
    check_seconds: float = 0.0
    reason: str = ""
    """Why the schema cannot be used."""


@dataclass(frozen=True)
class _Built:
    validator: Validator
    seconds: float
    size: int


class Checker:
    """Checks answers, each build and each check within its own processor time.

    Args:
        seconds: Of processor time.
        pattern_bytes: Bound of one compiled pattern.
        kept_bytes: Of the validators that are kept, together.
    """

    def __init__(self, seconds: float, pattern_bytes: int, kept_bytes: int) -> None:
        self._seconds = seconds
        self._pattern_bytes = pattern_bytes
        self._kept = BoundedMemory[bytes, _Built](kept_bytes, lambda built: built.size)

    def check(self, schema: bytes, answer: bytes | None) -> Finding:
        """Return what is to be said of an answer, or of the schema alone."""
        try:
            built = self._timed(lambda: self._get(schema))
        except SchemaUnusableError as error:
            return Finding(Verdict.UNUSABLE, reason=str(error))
        if answer is None:
            return Finding(Verdict.READY, built.seconds)
        started = time.process_time()
        is_valid = self._timed(lambda: fits(built.validator, answer))
        verdict = Verdict.FITS if is_valid else Verdict.MISFITS
        return Finding(verdict, built.seconds, time.process_time() - started)

    def check_several(self, schemas: Sequence[bytes]) -> Iterator[Finding]:
        """Yield what is to be said of each schema, as long as they take a moment together."""
        until = time.process_time() + _MOMENT_SECONDS
        for schema in schemas:
            is_late = time.process_time() > until
            yield Finding(Verdict.LATER) if is_late else self.check(schema, None)

    def _get(self, schema: bytes) -> _Built:
        key = sha256(schema).digest()
        built = self._kept.find(key)
        if built is None:
            built = self._build(schema)
            self._kept.record(key, built)
        return built

    def _build(self, schema: bytes) -> _Built:
        before, started = _address_space_bytes(), time.process_time()
        validator = build_validator(schema, pattern_bytes=self._pattern_bytes)
        grown = _address_space_bytes() - before
        size = max(grown, _TIMES_TEXT * len(schema))
        return _Built(validator, time.process_time() - started, size)

    def _timed(self, work: Callable[[], T]) -> T:
        signal.setitimer(signal.ITIMER_PROF, self._seconds)  # SIGPROF ends the process
        try:
            return work()
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


def main(arguments: Sequence[str]) -> None:
    """Serve until the input ends."""
    seconds, memory_bytes = float(arguments[0]), int(arguments[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the gateway ends us, in its own time
    base = _address_space_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (base + memory_bytes, base + memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    checker = Checker(seconds, memory_bytes, memory_bytes // 4)
    # Worn out when half is in use, so that every check has at least the other half to itself.
    try:
        serve(checker, sys.stdin.buffer, sys.stdout.buffer, base + memory_bytes // 2)
    except MemoryError:
        os.abort()  # as the library's own allocator does


def serve(checker: Checker, checks: BinaryIO, verdicts: BinaryIO, worn_bytes: int) -> None:
    """Greet, then answer each check; tell when the address space is beyond `worn_bytes`."""
    _say(verdicts, Finding(Verdict.READY))
    verdicts.flush()
    while head := checks.read(CHECK_HEAD.size):
        asked, first_size, second_size = CHECK_HEAD.unpack(head)
        first, second = checks.read(first_size), checks.read(second_size)
        for finding in _findings(checker, Asked(asked), first, second):
            _say(verdicts, finding, is_worn=_address_space_bytes() > worn_bytes)
        verdicts.flush()


def _findings(checker: Checker, asked: Asked, first: bytes, second: bytes) -> Iterator[Finding]:
    if asked is Asked.SEVERAL:
        yield from checker.check_several(_cut(second, first))
    else:
        yield checker.check(first, second if asked is Asked.ANSWER else None)


def _cut(texts: bytes, sizes: bytes) -> Sequence[bytes]:
    """Return texts that were sent as one, by their sizes."""
    stream = io.BytesIO(texts)
    return [stream.read(size) for (size,) in SIZE.iter_unpack(sizes)]


def _say(verdicts: BinaryIO, finding: Finding, *, is_worn: bool = False) -> None:
    reason = finding.reason.encode(errors="replace")
    head = VERDICT_HEAD.pack(
        finding.verdict, is_worn, finding.build_seconds, finding.check_seconds, len(reason)
    )
    verdicts.write(head + reason)


def _address_space_bytes() -> int:
    try:
        pages = int(os.pread(_statm(), _STATM_BYTES, 0).split()[0])
    except OSError:  # not Linux: the budget alone is the limit
        return 0
    return pages * resource.getpagesize()


@cache
def _statm() -> int:
    """Return the descriptor of this process's sizes: it is looked at several times a check."""
    return os.open("/proc/self/statm", os.O_RDONLY)


if __name__ == "__main__":
    main(sys.argv[1:])
    os._exit(0)  # nothing to clean up
