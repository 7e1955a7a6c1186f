"""Threads of a process that serves hand the interpreter over soon."""

import sys

from mesh.interpreter import share_interpreter


def test_a_thread_that_computes_lets_others_go_on_within_a_millisecond() -> None:
    before = sys.getswitchinterval()
    try:
        share_interpreter()
        assert sys.getswitchinterval() < 0.001
    finally:
        sys.setswitchinterval(before)
