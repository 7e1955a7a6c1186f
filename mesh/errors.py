"""The errors that cross process boundaries.

FormworkError
├── InvalidArgumentError       the request is wrong, and trying again will not help
│   ├── SchemaRefusedError     names the JSON pointer and the keyword
│   ├── GrammarRefusedError    a regular expression or a Lark grammar
│   └── LeaseInvalidError
├── LimitExceededError         too large: names the limit and the value
│   └── CompileBudgetError
├── CompileQueueFullError      try again later
├── QueueFullError             "
├── QueueTimeoutError          "
├── NoWorkerError              "
├── WorkerLostError            the worker of a sequence went away
├── ModelFailedError           the model's own fault: its numbers are not finite
├── DrainingError
├── IndexNotFoundError, ModelUnknownError, TokenizerUnknownError
├── LeaseSettledError
├── UnauthenticatedError       no mesh token, or a wrong one
├── DatabaseUnavailableError
│   └── DatabaseBusyError      every connection is in use
└── InternalError              our fault; the cause is in the log, not in the message

An error is raised where its fact is known, becomes a google.rpc.Status at the server's edge
(`to_status`), the same class again at the caller's (`from_status`), and words for a client in the
gateway's one table.
"""

from collections.abc import Mapping
from typing import ClassVar

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

DOMAIN = "formwork"


class FormworkError(Exception):
    """An error with a reason that programs read and a message that people read.

    Args:
        message: One sentence; no secrets.
        metadata: Facts as strings: limits, values, names.
        field: JSON pointer or parameter that is at fault, where there is one.
        retry_after_seconds: When trying again may help.
    """

    reason: ClassVar[str] = "INTERNAL"
    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    by_reason: ClassVar[dict[str, type["FormworkError"]]] = {}

    def __init_subclass__(cls) -> None:
        """Register the class under its reason."""
        super().__init_subclass__()
        FormworkError.by_reason[cls.reason] = cls

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        field: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.field = field
        self.retry_after_seconds = retry_after_seconds


class InvalidArgumentError(FormworkError):
    """The request is wrong; `field` says where."""

    reason = "INVALID_ARGUMENT"
    code = grpc.StatusCode.INVALID_ARGUMENT


class SchemaRefusedError(InvalidArgumentError):
    """A JSON Schema that is malformed, outside the dialect, or cannot be enforced.

    `field` is the JSON pointer; metadata has `keyword` and, for OpenAI's message form, `context`.
    """

    reason = "SCHEMA_REFUSED"


class GrammarRefusedError(InvalidArgumentError):
    """A regular expression or Lark grammar that cannot be compiled."""

    reason = "GRAMMAR_REFUSED"


class LeaseInvalidError(InvalidArgumentError):
    """A lease that the scheduler did not sign, that has expired, or that is for another worker."""

    reason = "LEASE_INVALID"


class LimitExceededError(FormworkError):
    """Too large: metadata has `limit` (its name), `maximum` and `value`."""

    reason = "LIMIT_EXCEEDED"
    code = grpc.StatusCode.INVALID_ARGUMENT


class CompileBudgetError(FormworkError):
    """A grammar that compiles to more than the budget of time or memory allows."""

    reason = "COMPILE_BUDGET"
    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class CompileQueueFullError(FormworkError):
    """Too many compiles wait."""

    reason = "COMPILE_QUEUE_FULL"
    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class QueueFullError(FormworkError):
    """Too many requests wait in a service tier's queue."""

    reason = "QUEUE_FULL"
    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class QueueTimeoutError(FormworkError):
    """A request waited longer than its deadline for a place."""

    reason = "QUEUE_TIMEOUT"
    code = grpc.StatusCode.DEADLINE_EXCEEDED


class NoWorkerError(FormworkError):
    """No worker serves the snapshot."""

    reason = "NO_WORKER"
    code = grpc.StatusCode.UNAVAILABLE


class WorkerLostError(FormworkError):
    """The worker of a sequence went away before its end."""

    reason = "WORKER_LOST"
    code = grpc.StatusCode.UNAVAILABLE


class ModelFailedError(FormworkError):
    """The model computed numbers that are not finite: another worker's copy would do the same."""

    reason = "MODEL_FAILED"
    code = grpc.StatusCode.INTERNAL


class DrainingError(FormworkError):
    """The process is going away and takes nothing new."""

    reason = "DRAINING"
    code = grpc.StatusCode.UNAVAILABLE


class ServiceUnavailableError(FormworkError):
    """A service of the mesh does not answer."""

    reason = "SERVICE_UNAVAILABLE"
    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceededError(FormworkError):
    """The request's time is over."""

    reason = "DEADLINE_EXCEEDED"
    code = grpc.StatusCode.DEADLINE_EXCEEDED


class IndexNotFoundError(FormworkError):
    """No index is held under this id, and no grammar came with it."""

    reason = "INDEX_NOT_FOUND"
    code = grpc.StatusCode.NOT_FOUND


class ModelUnknownError(FormworkError):
    """No such snapshot or alias in the model table."""

    reason = "MODEL_UNKNOWN"
    code = grpc.StatusCode.NOT_FOUND


class TokenizerUnknownError(FormworkError):
    """No model of the table has a tokenizer with this fingerprint."""

    reason = "TOKENIZER_UNKNOWN"
    code = grpc.StatusCode.FAILED_PRECONDITION


class LeaseSettledError(FormworkError):
    """The lease was settled already."""

    reason = "LEASE_SETTLED"
    code = grpc.StatusCode.FAILED_PRECONDITION


class UnauthenticatedError(FormworkError):
    """The call carries no mesh token, or a wrong one."""

    reason = "UNAUTHENTICATED"
    code = grpc.StatusCode.UNAUTHENTICATED


class DatabaseUnavailableError(FormworkError):
    """PostgreSQL does not answer."""

    reason = "DATABASE_UNAVAILABLE"
    code = grpc.StatusCode.UNAVAILABLE


class DatabaseBusyError(DatabaseUnavailableError):
    """Every connection that this process may have is in use; metadata has `limit` and `maximum`."""

    reason = "DATABASE_BUSY"
    code = grpc.StatusCode.UNAVAILABLE


class InternalError(FormworkError):
    """Our fault; the cause is in the log."""

    reason = "INTERNAL"
    code = grpc.StatusCode.INTERNAL


def _pack(status: status_pb2.Status, detail: Message) -> None:
    packed = Any()
    packed.Pack(detail)
    status.details.append(packed)


def to_status(error: FormworkError) -> status_pb2.Status:
    """Return the error as google.rpc.Status with ErrorInfo, RetryInfo, QuotaFailure, BadRequest."""
    status = status_pb2.Status(code=error.code.value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    _pack(status, info)
    if error.retry_after_seconds is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after_seconds * 1e9))
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        violation = error_details_pb2.QuotaFailure.Violation(
            subject=error.metadata.get("limit", error.reason), description=error.message
        )
        _pack(status, error_details_pb2.QuotaFailure(violations=[violation]))
    if error.field is not None:
        fault = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.message
        )
        _pack(status, error_details_pb2.BadRequest(field_violations=[fault]))
    return status


def from_status(status: status_pb2.Status) -> FormworkError:
    """Return the error that `to_status` was given; a foreign status becomes an InternalError."""
    info, retry, bad = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.RetryInfo(),
        error_details_pb2.BadRequest(),
    )
    for detail in status.details:
        for message in (info, retry, bad):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    kind = FormworkError.by_reason.get(info.reason) or _kind_of_code(status.code)
    error = kind.__new__(kind)  # its own constructor may take other arguments
    FormworkError.__init__(
        error,
        status.message,
        metadata=dict(info.metadata),
        field=bad.field_violations[0].field if bad.field_violations else None,
        retry_after_seconds=(
            retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None
        ),
    )
    return error


def _kind_of_code(code: int) -> type[FormworkError]:
    return {
        code_pb2.DEADLINE_EXCEEDED: DeadlineExceededError,
        code_pb2.UNAVAILABLE: ServiceUnavailableError,
        code_pb2.UNAUTHENTICATED: UnauthenticatedError,
    }.get(code, InternalError)
