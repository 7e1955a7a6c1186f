"""What a model cannot do is refused by parameter, before anything is asked of anybody."""

from gateway.errors import RequestError
from gateway.prompt import PromptWriter
from gateway.request import ChatRequest
from gateway.tools import ToolMode
from mesh.models import ModelEntry


def check_abilities(request: ChatRequest, entry: ModelEntry, writer: PromptWriter) -> None:
    """Refuse what a model cannot do, or cannot be kept to.

    Raises:
        RequestError: The parameter, with the code `unsupported_value`.
    """
    form, use = request.format, request.tool_use
    if form.is_structured and not entry.structured:
        raise _unsupported(f"'response_format' of type '{form.kind}'", "response_format")
    if use.tools and not (entry.tools and writer.traits.has_tools and writer.chat.form.call):
        raise _unsupported("'tools'", "tools")
    may_do_either = form.is_structured and use.callable and use.mode is ToolMode.AUTO
    if may_do_either and not writer.chat.tells_calls_from(form.schema_of_any):
        keys = " and ".join(f"'{key}'" for key in writer.chat.form.call_keys)
        raise RequestError(
            "Invalid parameter: 'response_format' together with 'tools' is not supported with this "
            f"model, whose calls are JSON objects that begin with {keys}, where content might "
            "begin so, too. Set 'tool_choice' to 'required' or 'none', leave one of them out, or "
            "use a schema with other keys first and 'additionalProperties' false.",
            "response_format",
            "unsupported_value",
        )


def _unsupported(what: str, param: str) -> RequestError:
    return RequestError(
        f"Invalid parameter: {what} is not supported with this model.", param, "unsupported_value"
    )
