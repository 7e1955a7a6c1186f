"""The last checks of an answer, made ready before its first token: of its content and its calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from gateway.errors import grammar_error
from gateway.grammars import Grammar, Subject
from gateway.response_format import ResponseFormat
from gateway.tools import ToolUse
from gateway.validation import AnswerValidator, CheckBudget, Validators
from mesh.errors import FormworkError


@dataclass(frozen=True)
class AnswerChecks:
    """Validators of an answer; what has none can be any text, or is enforced alone."""

    content: AnswerValidator | None = None
    inputs: Mapping[str, AnswerValidator] = field(default_factory=dict)
    """By name of the tool."""
    seconds: float = inf
    """Of processor time, that checking one answer may take."""

    def open_budget(self) -> CheckBudget:
        """Return what the checks of one answer share."""
        return CheckBudget(self.seconds)


async def make_checks(
    form: ResponseFormat, use: ToolUse, validators: Validators, project_id: str
) -> AnswerChecks:
    """Return the checks of a request's answers.

    Raises:
        FormworkError: A schema that cannot be validated with, as a client is told it.
        LimitExceededError: Validators of all schemas together take too long to make.
    """
    budget = validators.open_budget()

    async def of(grammar: Grammar | None, subject: Subject) -> AnswerValidator | None:
        """Return a validator: at once where the schema is known, else a project's one by one."""
        if grammar is None or grammar.schema is None:
            return None
        try:
            validator = await validators.of(grammar.schema, project_id)
        except FormworkError as error:
            raise grammar_error(error, subject) from error
        budget.spend(validator)
        return validator

    grammars = (tool.grammar for tool in use.callable)
    schemas = (grammar.schema for grammar in grammars if grammar is not None)
    await validators.prepare((schema for schema in schemas if schema is not None), project_id)
    of_content = await of(form.grammar, form.subject) if form.is_structured else None
    inputs = [(tool.name, await of(tool.grammar, tool.subject)) for tool in use.callable]
    of_tools = {name: one for name, one in inputs if one is not None}
    return AnswerChecks(of_content, of_tools, validators.answer_seconds)
