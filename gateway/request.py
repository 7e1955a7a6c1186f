"""Reads the body of POST /v1/chat/completions into a checked `ChatRequest`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gateway.config import GatewayConfig
from gateway.errors import RequestError
from gateway.fields import (
    read_array,
    read_boolean,
    read_choice,
    read_decimal,
    read_integer,
    read_members,
    read_string,
    refuse_type,
    require,
)
from gateway.json_body import Source, read_object
from gateway.messages import Message, mention_json, read_messages
from gateway.parameters import refuse_unsupported
from gateway.response_format import FormatKind, ResponseFormat, read_response_format
from gateway.tool_memory import ToolMemory
from gateway.tools import ToolKind, ToolUse, read_tool_use

SERVICE_TIERS = {
    "auto": "default",
    "default": "default",
    "flex": "flex",
    "priority": "priority",
    "fast": "priority",
}
_INT64 = 2**63
_MAX_BIASES = 1024
_MAX_STOP_CHARACTERS = 256
_MAX_STOPS = 4
_MAX_PAIRS = 16


class LogprobsOf(StrEnum):
    """Over which tokens log probabilities are: an extension to OpenAI's parameters."""

    MODEL = "model"
    """All of them, before the mask: what the model would say unconstrained."""
    ALLOWED = "allowed"
    """Those that the mask leaves: how the model chooses between what it may say."""


@dataclass(frozen=True)
class ChatRequest:
    """A chat completion as asked for: every value checked, every default filled in.

    `max_completion_tokens` is None where the context decides; `seed` where none was given;
    `service_tier` is the tier that is asked of the scheduler; `labels` are the client's own marks
    for its end user and its cache.
    """

    model: str
    messages: tuple[Message, ...]
    format: ResponseFormat = field(default_factory=ResponseFormat)
    tool_use: ToolUse = field(default_factory=ToolUse)
    stream: bool = False
    include_usage: bool = False
    include_obfuscation: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    choices: int = 1
    max_completion_tokens: int | None = None
    close_in_time: bool = False
    """The answer is whole even where its tokens run out: an extension to OpenAI's parameters."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    logprobs: bool = False
    top_logprobs: int = 0
    logprobs_of: LogprobsOf = LogprobsOf.MODEL
    metadata: Mapping[str, str] | None = None
    service_tier: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)


def read_chat_request(
    body: bytes, config: GatewayConfig, tools: ToolMemory | None = None
) -> ChatRequest:
    """Return the checked request in a body.

    Args:
        body: JSON.
        config: Bounds.
        tools: That were read before, within the same bounds.

    Raises:
        RequestError: The first thing that is wrong, by name; nothing is ignored.
    """
    value, source = read_object(body)
    members = {key: member for key, member in value.items() if member is not None}
    refuse_unsupported(members)
    request = ChatRequest(
        model=read_string(require(members, "model", ""), "model", maximum=256),
        messages=read_messages(require(members, "messages", ""), config.max_messages),
        format=_read_format(members, source, config),
        tool_use=read_tool_use(
            members, source, config.max_schema_bytes, tools or ToolMemory(maximum=0)
        ),
        stop=_read_stop(members.get("stop")),
        choices=read_integer(members.get("n", 1), "n", 1, config.max_choices),
        max_completion_tokens=_read_max_tokens(members),
        close_in_time=read_boolean(members.get("close_in_time", False), "close_in_time"),
        logit_bias=_read_logit_bias(members.get("logit_bias", {})),
        metadata=_read_metadata(members.get("metadata")),
        service_tier=SERVICE_TIERS[
            read_choice(members.get("service_tier", "auto"), "service_tier", list(SERVICE_TIERS))
        ],
        labels=_read_labels(members),
        **_read_numbers(members),
        **_read_stream(members),
        **_read_logprobs(members),
    )
    _check_together(request)
    return request


def _read_format(members: dict[str, Any], source: Source, config: GatewayConfig) -> ResponseFormat:
    if "response_format" not in members:
        return ResponseFormat()
    return read_response_format(members["response_format"], source, config.max_schema_bytes)


def _read_numbers(members: dict[str, Any]) -> dict[str, Any]:
    seed = members.get("seed")
    return {
        "temperature": read_decimal(members.get("temperature", 1), "temperature", 0, 2),
        "top_p": read_decimal(members.get("top_p", 1), "top_p", 0, 1),
        "presence_penalty": read_decimal(
            members.get("presence_penalty", 0), "presence_penalty", -2, 2
        ),
        "frequency_penalty": read_decimal(
            members.get("frequency_penalty", 0), "frequency_penalty", -2, 2
        ),
        "seed": None if seed is None else read_integer(seed, "seed", -_INT64, _INT64 - 1),
    }


def _read_stream(members: dict[str, Any]) -> dict[str, Any]:
    stream = read_boolean(members.get("stream", False), "stream")
    if "stream_options" not in members:
        return {"stream": stream}
    if not stream:
        raise RequestError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
            "invalid_value",
        )
    known = ("include_usage", "include_obfuscation")
    options = read_members(members["stream_options"], "stream_options", known)
    chosen = {
        name: read_boolean(options.get(name, False), f"stream_options.{name}") for name in known
    }
    return {"stream": stream, **chosen}


def _read_logprobs(members: dict[str, Any]) -> dict[str, Any]:
    logprobs = read_boolean(members.get("logprobs", False), "logprobs")
    top = read_integer(members.get("top_logprobs", 0), "top_logprobs", 0, 20)
    over = read_choice(members.get("logprobs_of", "model"), "logprobs_of", list(LogprobsOf))
    for name in ("top_logprobs", "logprobs_of"):
        if name in members and not logprobs:
            raise RequestError(
                f"The '{name}' parameter is only allowed when 'logprobs' is enabled.",
                name,
                "invalid_value",
            )
    return {"logprobs": logprobs, "top_logprobs": top, "logprobs_of": LogprobsOf(over)}


def _read_stop(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (_read_stop_string(value, "stop"),)
    items = read_array(value, "stop", 1, _MAX_STOPS)
    return tuple(_read_stop_string(item, f"stop[{index}]") for index, item in enumerate(items))


def _read_stop_string(value: object, path: str) -> str:
    text = read_string(value, path, maximum=_MAX_STOP_CHARACTERS)
    if not text:
        raise RequestError(
            f"Invalid '{path}': empty string. Expected at least one character.",
            path,
            "empty_string",
        )
    return text


def _read_max_tokens(members: dict[str, Any]) -> int | None:
    given = [key for key in ("max_completion_tokens", "max_tokens") if key in members]
    if not given:
        return None
    if len(given) > 1:
        raise RequestError(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
            "invalid_parameter_combination",
        )
    return read_integer(members[given[0]], given[0], 1, 2**31 - 1)


def _read_logit_bias(value: object) -> dict[int, float]:
    if not isinstance(value, dict):
        refuse_type(value, "logit_bias", "an object")
    if len(value) > _MAX_BIASES:
        raise RequestError(
            f"Invalid 'logit_bias': too many entries. Expected at most {_MAX_BIASES}, but got "
            f"{len(value)} instead.",
            "logit_bias",
            "object_above_max_properties",
        )
    biases = {_read_token_id(key): _read_bias(key, bias) for key, bias in value.items()}
    if len(biases) < len(value):
        raise RequestError(
            "Invalid 'logit_bias': two keys name the same token id.", "logit_bias", "invalid_value"
        )
    return biases


def _read_token_id(key: str) -> int:
    if not (key.isascii() and key.isdigit() and len(key) <= 10):  # noqa: PLR2004 - of 2**32
        raise RequestError(
            f"Invalid key in 'logit_bias': {key[:32]}. The keys must be token ids.",
            "logit_bias",
            "invalid_value",
        )
    return int(key)


def _read_bias(key: str, bias: object) -> float:
    return read_decimal(bias, f"logit_bias.{key}", -100, 100)


def _read_metadata(value: object) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        refuse_type(value, "metadata", "an object")
    if len(value) > _MAX_PAIRS:
        raise RequestError(
            "Invalid 'metadata': too many properties. Expected an object with at most "
            f"{_MAX_PAIRS} properties, but got an object with {len(value)} properties instead.",
            "metadata",
            "object_above_max_properties",
        )
    for key, text in value.items():
        read_string(key, "metadata", maximum=64)
        read_string(text, f"metadata.{key}", maximum=512)
    return value


def _read_labels(members: dict[str, Any]) -> dict[str, str]:
    bounds = {"user": 512, "safety_identifier": 64, "prompt_cache_key": 512}
    return {
        key: read_string(members[key], key, maximum=maximum)
        for key, maximum in bounds.items()
        if key in members
    }


def _check_together(request: ChatRequest) -> None:
    """Refuse what is right alone and wrong together."""
    if request.format.is_structured and request.stop:
        raise RequestError(
            "Unsupported parameter: 'stop' is not supported together with "
            f"'response_format' of type '{request.format.kind}': it could end the answer early.",
            "stop",
            "unsupported_parameter",
        )
    if request.close_in_time and not (request.format.is_structured or request.tool_use.callable):
        raise RequestError(
            "Invalid value for 'close_in_time': it is only allowed with a structured "
            "'response_format' or with 'tools' that may be called.",
            "close_in_time",
            "invalid_value",
        )
    if request.stream and any(t.kind is ToolKind.CUSTOM for t in request.tool_use.callable):
        raise RequestError(
            "Unsupported parameter: 'stream' is not supported together with custom tools: the "
            "chunks of chat completions cannot carry their calls.",
            "stream",
            "unsupported_parameter",
        )
    if request.format.kind is FormatKind.JSON_OBJECT and not mention_json(request.messages):
        raise RequestError(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of "
            "type 'json_object'.",
            "messages",
        )
