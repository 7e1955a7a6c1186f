"""The process that compiles: it holds the vocabularies and forks for each job.

`python -m compiler_service.compile_process <control descriptor> <folder>...`

A fork costs a few milliseconds and gives each compile limits that hold whatever the compile does,
also a hang inside the engine: the kernel ends it by its alarm, and its address space is capped.
Nothing here starts a thread, so that forking is safe. It ends with the service: at the end of its
control socket.
"""

import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Never

from formwork_engine import (
    AnyJson,
    EngineError,
    Vocabulary,
    VocabularyError,
    compile_index,
    load_vocabulary,
)

from compiler_service.canonical import CanonicalGrammar
from compiler_service.compile_wire import (
    CompiledIndex,
    read_job,
    write_index,
    write_refusal,
)

JOB_BYTE = b"j"


def main(arguments: Sequence[str]) -> None:
    """Load the vocabularies, say which, and serve until the control socket ends."""
    control = socket.socket(fileno=int(arguments[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service ends us, in its own time
    try:
        vocabularies = _load([Path(folder) for folder in arguments[1:]])
    except VocabularyError as error:
        _say(control, {"error": str(error)})
        return
    folders = {folder: vocabulary.fingerprint for folder, vocabulary in vocabularies.items()}
    _say(control, {"fingerprints": {str(path): value for path, value in folders.items()}})
    serve(control, {vocabulary.fingerprint: vocabulary for vocabulary in vocabularies.values()})


def _load(folders: Sequence[Path]) -> dict[Path, Vocabulary]:
    vocabularies = {folder: load_vocabulary(folder) for folder in folders}
    for vocabulary in vocabularies.values():
        compile_index(AnyJson(), vocabulary)  # what the engine keeps per vocabulary
    return vocabularies


def _say(control: socket.socket, message: object) -> None:
    control.sendall(json.dumps(message).encode() + b"\n")


def serve(control: socket.socket, vocabularies: Mapping[str, Vocabulary]) -> None:
    """Fork for each descriptor that arrives, until the other side closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, len(JOB_BYTE), 1)
        except OSError:
            return
        if not message:
            return
        for descriptor in descriptors:
            if os.fork() == 0:
                _run_child(control, socket.socket(fileno=descriptor), vocabularies)
            os.close(descriptor)


def _run_child(
    control: socket.socket, connection: socket.socket, vocabularies: Mapping[str, Vocabulary]
) -> Never:
    """Compile one job and leave without the clean-up of the process it was copied from."""
    try:
        control.close()
        job = read_job(connection)
        limit_process(job.seconds, job.memory_bytes)
        connection.sendall(compile_job(job.canonical_grammar, vocabularies))
    except (MemoryError, OSError, EOFError):
        os._exit(1)  # no result: the service tells it from a result
    finally:
        os._exit(0)


def limit_process(seconds: float, memory_bytes: int) -> None:
    """Have the kernel end this process after that time, and refuse it more memory than that."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    maximum = _address_space_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (maximum, maximum))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _address_space_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux: the budget alone is the limit
        return 0
    return pages * resource.getpagesize()


def compile_job(canonical_grammar: bytes, vocabularies: Mapping[str, Vocabulary]) -> bytes:
    """Return the frames of the result."""
    grammar = CanonicalGrammar.from_bytes(canonical_grammar)
    start = time.perf_counter()
    try:
        index = compile_index(
            grammar.grammar, vocabularies[grammar.fingerprint], grammar.options, grammar.budget
        )
    except EngineError as error:
        return write_refusal(error)
    seconds = time.perf_counter() - start
    return write_index(CompiledIndex(index.dump(), index.shortest_answer_tokens, seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
