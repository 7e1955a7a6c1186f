"""Whether a JSON text fits a JSON Schema: pure, and as slow as the schema makes it.

Formats are asserted, references stay inside the schema or name one of JSON Schema's own. Patterns
run on the linear-time engine; those of a schema that looks ahead or behind, which that does not
read, on one that gives up after so many steps back.
"""

import json
import re
from decimal import Decimal
from functools import cache
from typing import Any, Protocol

import jsonschema_rs

_DIALECTS = frozenset(
    uri + end
    for end in ("", "#")
    for uri in (
        "http://json-schema.org/draft-04/schema",
        "http://json-schema.org/draft-06/schema",
        "http://json-schema.org/draft-07/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "https://json-schema.org/draft/2020-12/schema",
    )
)


_LOOKING_AROUND = re.compile(rb"\(\?<?[=!]")
_MAX_STEPS_BACK = 1_000_000
_METASCHEMA = re.compile(rb'"\$(dynamicR|r)ef"\s*:\s*"https?:[/\\]+json-schema\.org')


class Validator(Protocol):
    """Tells whether a JSON value fits a schema."""

    def is_valid(self, instance: Any) -> bool:  # noqa: ANN401 - any JSON value
        """Return whether it fits."""


class SchemaUnusableError(ValueError):
    """No validator can be made of a schema; the message says why, in one line."""


def build_validator(schema_text: bytes, *, pattern_bytes: int) -> Validator:
    """Return the validator of a schema; a compiled pattern may take `pattern_bytes`.

    Raises:
        SchemaUnusableError: Malformed, or it refers to what is not in it.
    """
    try:
        schema = _with_known_dialect(json.loads(schema_text))
        patterns: Any = jsonschema_rs.RegexOptions(size_limit=pattern_bytes)
        if _LOOKING_AROUND.search(schema_text):
            patterns = jsonschema_rs.FancyRegexOptions(
                backtrack_limit=_MAX_STEPS_BACK, size_limit=pattern_bytes
            )
        known = _metaschemas() if _METASCHEMA.search(schema_text) else None
        return jsonschema_rs.validator_for(
            schema, validate_formats=True, pattern_options=patterns, offline=True, registry=known
        )
    except (ValueError, RecursionError, jsonschema_rs.ReferencingError) as error:
        raise SchemaUnusableError(str(error).split("\n", 1)[0][:300]) from error


def fits(validator: Validator, text: bytes) -> bool:
    """Return whether a text is JSON, without repeated keys, that the validator takes."""
    try:
        value = json.loads(
            text,
            parse_float=Decimal,  # exact, as the digits stand
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_duplicates,
        )
        return bool(validator.is_valid(value))
    except (ValueError, RecursionError):
        return False


@cache
def _metaschemas() -> jsonschema_rs.Registry:
    """Return the schemas of all drafts: by itself a validator knows those of its own alone."""
    from jsonschema_specifications import REGISTRY  # noqa: PLC0415 - large, seldom needed

    return jsonschema_rs.Registry([(uri.rstrip("#"), REGISTRY.contents(uri)) for uri in REGISTRY])


def _with_known_dialect(schema: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return the schema; an unknown dialect is read as the newest one, as the compiler does."""
    if not isinstance(schema, dict) or schema.get("$schema") in _DIALECTS:
        return schema
    return {key: value for key, value in schema.items() if key != "$schema"}


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice")
    return fields


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
