"""The one table of errors: every code with whose fault it is, its HTTP status, and what to do.

`docs/errors.md` is this table as a page (`gateway/error_page.py`). A code is added here, in one
place; a test holds every code that the gateway uses against it, and makes a request for every row.
"""

from dataclasses import dataclass
from enum import StrEnum

from gateway.config import GatewayConfig

SERVER_STATUS = 500
"""From here on an error is not the caller's, and its own words stay inside."""


class Fault(StrEnum):
    """Whose fault an error is: the values of `error.type`."""

    CALLER = "invalid_request_error"
    RATE = "rate_limit_error"
    OURS = "server_error"
    MODEL = "model_error"


@dataclass(frozen=True)
class Row:
    """What one code means."""

    status: int
    type: Fault
    retry: bool
    """Whether the same request may succeed later: the header `x-should-retry`."""
    advice: str
    """One sentence for the caller: what to do."""
    message: str | None = None
    """Said instead of the error's own, which may tell too much of the inside."""
    closes: bool = False
    """The rest of the request's body is not read."""


def _caller(advice: str, status: int = 400, *, closes: bool = False) -> Row:
    return Row(status, Fault.CALLER, retry=False, advice=advice, closes=closes)


def _ours(status: int, advice: str, message: str, *, retry: bool = True) -> Row:
    return Row(status, Fault.OURS, retry, advice, message)


_FAULT = "The server had an error while processing your request. Sorry about that!"
_WAIT = "Wait as long as `retry-after` says, then send it again."

INVALID_REQUEST, INTERNAL_ERROR = "invalid_request", "internal_error"

CODES: dict[str, Row] = {
    # The body, before its parameters.
    INVALID_REQUEST: _caller("Correct what the message names."),
    "invalid_json": _caller("Send one JSON object in UTF-8; the message says where it ends."),
    "duplicate_key": _caller("Write each key of an object once."),
    "unsupported_encoding": _caller("Send the body uncompressed."),
    # A parameter: `param` is its path.
    "unknown_parameter": _caller("Remove it, or correct its spelling; nothing is ignored."),
    "unsupported_parameter": _caller("Remove it: this server, or this model, does not have it."),
    "unsupported_value": _caller("Choose a value that this model supports."),
    "unsupported_messages": _caller(
        "Change the order or the roles of the messages: the model's chat template refuses them."
    ),
    "missing_required_parameter": _caller("Give it."),
    "invalid_parameter_combination": _caller("Leave out one of those that the message names."),
    "invalid_type": _caller("Give a value of the type that the message names."),
    "invalid_value": _caller("Give a value of those that the message names."),
    "integer_below_min_value": _caller("Give at least the minimum that the message names."),
    "integer_above_max_value": _caller("Give at most the maximum that the message names."),
    "decimal_below_min_value": _caller("Give at least the minimum that the message names."),
    "decimal_above_max_value": _caller("Give at most the maximum that the message names."),
    "empty_string": _caller("Give at least one character, or leave the parameter out."),
    "string_above_max_length": _caller("Shorten it to the length that the message names."),
    "empty_array": _caller("Give at least one element, or leave the parameter out."),
    "array_above_max_length": _caller("Give at most as many elements as the message names."),
    "object_above_max_properties": _caller("Give at most as many entries as the message names."),
    # Schemas, prompts and sizes.
    "schema_too_large": _caller("Make the schema smaller: the message names the limit."),
    "invalid_json_schema": _caller(
        "Change the schema at the place that the message names: it cannot be enforced as it is."
    ),
    "schema_not_found": _caller(
        "Take an id of `GET /v1/schemas`: this project has no schema with this one.", 404
    ),
    "schema_limit_reached": _caller(
        "Remove schemas that are not used any longer: `DELETE /v1/schemas/{id}`."
    ),
    "invalid_function_parameters": _caller(
        "Change the function's schema where the message says: it cannot be enforced as it is."
    ),
    "invalid_grammar": _caller(
        "Change the grammar of the custom tool where the message says: see `docs/grammars.md`."
    ),
    "context_length_exceeded": _caller(
        "Shorten the messages, or ask for fewer tokens: the message has both numbers."
    ),
    "limit_exceeded": _caller("Make the request smaller: the message names the limit."),
    "request_too_large": _caller(
        f"Send a smaller body: at most {GatewayConfig.max_body_bytes // 2**20} MiB where "
        "`gateway.max_body_bytes` says nothing else.",
        413,
        closes=True,
    ),
    "headers_too_large": _caller("Send fewer or shorter headers.", 431, closes=True),
    "request_timeout": _caller(
        "Send the whole body without pausing: it came too slowly.", 408, closes=True
    ),
    # Keys, paths and names.
    "invalid_api_key": _caller("Send a key that is complete, not expired and not revoked.", 401),
    "model_not_found": _caller("Take a name of `GET /v1/models`.", 404),
    "unknown_url": _caller("Correct the path: `/docs` lists them.", 404),
    "method_not_supported": _caller("Take a method that the header `allow` lists.", 405),
    "slow_client": _caller(
        "Read the stream as it comes: it was cut, and what was generated is charged.", 499
    ),
    # Too much at once.
    "rate_limit_exceeded": Row(429, Fault.RATE, retry=True, advice=_WAIT),
    # Our fault, or our state.
    "overloaded": _ours(503, _WAIT, "The server is currently overloaded. Please try again later."),
    "model_unavailable": _ours(
        503,
        "Wait as long as `retry-after` says, or take another model.",
        "No worker serves this model right now.",
    ),
    "service_unavailable": _ours(503, _WAIT, _FAULT),
    "worker_lost": _ours(
        503,
        "Send it again: nothing that was lost is repeated.",
        "The worker of this request was lost.",
    ),
    "timeout": _ours(
        504, "Send it again, ask for fewer tokens, or stream.", "The request took too long."
    ),
    "invalid_answer": _ours(
        500,
        "Send it again, and tell the operator: an answer that did not fit was held back.",
        "The answer that was generated does not fit its schema.",
    ),
    INTERNAL_ERROR: _ours(
        500, "Send it again; if it persists, tell the operator the request's id.", _FAULT
    ),
    # The model's fault.
    "model_failed": Row(
        500,
        Fault.MODEL,
        retry=False,
        advice="Change the messages or take another model: this one fails on them every time.",
        message="The model produced numbers that are not finite.",
    ),
}

# The reasons of `mesh.errors` and `gateway.errors`. A RequestError brings its own code; reasons
# that are missing here are faults of ours that no client should see named.
CODE_OF_REASON: dict[str, str] = {
    "REQUEST_INVALID": INVALID_REQUEST,
    "INVALID_ARGUMENT": INVALID_REQUEST,
    "LIMIT_EXCEEDED": "limit_exceeded",
    "JSON_SCHEMA_INVALID": "invalid_json_schema",
    "SCHEMA_UNKNOWN": "schema_not_found",
    "SCHEMA_LIMIT": "schema_limit_reached",
    "FUNCTION_SCHEMA_INVALID": "invalid_function_parameters",
    "GRAMMAR_INVALID": "invalid_grammar",
    "CONTEXT_LENGTH_EXCEEDED": "context_length_exceeded",
    "API_KEY_INVALID": "invalid_api_key",
    "MODEL_UNKNOWN": "model_not_found",
    "URL_UNKNOWN": "unknown_url",
    "METHOD_NOT_ALLOWED": "method_not_supported",
    "BODY_TIMEOUT": "request_timeout",
    "BODY_TOO_LARGE": "request_too_large",
    "HEAD_TOO_LARGE": "headers_too_large",
    "SLOW_CLIENT": "slow_client",
    "PROJECT_BUSY": "rate_limit_exceeded",
    "COMPILE_QUEUE_FULL": "rate_limit_exceeded",
    "QUEUE_FULL": "overloaded",
    "QUEUE_TIMEOUT": "overloaded",
    "OVERLOADED": "overloaded",
    "DRAINING": "overloaded",
    "NO_WORKER": "model_unavailable",
    "SERVICE_UNAVAILABLE": "service_unavailable",
    "DATABASE_UNAVAILABLE": "service_unavailable",
    "DATABASE_BUSY": "overloaded",
    "WORKER_LOST": "worker_lost",
    "DEADLINE_EXCEEDED": "timeout",
    "ANSWER_INVALID": "invalid_answer",
    "MODEL_FAILED": "model_failed",
    "INTERNAL": INTERNAL_ERROR,
}
