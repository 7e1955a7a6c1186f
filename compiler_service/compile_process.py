"""The processes that compile: one that holds the vocabularies, and forks of it that do the work.

`python -m compiler_service.compile_process <control descriptor> <memory bytes> <folder>...`

A fork takes jobs one after the other. The kernel ends it when a job takes longer than it may,
whatever the job does, also a hang inside the engine; its address space is capped. A new one costs
milliseconds. Nothing here starts a thread, so that forking is safe. All of it ends with the
service: at the end of its sockets.
"""

import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Never

from formwork_engine import (
    AnyJson,
    EngineError,
    Vocabulary,
    VocabularyError,
    compile_index,
    free_here,
    load_vocabulary,
)

from compiler_service.canonical import CanonicalGrammar
from compiler_service.compile_wire import (
    Answer,
    CompiledIndex,
    frame,
    read_job,
    receive_frame,
    write_answer,
)

FORK_BYTE: Final = b"f"
MAX_JOBS: Final = 1000
"""Of one fork, after which a fresh one takes over."""
_LOWEST: Final = 19
"""Priority of filling: compiles go first."""


def main(arguments: Sequence[str]) -> None:
    """Load the vocabularies, say which, and fork until the control socket ends."""
    control = socket.socket(fileno=int(arguments[0]))
    memory_bytes = int(arguments[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service ends us, in its own time
    try:
        vocabularies = _load([Path(folder) for folder in arguments[2:]])
    except VocabularyError as error:
        _say(control, {"error": str(error)})
        return
    fingerprints = {str(path): own.fingerprint for path, own in vocabularies.items()}
    _say(control, {"fingerprints": fingerprints})
    gc.collect()
    gc.freeze()  # what is shared with the forks is not written to by their collectors
    _fork_on_demand(control, {own.fingerprint: own for own in vocabularies.values()}, memory_bytes)


def _load(folders: Sequence[Path]) -> dict[Path, Vocabulary]:
    vocabularies = {folder: load_vocabulary(folder) for folder in folders}
    _warm_up(list(vocabularies.values()))
    return vocabularies


def _warm_up(vocabularies: Sequence[Vocabulary]) -> None:
    """Have the engine build what it keeps per vocabulary; in a fork, touch what it will write."""
    for vocabulary in vocabularies:
        compile_index(AnyJson(), vocabulary)


def _say(control: socket.socket, message: object) -> None:
    control.sendall(json.dumps(message).encode() + b"\n")


def _fork_on_demand(
    control: socket.socket, vocabularies: Mapping[str, Vocabulary], memory_bytes: int
) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the forks
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, len(FORK_BYTE), 1)
        except OSError:
            return
        if not message:
            return
        for descriptor in descriptors:
            if os.fork() == 0:
                control.close()
                _run_fork(socket.socket(fileno=descriptor), vocabularies, memory_bytes)
            os.close(descriptor)


def _run_fork(
    connection: socket.socket, vocabularies: Mapping[str, Vocabulary], memory_bytes: int
) -> Never:
    """Serve one connection and leave without the clean-up of the process it was copied from."""
    try:
        cap_memory(memory_bytes)
        free_here()
        _warm_up(list(vocabularies.values()))
        connection.sendall(frame(str(os.getpid()).encode()))
        serve_jobs(connection, vocabularies)
    except (OSError, EOFError):
        os._exit(0)  # the service went away, or wants this fork no more
    except BaseException:  # noqa: BLE001 - nothing of the process this is a copy of may run on
        traceback.print_exc()
        os._exit(1)  # no answer: the service tells it from one
    os._exit(0)


def cap_memory(memory_bytes: int) -> None:
    """Refuse this process more address space than that beyond what it has."""
    maximum = _address_space_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (maximum, maximum))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _address_space_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux: the budget alone is the limit
        return 0
    return pages * resource.getpagesize()


def serve_jobs(connection: socket.socket, vocabularies: Mapping[str, Vocabulary]) -> None:
    """Answer jobs until the other side closes, or there were enough of them."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for number in range(1, MAX_JOBS + 1):
        with contextlib.suppress(EOFError):
            job = read_job(receive_frame(connection))
            signal.setitimer(signal.ITIMER_REAL, job.seconds)
            if job.fill_seconds:
                os.nice(_LOWEST)
            result = compile_grammar(job.canonical_grammar, vocabularies, job.fill_seconds)
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            # a priority that was given up is not had back
            is_last = number == MAX_JOBS or job.fill_seconds > 0
            connection.sendall(write_answer(Answer(result, is_last=is_last)))
            if is_last:
                return
            continue
        return


def compile_grammar(
    canonical_grammar: bytes, vocabularies: Mapping[str, Vocabulary], fill_seconds: float = 0.0
) -> CompiledIndex | EngineError:
    """Return the index of a grammar, filled if there is time for it, or what the engine refuses."""
    grammar = CanonicalGrammar.from_own_bytes(canonical_grammar)
    start = time.perf_counter()
    try:
        index = compile_index(
            grammar.grammar, vocabularies[grammar.fingerprint], grammar.options, grammar.budget
        )
    except EngineError as error:
        return error
    seconds = time.perf_counter() - start
    if fill_seconds:
        index.fill(fill_seconds)
    return CompiledIndex(index.dump(), index.shortest_answer_tokens, seconds)


if __name__ == "__main__":
    main(sys.argv[1:])
