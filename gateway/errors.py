"""Errors as a client sees them: the gateway's own, and how every error is rendered.

They stand beside those of `mesh.errors`; `gateway/error_table.py` says what each is on the wire.
"""

import math
from dataclasses import dataclass

import grpc
import orjson

from gateway.error_table import (
    CODE_OF_REASON,
    CODES,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    SERVER_STATUS,
    Row,
)
from gateway.grammars import Subject
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
    """A parameter is wrong: `field` is its path, metadata has the `code`, a row of the table."""

    reason = "REQUEST_INVALID"

    def __init__(self, message: str, param: str | None = None, code: str = INVALID_REQUEST) -> None:
        super().__init__(message, field=param, metadata={"code": code})


class ApiKeyError(FormworkError):
    """The bearer key is missing, unknown, expired or revoked; the message never shows it."""

    reason = "API_KEY_INVALID"
    code = grpc.StatusCode.UNAUTHENTICATED


class SchemaInvalidError(InvalidArgumentError):
    """The compiler refused the schema of a response format."""

    reason = "JSON_SCHEMA_INVALID"


class SchemaUnknownError(FormworkError):
    """The project has no registered schema with this id."""

    reason = "SCHEMA_UNKNOWN"
    code = grpc.StatusCode.NOT_FOUND


class SchemaLimitError(LimitExceededError):
    """The project keeps as many schemas, or as many bytes of them, as it may."""

    reason = "SCHEMA_LIMIT"

    def __init__(self, limit: str, maximum: int) -> None:
        super().__init__(
            f"Your project keeps as many schemas as it may: {limit} is {maximum}.",
            metadata={"limit": limit, "maximum": str(maximum)},
        )


class FunctionSchemaInvalidError(InvalidArgumentError):
    """The compiler refused the parameters of a function."""

    reason = "FUNCTION_SCHEMA_INVALID"


class GrammarInvalidError(InvalidArgumentError):
    """The compiler refused the grammar of a custom tool."""

    reason = "GRAMMAR_INVALID"


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
class ErrorReply:
    """An error ready for the wire."""

    status: int
    body: bytes
    headers: dict[str, str]


def reply_of(error: FormworkError) -> ErrorReply:
    """Return the status, the OpenAI-shaped body and the headers of an error."""
    code = code_of(error)
    row = _row(code)
    body = orjson.dumps({"error": _fields(error, code, row)})
    return ErrorReply(row.status, body, _headers(error, row))


def event_of(error: FormworkError) -> bytes:
    """Return the error as a server-sent event, for a stream that has begun."""
    code = code_of(error)
    return b"data: " + orjson.dumps({"error": _fields(error, code, _row(code))}) + b"\n\n"


def status_of(error: FormworkError) -> int:
    """Return the HTTP status of an error."""
    return _row(code_of(error)).status


def code_of(error: FormworkError) -> str:
    """Return the code of an error: its own where it is a RequestError, else that of its reason."""
    if isinstance(error, RequestError):
        return error.metadata["code"]
    return CODE_OF_REASON.get(error.reason, INTERNAL_ERROR)


_ABOUT_GRAMMAR = (SchemaRefusedError, GrammarRefusedError, LimitExceededError, CompileBudgetError)


def grammar_error(error: FormworkError, subject: Subject) -> FormworkError:
    """Return what a client is told when a grammar was refused.

    Errors that are not about the grammar come back unchanged.
    """
    if not isinstance(error, _ABOUT_GRAMMAR):
        return error
    return FormworkError.by_reason[subject.reason](
        f"Invalid {subject.name}: {_located(error)}", field=subject.param, metadata=error.metadata
    )


def _located(error: FormworkError) -> str:
    """Return a refusal's message in OpenAI's form, which begins with the place in the schema."""
    context = error.metadata.get("context")
    if isinstance(error, SchemaRefusedError) and context and "In context=" not in error.message:
        return f"In context={context}, {error.message}"
    return error.message


def _row(code: str) -> Row:
    return CODES.get(code, CODES[INVALID_REQUEST])


def _fields(error: FormworkError, code: str, row: Row) -> dict[str, str | None]:
    return {
        "message": row.message or error.message,
        "type": row.type,
        "param": error.field if row.status < SERVER_STATUS else None,
        "code": code,
    }


def _headers(error: FormworkError, row: Row) -> dict[str, str]:
    headers = {"content-type": MEDIA_TYPE, "x-should-retry": str(row.retry).lower()}
    if error.retry_after_seconds is not None:
        seconds = min(max(error.retry_after_seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
        headers["retry-after"] = str(math.ceil(seconds))
        headers["retry-after-ms"] = str(math.ceil(seconds * 1000))
    if row.closes:
        headers["connection"] = "close"
    if row.status == 401:  # noqa: PLR2004 - RFC 9110, section 15.5.2
        headers["www-authenticate"] = "Bearer"
    return headers
