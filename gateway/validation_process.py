"""The process that validates: `python -m gateway.validation_process <seconds> <bytes> <count>`.

The validating library holds the interpreter for as long as a schema makes it work, so it works
here, not in the gateway. The kernel ends this process when one build or one check takes more than
`seconds` of processor time, and refuses it more than `bytes` of memory; `count` validators are
kept. It knows no secrets, reads checks from its standard input, writes verdicts to its standard
output, and ends with its input.
"""

import os
import resource
import signal
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, TypeVar

from gateway.schema_check import SchemaUnusableError, Validator, build_validator, fits

T = TypeVar("T")

CHECK_HEAD = struct.Struct(">?II")
"""Whether there is an answer to check, then the sizes of schema and answer, which follow."""

VERDICT_HEAD = struct.Struct(">B?H")
"""The verdict, whether the process should be replaced, and the size of a reason, which follows."""


class Verdict(IntEnum):
    """What came out of a check; READY is the answer to a schema alone."""

    READY = 1
    FITS = 2
    MISFITS = 3
    UNUSABLE = 4


class Checker:
    """Checks answers, each build and each check within its own processor time.

    Args:
        seconds: Of processor time.
        pattern_bytes: Bound of one compiled pattern.
        count: Validators kept.
    """

    def __init__(self, seconds: float, pattern_bytes: int, count: int) -> None:
        self._seconds = seconds
        self._pattern_bytes = pattern_bytes
        self._count = count
        self._validators: OrderedDict[bytes, Validator] = OrderedDict()

    def check(self, schema: bytes, answer: bytes | None) -> tuple[Verdict, str]:
        """Return the verdict, and the reason where the schema cannot be used."""
        try:
            validator = self._timed(lambda: self._get_validator(schema))
        except SchemaUnusableError as error:
            return Verdict.UNUSABLE, str(error)
        if answer is None:
            return Verdict.READY, ""
        is_valid = self._timed(lambda: fits(validator, answer))
        return (Verdict.FITS if is_valid else Verdict.MISFITS), ""

    def _get_validator(self, schema: bytes) -> Validator:
        key = sha256(schema).digest()
        validator = self._validators.get(key)
        if validator is None:
            validator = build_validator(schema, pattern_bytes=self._pattern_bytes)
            self._validators[key] = validator
        self._validators.move_to_end(key)
        while len(self._validators) > self._count:
            self._validators.popitem(last=False)
        return validator

    def _timed(self, work: Callable[[], T]) -> T:
        signal.setitimer(signal.ITIMER_PROF, self._seconds)  # SIGPROF ends the process
        try:
            return work()
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


def main(arguments: Sequence[str]) -> None:
    """Serve until the input ends."""
    seconds, memory_bytes, count = float(arguments[0]), int(arguments[1]), int(arguments[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the gateway ends us, in its own time
    base = _address_space_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (base + memory_bytes, base + memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    checker = Checker(seconds, memory_bytes, count)
    # Worn out when half is in use, so that every check has at least the other half to itself.
    try:
        serve(checker, sys.stdin.buffer, sys.stdout.buffer, base + memory_bytes // 2)
    except MemoryError:
        os.abort()  # as the library's own allocator does


def serve(checker: Checker, checks: BinaryIO, verdicts: BinaryIO, worn_bytes: int) -> None:
    """Greet, then answer each check; tell when the address space is beyond `worn_bytes`."""
    _say(verdicts, Verdict.READY)
    while head := checks.read(CHECK_HEAD.size):
        has_answer, schema_size, answer_size = CHECK_HEAD.unpack(head)
        schema, answer = checks.read(schema_size), checks.read(answer_size)
        verdict, reason = checker.check(schema, answer if has_answer else None)
        is_worn = _address_space_bytes() > worn_bytes
        _say(verdicts, verdict, reason, is_worn=is_worn)


def _say(verdicts: BinaryIO, verdict: Verdict, reason: str = "", *, is_worn: bool = False) -> None:
    written = reason.encode(errors="replace")
    verdicts.write(VERDICT_HEAD.pack(verdict, is_worn, len(written)) + written)
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
