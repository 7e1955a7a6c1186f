"""Every reason has a row, and is rendered without telling what must not be told."""

import json

import pytest

from gateway.error_table import CODE_OF_REASON, CODES
from gateway.errors import RequestError, code_of, event_of, grammar_error, reply_of
from gateway.grammars import Subject
from mesh.errors import (
    CompileQueueFullError,
    DatabaseUnavailableError,
    FormworkError,
    InternalError,
    LimitExceededError,
    QueueFullError,
    SchemaRefusedError,
)

SUBJECT = Subject("schema for response_format 'n'", "response_format", "JSON_SCHEMA_INVALID")

# Reasons that the flow turns into another before they are rendered, or that no client can cause;
# they are server faults if they get through.
INWARD = {
    "SCHEMA_REFUSED",
    "GRAMMAR_REFUSED",
    "COMPILE_BUDGET",
    "LEASE_INVALID",
    "LEASE_SETTLED",
    "INDEX_NOT_FOUND",
    "TOKENIZER_UNKNOWN",
    "UNAUTHENTICATED",
}


def test_every_reason_of_gateway_and_mesh_has_a_code_or_is_inward() -> None:
    ours = {
        reason
        for reason, kind in FormworkError.by_reason.items()
        if kind.__module__ in ("mesh.errors", "gateway.errors")
    }
    assert ours - set(CODE_OF_REASON) == INWARD
    assert set(CODE_OF_REASON.values()) <= set(CODES)


@pytest.mark.parametrize("reason", sorted(INWARD))
def test_an_inward_reason_that_gets_through_is_our_fault(reason: str) -> None:
    error = FormworkError.by_reason[reason]("secret")
    assert code_of(error) == "internal_error"
    assert b"secret" not in reply_of(error).body


def body(error: FormworkError) -> dict[str, object]:
    inner: dict[str, object] = json.loads(reply_of(error).body)["error"]
    return inner


def test_a_request_error_keeps_its_words_param_and_code() -> None:
    error = RequestError("Wrong.", "n", "invalid_type")
    assert body(error) == {
        "message": "Wrong.",
        "type": "invalid_request_error",
        "param": "n",
        "code": "invalid_type",
    }
    assert reply_of(error).status == 400


@pytest.mark.parametrize(
    "error",
    [InternalError("password=x"), DatabaseUnavailableError("db-host-1"), QueueFullError("queue 7")],
)
def test_server_faults_say_nothing_of_the_inside(error: FormworkError) -> None:
    assert error.message not in str(body(error)["message"])
    assert body(error)["param"] is None


def test_retry_after_is_whole_seconds_and_at_most_120() -> None:
    headers = reply_of(CompileQueueFullError("x", retry_after_seconds=0.2)).headers
    assert headers["retry-after"] == "1"
    assert headers["retry-after-ms"] == "200"
    headers = reply_of(CompileQueueFullError("x", retry_after_seconds=9999)).headers
    assert headers["retry-after"] == "120"


def test_whether_to_retry_is_said_with_every_error() -> None:
    assert reply_of(RequestError("x")).headers["x-should-retry"] == "false"
    assert reply_of(QueueFullError("x")).headers["x-should-retry"] == "true"


def test_an_event_carries_the_same_error() -> None:
    event = event_of(InternalError("x"))
    assert event.startswith(b'data: {"error":{')
    assert event.endswith(b"\n\n")


def test_a_schemas_limits_are_refusals_of_the_schema_too() -> None:
    error = grammar_error(LimitExceededError("Too deep.", metadata={"limit": "depth"}), SUBJECT)
    assert reply_of(error).status == 400
    assert body(error)["message"] == "Invalid schema for response_format 'n': Too deep."
    assert body(error)["code"] == "invalid_json_schema"


def test_the_context_is_written_once() -> None:
    metadata = {"context": "('properties','x')"}
    assert (
        "context" not in grammar_error(LimitExceededError("x", metadata=metadata), SUBJECT).message
    )
    for message in ("bad.", "In context=('properties','x'), bad."):
        error = grammar_error(SchemaRefusedError(message, metadata=metadata), SUBJECT)
        assert error.message.count("In context=") == 1


def test_other_errors_are_not_blamed_on_the_schema() -> None:
    error = CompileQueueFullError("x")
    assert grammar_error(error, SUBJECT) is error
