"""What the engine refuses, in the mesh's errors."""

from formwork_engine import (
    EngineError,
    GrammarInput,
    JsonSchema,
    MalformedError,
    TooLargeError,
    UnsupportedError,
)

from mesh.errors import (
    CompileBudgetError,
    CompileQueueFullError,
    FormworkError,
    GrammarRefusedError,
    InternalError,
    InvalidArgumentError,
    SchemaRefusedError,
)

# Limits on what was sent; the others are on what it compiles to.
_INPUT_LIMITS = frozenset(["max_bytes", "max_depth", "max_nodes"])
_RETRY_SECONDS = 2.0


def as_refusal(error: EngineError, grammar: GrammarInput) -> FormworkError:
    """Return the error that says where and why the engine refused a grammar."""
    kind = SchemaRefusedError if isinstance(grammar, JsonSchema) else GrammarRefusedError
    match error:
        case UnsupportedError() | MalformedError():
            return _located(kind, error.pointer, error.keyword, _sentence(error))
        case TooLargeError():
            return _too_large(kind, error)
    return InternalError("The grammar could not be compiled.")


def queue_is_full(limit: str, maximum: int, value: int) -> FormworkError:
    """Return the error of who finds as many compiles waiting as may wait."""
    return CompileQueueFullError(
        "Too many grammars wait to be compiled.",
        metadata={"limit": limit, "maximum": str(maximum), "value": str(value)},
        retry_after_seconds=_RETRY_SECONDS,
    )


def _located(
    kind: type[InvalidArgumentError], pointer: str, keyword: str, message: str
) -> FormworkError:
    if kind is not SchemaRefusedError:
        return kind(message, metadata={"pointer": pointer, "keyword": keyword})
    context = repr(tuple(_parts(pointer)))
    return kind(
        f"In context={context}, {message}",
        field=pointer,
        metadata={"pointer": pointer, "keyword": keyword, "context": context},
    )


def _too_large(kind: type[InvalidArgumentError], error: TooLargeError) -> FormworkError:
    metadata = {
        "limit": error.limit,
        "maximum": str(error.maximum),
        "value": str(error.value),
        "keyword": "",
        "pointer": "",
        "context": "()",
    }
    if error.limit in _INPUT_LIMITS:
        message = f"{error.limit} is {error.value}, which exceeds limit of {error.maximum}."
        return kind(message, metadata=metadata, field="")
    return CompileBudgetError(
        f"The grammar needs more than {error.limit} allows ({error.maximum}) to compile.",
        metadata=metadata,
    )


def _parts(pointer: str) -> list[str]:
    parts = pointer.split("/")[1:]
    return [part.replace("~1", "/").replace("~0", "~") for part in parts]


def _sentence(error: UnsupportedError | MalformedError) -> str:
    keyword = f"'{error.keyword}': " if error.keyword else ""
    return f"{keyword}{error.reason.removesuffix('.')}."
