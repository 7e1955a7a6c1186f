"""What /docs shows of the request: the official clients know the rest."""

from typing import Any

CHAT_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["model", "messages"],
    "additionalProperties": False,
    "properties": {
        "model": {"type": "string", "description": "A snapshot or an alias of GET /v1/models."},
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["role"],
                "properties": {
                    "role": {"enum": ["developer", "system", "user", "assistant", "tool"]},
                    "content": {"description": "Text, or an array of text parts."},
                },
            },
        },
        "response_format": {
            "type": "object",
            "required": ["type"],
            "description": "What the answer must look like; it will.",
            "properties": {
                "type": {"enum": ["text", "json_object", "json_schema"]},
                "json_schema": {
                    "type": "object",
                    "description": "A schema, or `schema_id` alone: one of POST /v1/schemas.",
                    "properties": {
                        "schema_id": {"type": "string", "pattern": "^schema_[0-9a-f]{32}$"},
                        "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
                        "description": {"type": "string"},
                        "schema": {"type": "object"},
                        "strict": {"type": "boolean", "default": False},
                    },
                },
            },
        },
        "stream": {"type": "boolean", "default": False},
        "stream_options": {
            "type": "object",
            "properties": {
                "include_usage": {"type": "boolean", "default": False},
                "include_obfuscation": {
                    "type": "boolean",
                    "default": False,
                    "description": "Pads each event. Off by default here, unlike at OpenAI.",
                },
            },
        },
        "temperature": {"type": "number", "minimum": 0, "maximum": 2, "default": 1},
        "top_p": {"type": "number", "minimum": 0, "maximum": 1, "default": 1},
        "seed": {"type": "integer"},
        "stop": {"description": "A string or up to 4; not together with a structured format."},
        "n": {"type": "integer", "minimum": 1, "maximum": 128, "default": 1},
        "max_completion_tokens": {
            "type": "integer",
            "minimum": 1,
            "description": "An upper bound; the context may leave less.",
        },
        "max_tokens": {"type": "integer", "minimum": 1, "deprecated": True},
        "close_in_time": {
            "type": "boolean",
            "default": False,
            "description": "A constrained answer is whole even where its tokens run out.",
        },
        "presence_penalty": {"type": "number", "minimum": -2, "maximum": 2, "default": 0},
        "frequency_penalty": {"type": "number", "minimum": -2, "maximum": 2, "default": 0},
        "logit_bias": {
            "type": "object",
            "description": "By token id, as POST /v1/tokenize tells them.",
            "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
        },
        "logprobs": {
            "type": "boolean",
            "default": False,
            "description": "Of the model itself: before penalties, bias, mask and temperature.",
        },
        "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
        "logprobs_of": {
            "enum": ["model", "allowed"],
            "default": "model",
            "description": "Over which tokens; `allowed`: those that the constraint leaves.",
        },
        "tools": {
            "type": "array",
            "minItems": 1,
            "maxItems": 128,
            "items": {"type": "object"},
            "description": "Functions, and custom tools that take text or follow a grammar.",
        },
        "tool_choice": {
            "default": "auto",
            "description": "`none`, `auto`, `required`, one named tool, or `allowed_tools`.",
        },
        "parallel_tool_calls": {"type": "boolean", "default": True},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        "service_tier": {"enum": ["auto", "default", "flex", "priority", "fast"]},
        "store": {"enum": [False]},
        "user": {"type": "string", "deprecated": True},
        "safety_identifier": {"type": "string", "maxLength": 64},
        "prompt_cache_key": {"type": "string"},
    },
}

_MODEL = CHAT_REQUEST["properties"]["model"]

TOKENIZE_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["model"],
    "additionalProperties": False,
    "properties": {
        "model": _MODEL,
        "input": {
            "type": "string",
            "description": "A text; control tokens are never made from it.",
        },
        "messages": {
            **CHAT_REQUEST["properties"]["messages"],
            "description": "Instead of `input`: the prompt that they become, without a format.",
        },
    },
}

DETOKENIZE_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["model", "tokens"],
    "additionalProperties": False,
    "properties": {
        "model": _MODEL,
        "tokens": {
            "type": "array",
            "description": "Ids, or the tokens of an answer of POST /v1/tokenize.",
            "items": {
                "anyOf": [
                    {"type": "integer", "minimum": 0},
                    {
                        "type": "object",
                        "required": ["id"],
                        "properties": {"id": {"type": "integer", "minimum": 0}},
                    },
                ]
            },
        },
    },
}

_JSON_SCHEMA = CHAT_REQUEST["properties"]["response_format"]["properties"]["json_schema"]

SCHEMA_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["name", "schema"],
    "additionalProperties": False,
    "properties": {
        name: _JSON_SCHEMA["properties"][name]
        for name in ("name", "description", "schema", "strict")
    },
}

SCHEMA_LIST: dict[str, Any] = {
    "after": {"type": "string", "description": "The id that the page begins after."},
    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    "order": {"enum": ["asc", "desc"], "default": "desc"},
    "name": {"type": "string", "description": "Only the versions of this name."},
}


def query(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an operation that describes the parameters of its URL."""
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in parameters.items()
        ]
    }


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an operation that describes its JSON body."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
