"""Errors keep what they know across a process boundary."""

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from mesh.errors import (
    DeadlineExceededError,
    FormworkError,
    InternalError,
    QueueFullError,
    SchemaRefusedError,
    ServiceUnavailableError,
    from_status,
    to_status,
)

# A service's own errors register too, once it is imported; those have tests of their own.
SHARED = [kind for kind in FormworkError.by_reason.values() if kind.__module__ == "mesh.errors"]


@pytest.mark.parametrize("kind", SHARED, ids=lambda kind: kind.reason)
def test_every_error_comes_back_as_itself(kind: type[FormworkError]) -> None:
    sent = kind("Too much.", metadata={"limit": "n"}, field="/a/b", retry_after_seconds=1.5)
    received = from_status(to_status(sent))
    assert type(received) is kind
    assert (received.message, received.metadata, received.field, received.retry_after_seconds) == (
        "Too much.",
        {"limit": "n"},
        "/a/b",
        1.5,
    )


def test_what_was_not_said_stays_unsaid() -> None:
    received = from_status(to_status(SchemaRefusedError("No.")))
    assert received.field is None
    assert received.retry_after_seconds is None


def test_an_exhausted_resource_carries_the_quota_it_names() -> None:
    status = to_status(QueueFullError("Full.", metadata={"limit": "queue"}))
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    quota = error_details_pb2.QuotaFailure()
    assert any(detail.Unpack(quota) for detail in status.details)
    assert quota.violations[0].subject == "queue"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (code_pb2.DEADLINE_EXCEEDED, DeadlineExceededError),
        (code_pb2.UNAVAILABLE, ServiceUnavailableError),
        (code_pb2.UNKNOWN, InternalError),
    ],
)
def test_a_foreign_status_gets_the_nearest_name(code: int, kind: type[FormworkError]) -> None:
    assert type(from_status(status_pb2.Status(code=code, message="x"))) is kind


def test_an_error_with_a_constructor_of_its_own_comes_back_too() -> None:
    class OddError(FormworkError):
        reason = "ODD_FOR_A_TEST"

        def __init__(self, number: int) -> None:
            super().__init__(f"Odd: {number}.", metadata={"number": str(number)})

    try:
        received = from_status(to_status(OddError(3)))
    finally:
        del FormworkError.by_reason["ODD_FOR_A_TEST"]
    assert type(received) is OddError
    assert (received.message, received.metadata) == ("Odd: 3.", {"number": "3"})
