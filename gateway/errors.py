"""Errors as a client sees them: one table from reason to HTTP status, type, code and headers.

The gateway's own errors stand beside those of `mesh.errors`; all are rendered here, only here.
"""

import math
from dataclasses import dataclass

import grpc
import orjson

from mesh.errors import (
    CompileBudgetError,
    FormworkError,
    GrammarRefusedError,
    InvalidArgumentError,
    LimitExceededError,
    SchemaRefusedError,
)

MAX_RETRY_AFTER_SECONDS = 120.0  # the official SDKs ignore a longer one
MEDIA_TYPE = "application/json"


class RequestError(InvalidArgumentError):
    """A parameter is wrong: `field` is its path, metadata has OpenAI's `code` if there is one."""

    reason = "REQUEST_INVALID"

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, field=param, metadata={"code": code} if code else None)


class ApiKeyError(FormworkError):
    """The bearer key is missing, unknown, expired or revoked; the message never shows it."""

    reason = "API_KEY_INVALID"
    code = grpc.StatusCode.UNAUTHENTICATED


class SchemaInvalidError(InvalidArgumentError):
    """The compiler refused the schema of a response format."""

    reason = "JSON_SCHEMA_INVALID"


class ContextLengthError(InvalidArgumentError):
    """The prompt does not fit the model's context."""

    reason = "CONTEXT_LENGTH_EXCEEDED"


class BodyTooLargeError(LimitExceededError):
    """The request body is larger than the gateway reads."""

    reason = "BODY_TOO_LARGE"


class HeadTooLargeError(LimitExceededError):
    """A request has more beside its body than the gateway reads."""

    reason = "HEAD_TOO_LARGE"


class BodyTimeoutError(FormworkError):
    """The request body came too slowly."""

    reason = "BODY_TIMEOUT"
    code = grpc.StatusCode.DEADLINE_EXCEEDED


class UrlUnknownError(FormworkError):
    """No such path."""

    reason = "URL_UNKNOWN"
    code = grpc.StatusCode.NOT_FOUND


class MethodError(FormworkError):
    """The path exists, but not for this method."""

    reason = "METHOD_NOT_ALLOWED"
    code = grpc.StatusCode.UNIMPLEMENTED


class OverloadedError(FormworkError):
    """The gateway has as many requests in flight as it takes."""

    reason = "OVERLOADED"
    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class ProjectBusyError(FormworkError):
    """The project has as many requests in flight as it may."""

    reason = "PROJECT_BUSY"
    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class AnswerInvalidError(FormworkError):
    """The answer that was made does not fit its schema: our fault."""

    reason = "ANSWER_INVALID"


class SlowClientError(FormworkError):
    """The client took nothing off its socket for too long."""

    reason = "SLOW_CLIENT"
    code = grpc.StatusCode.CANCELLED


@dataclass(frozen=True)
class Row:
    """What one reason is on the wire."""

    status: int
    type: str
    code: str | None
    message: str | None = None
    """Said instead of the error's own, which may tell too much of the inside."""
    retry: bool | None = None
    """Value of x-should-retry, where the SDKs' own rule would be wrong."""
    closes: bool = False
    """The rest of the request's body is not read."""


_INVALID = "invalid_request_error"
_SERVER = "server_error"
_FAULT = "The server had an error while processing your request. Sorry about that!"
_OVERLOADED = "The server is currently overloaded. Please try again later."
_INTERNAL = Row(500, _SERVER, None, _FAULT)

TABLE: dict[str, Row] = {
    "REQUEST_INVALID": Row(400, _INVALID, None),
    "INVALID_ARGUMENT": Row(400, _INVALID, None),
    "LIMIT_EXCEEDED": Row(400, _INVALID, "limit_exceeded"),
    "JSON_SCHEMA_INVALID": Row(400, _INVALID, "invalid_json_schema"),
    "CONTEXT_LENGTH_EXCEEDED": Row(400, _INVALID, "context_length_exceeded"),
    "API_KEY_INVALID": Row(401, _INVALID, "invalid_api_key"),
    "MODEL_UNKNOWN": Row(404, _INVALID, "model_not_found"),
    "URL_UNKNOWN": Row(404, _INVALID, "unknown_url"),
    "METHOD_NOT_ALLOWED": Row(405, _INVALID, "method_not_supported"),
    "BODY_TIMEOUT": Row(408, _INVALID, "request_timeout", retry=False, closes=True),
    "BODY_TOO_LARGE": Row(413, _INVALID, "request_too_large", closes=True),
    "HEAD_TOO_LARGE": Row(431, _INVALID, "request_too_large", closes=True),
    "PROJECT_BUSY": Row(429, "requests", "rate_limit_exceeded"),
    "COMPILE_QUEUE_FULL": Row(429, "requests", "rate_limit_exceeded"),
    "QUEUE_FULL": Row(503, _SERVER, "overloaded", _OVERLOADED),
    "QUEUE_TIMEOUT": Row(503, _SERVER, "overloaded", _OVERLOADED),
    "OVERLOADED": Row(503, _SERVER, "overloaded", _OVERLOADED),
    "NO_WORKER": Row(503, _SERVER, "model_unavailable", "No worker serves this model right now."),
    "DRAINING": Row(503, _SERVER, "overloaded", _OVERLOADED),
    "SERVICE_UNAVAILABLE": Row(503, _SERVER, "service_unavailable", _FAULT),
    "DATABASE_UNAVAILABLE": Row(503, _SERVER, "service_unavailable", _FAULT),
    "WORKER_LOST": Row(503, _SERVER, "worker_lost", "The worker of this request was lost."),
    "DEADLINE_EXCEEDED": Row(504, _SERVER, "timeout", "The request took too long."),
    "ANSWER_INVALID": Row(
        500, _SERVER, "invalid_answer", "The answer that was generated does not fit its schema."
    ),
    "SLOW_CLIENT": Row(499, _INVALID, "slow_client"),
    "INTERNAL": _INTERNAL,
}


@dataclass(frozen=True)
class ErrorReply:
    """An error ready for the wire."""

    status: int
    body: bytes
    headers: dict[str, str]


def reply_of(error: FormworkError) -> ErrorReply:
    """Return the status, the OpenAI-shaped body and the headers of an error."""
    row = TABLE.get(error.reason, _INTERNAL)
    return ErrorReply(
        row.status, orjson.dumps({"error": _fields(error, row)}), _headers(error, row)
    )


def event_of(error: FormworkError) -> bytes:
    """Return the error as a server-sent event, for a stream that has begun."""
    row = TABLE.get(error.reason, _INTERNAL)
    return b"data: " + orjson.dumps({"error": _fields(error, row)}) + b"\n\n"


def status_of(error: FormworkError) -> int:
    """Return the HTTP status of an error."""
    return TABLE.get(error.reason, _INTERNAL).status


def schema_error(error: FormworkError, name: str) -> FormworkError:
    """Return what a client is told when the compiler refused the schema called `name`.

    Errors that are not about the schema come back unchanged.
    """
    about_schema = (SchemaRefusedError, GrammarRefusedError, LimitExceededError, CompileBudgetError)
    if not isinstance(error, about_schema):
        return error
    return SchemaInvalidError(
        f"Invalid schema for response_format '{name}': {_located(error)}",
        field="response_format",
        metadata=error.metadata,
    )


def _located(error: FormworkError) -> str:
    """Return a refusal's message in OpenAI's form, which begins with the place in the schema."""
    context = error.metadata.get("context")
    if isinstance(error, SchemaRefusedError) and context and "In context=" not in error.message:
        return f"In context={context}, {error.message}"
    return error.message


def _fields(error: FormworkError, row: Row) -> dict[str, str | None]:
    return {
        "message": row.message or error.message,
        "type": row.type,
        "param": error.field if row.status < 500 else None,  # noqa: PLR2004 - server faults
        "code": error.metadata.get("code") if row.code is None and row.status < 500 else row.code,  # noqa: PLR2004 - server faults
    }


def _headers(error: FormworkError, row: Row) -> dict[str, str]:
    headers = {"content-type": MEDIA_TYPE}
    if error.retry_after_seconds is not None:
        seconds = min(max(error.retry_after_seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
        headers["retry-after"] = str(math.ceil(seconds))
        headers["retry-after-ms"] = str(math.ceil(seconds * 1000))
    if row.retry is not None:
        headers["x-should-retry"] = "true" if row.retry else "false"
    if row.closes:
        headers["connection"] = "close"
    if row.status == 401:  # noqa: PLR2004 - RFC 9110, section 15.5.2
        headers["www-authenticate"] = "Bearer"
    return headers
