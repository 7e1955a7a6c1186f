"""The process that validates: `python -m gateway.validation_process <seconds> <bytes>`.

The validating library holds the interpreter for as long as a schema makes it work, so it works
here, not in the gateway. The kernel ends this process when one build or one check takes more than
`seconds` of processor time, and refuses it more than `bytes` of memory, of which a quarter is for
validators that are kept. It knows no secrets, reads checks from its standard input, writes verdicts
to its standard output, and ends with its input.
"""

import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, TypeVar

from gateway.schema_check import SchemaUnusableError, Validator, build_validator, fits
from mesh.memory import BoundedMemory

T = TypeVar("T")

CHECK_HEAD = struct.Struct(">?II")
"""Whether there is an answer to check, then the sizes of schema and answer, which follow."""

VERDICT_HEAD = struct.Struct(">B?ddH")
"""The verdict, whether the process should be replaced, the seconds that the validator took to make
and the answer to check, and the size of a reason, which follows."""

_TIMES_TEXT = 32
"""About how much larger than its schema's text a validator is, where no pattern is: 26 for objects
of a hundred strings. Compiled patterns show in the address space instead."""


class Verdict(IntEnum):
    """What came out of a check; READY is the answer to a schema alone."""

    READY = 1
    FITS = 2
    MISFITS = 3
    UNUSABLE = 4


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
    while head := checks.read(CHECK_HEAD.size):
        has_answer, schema_size, answer_size = CHECK_HEAD.unpack(head)
        schema, answer = checks.read(schema_size), checks.read(answer_size)
        finding = checker.check(schema, answer if has_answer else None)
        _say(verdicts, finding, is_worn=_address_space_bytes() > worn_bytes)


def _say(verdicts: BinaryIO, finding: Finding, *, is_worn: bool = False) -> None:
    reason = finding.reason.encode(errors="replace")
    head = VERDICT_HEAD.pack(
        finding.verdict, is_worn, finding.build_seconds, finding.check_seconds, len(reason)
    )
    verdicts.write(head + reason)
    verdicts.flush()


def _address_space_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux: the budget alone is the limit
        return 0
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main(sys.argv[1:])
    os._exit(0)  # nothing to clean up
