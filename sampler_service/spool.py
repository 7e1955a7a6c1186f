"""Reports on disk until they are acknowledged: they outlive the worker.

A spool is a folder per worker, locked while the worker lives; a worker that starts takes over the
reports of folders whose owner is gone. A file is `FWR1`, CRC-32 (big endian) and a serialised
ReportRequest, written aside, flushed and renamed, so that a half-written one is never read.
"""

import fcntl
import os
import re
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import structlog
from formwork.scheduler.v1.scheduler_pb2 import ReportRequest
from google.protobuf.message import DecodeError

log = structlog.get_logger()

_MAGIC = b"FWR1"
_SUFFIX = ".report"
_LOCK = "lock"
_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}")


class SpoolError(Exception):
    """The spool's folder cannot be used; the message says why."""


class Spool:
    """The reports of one worker, and of dead ones beside it.

    Args:
        folder: Shared by the workers of a machine; made where it is missing.
        owner: The worker's id.
        max_reports: Most that are kept; the oldest is dropped for a new one.

    Raises:
        SpoolError: The folder cannot be made or locked.
    """

    def __init__(self, folder: Path, owner: str, max_reports: int) -> None:
        if not _OWNER.fullmatch(owner):
            raise SpoolError(f"{owner!r} cannot name a folder")
        self._folder = folder / owner
        self.max_reports = max_reports
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _lock(self._folder)
            if self._lock is None:
                raise SpoolError(f"{self._folder} belongs to a worker that runs")
            self._adopt(folder)
        except OSError as error:
            raise SpoolError(f"{self._folder}: {error}") from error
        self._names = sorted(
            (path.name for path in self._folder.glob(f"*{_SUFFIX}")), key=self._age
        )

    def __len__(self) -> int:
        return len(self._names)

    def put(self, report: ReportRequest) -> str:
        """Keep a report; once this returns it outlives the process. Returns its name.

        Raises:
            OSError: The disk is full or gone.
        """
        name = sha256(report.lease.lease).hexdigest()[:40] + _SUFFIX
        body = report.SerializeToString(deterministic=True)
        aside = self._folder / f"{name}.new"
        with aside.open("wb") as file:
            file.write(_MAGIC + zlib.crc32(body).to_bytes(4, "big") + body)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(self._folder / name)
        if name not in self._names:
            self._names.append(name)
        while len(self._names) > self.max_reports:
            log.error("spool_full", dropped=self._names[0], max_reports=self.max_reports)
            self.remove(self._names[0])
        return name

    def pending(self) -> Iterator[tuple[str, ReportRequest]]:
        """Yield the reports that are not acknowledged, oldest first; damaged ones are dropped."""
        for name in list(self._names):
            report = self._read(name)
            if report is None:
                log.error("spool_damaged", name=name)
                self.remove(name)
            else:
                yield name, report

    def remove(self, name: str) -> None:
        """Forget an acknowledged report."""
        if name in self._names:
            self._names.remove(name)
            (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Let another worker have what is left."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _read(self, name: str) -> ReportRequest | None:
        try:
            data = (self._folder / name).read_bytes()
            body = data[8:]
            if data[:4] != _MAGIC or zlib.crc32(body).to_bytes(4, "big") != data[4:8]:
                return None
            report = ReportRequest()
            report.ParseFromString(body)
        except (OSError, DecodeError):
            return None
        return report

    def _age(self, name: str) -> float:
        return (self._folder / name).stat().st_mtime

    def _adopt(self, folder: Path) -> None:
        """Take over the reports of workers that are gone."""
        others = (path for path in folder.iterdir() if _OWNER.fullmatch(path.name))
        for other in sorted(path for path in others if path.is_dir() and path != self._folder):
            try:
                self._take_over(other)
            except FileNotFoundError:
                continue  # another worker that starts was faster

    def _take_over(self, other: Path) -> None:
        lock = _lock(other)
        if lock is None:
            return
        try:
            for path in other.glob(f"*{_SUFFIX}"):
                path.rename(self._folder / path.name)
            for path in other.iterdir():
                path.unlink()
            other.rmdir()
        finally:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Return a descriptor that holds the folder's lock; None while another process does."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
