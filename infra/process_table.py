"""Processes by identity: a pid alone may be somebody else's by now."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

_SAME_START_SECONDS = 2.0  # the clock may have been set since
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Identity:
    """A process that was started at a known time."""

    pid: int
    created: float
    """Seconds since 1970."""


def identify(pid: int) -> Identity | None:
    """Return the identity of a living process."""
    try:
        return Identity(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def find_living(identity: Identity) -> psutil.Process | None:
    """Return the process if it is still the same one, and alive."""
    try:
        process = psutil.Process(identity.pid)
        same = abs(process.create_time() - identity.created) < _SAME_START_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def group_members(leader: Identity) -> list[psutil.Process]:
    """Return the living processes of the group that a process leads or led."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getpgid(process.pid) == leader.pid and _is_not_older(process, leader):
                members.append(process)
    # While a group has members its number is not given to a new process, unless it led the group.
    leads_now = next((member for member in members if member.pid == leader.pid), None)
    return [] if leads_now is not None and find_living(leader) is None else members


def _is_not_older(process: psutil.Process, leader: Identity) -> bool:
    alive = process.status() != psutil.STATUS_ZOMBIE
    return alive and process.create_time() > leader.created - _SAME_START_SECONDS


def end_group(leader: Identity, number: signal.Signals, seconds: float) -> None:
    """Signal the leader, wait, then kill what is left of its group.

    Args:
        leader: Was started as the leader of its own process group.
        number: What asks it to end.
        seconds: How long it may take.
    """
    process = find_living(leader)
    if process is not None:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
        deadline = time.monotonic() + seconds
        while find_living(leader) is not None and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    kill_all(group_members(leader))


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill processes; one that is gone already is fine."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
