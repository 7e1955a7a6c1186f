"""What a supervisor that was killed has left running."""

import signal

import structlog

from infra.home import Home
from infra.postgres import stop_server
from infra.process_table import end_group, find_living
from infra.state import find_state

_END_SECONDS = 10.0

log = structlog.get_logger()


def end_leftovers(home: Home) -> list[str]:
    """End the processes that the last supervisor started and did not stop; return their names.

    Call it only while holding the supervisor's lock, or when nobody does.
    """
    state = find_state(home.run / "state.json")
    ended = []
    for name, child in (state.children if state else {}).items():
        if find_living(child.identity) is not None:
            ended.append(name)
            log.warning("leftover_ended", process=name, pid=child.identity.pid)
        end_group(child.identity, signal.Signals(child.stop_signal), _END_SECONDS)
    stop_server(home.postgres / "data")
    return ended
