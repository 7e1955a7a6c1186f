"""Who a piece of work is for: bound once at an edge, carried through every call and log line."""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

from mesh.ids import RequestId, new_id

REQUEST_ID_KEY = "x-request-id"
TRACEPARENT_KEY = "traceparent"

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.\-]{1,128}")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_request_id: ContextVar[RequestId | None] = ContextVar("request_id", default=None)
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)


def current_request_id() -> RequestId:
    """Return the bound request id, or a new one outside any request."""
    return _request_id.get() or new_request_id()


def current_traceparent() -> str:
    """Return the bound W3C traceparent, or a new root."""
    return _traceparent.get() or new_traceparent()


def new_request_id() -> RequestId:
    """Return an id for a request that brought none."""
    return RequestId(new_id("req"))


def new_traceparent() -> str:
    """Return a sampled root (W3C Trace Context, section 3.2)."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


@contextmanager
def bind_request(request_id: str | None, traceparent: str | None) -> Iterator[RequestId]:
    """Bind both for the block, also on log lines; what is missing or malformed is made anew."""
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = new_request_id()
    if traceparent is None or not _TRACEPARENT.fullmatch(traceparent):
        traceparent = new_traceparent()
    bound = RequestId(request_id)
    id_token, trace_token = _request_id.set(bound), _traceparent.set(traceparent)
    try:
        with structlog.contextvars.bound_contextvars(
            request_id=request_id, trace_id=traceparent[3:35]
        ):
            yield bound
    finally:
        _request_id.reset(id_token)
        _traceparent.reset(trace_token)


def request_metadata() -> list[tuple[str, str]]:
    """Return what an outgoing call carries of the context."""
    return [(REQUEST_ID_KEY, current_request_id()), (TRACEPARENT_KEY, current_traceparent())]


def read_metadata(metadata: Iterable[tuple[str, str | bytes]] | None) -> Mapping[str, str]:
    """Return call metadata as a mapping of its text values; the first of equal keys counts."""
    values: dict[str, str] = {}
    for key, value in metadata or ():
        if isinstance(value, str):
            values.setdefault(key, value)
    return values
