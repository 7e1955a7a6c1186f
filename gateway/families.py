"""How each family of chat models is spoken to: data that a new family adds a row to."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.chat_formats import FORMATS, ChatFormat, recognise_format


class SchemaStyle(StrEnum):
    """Where a schema stands in the prompt."""

    OUTLINE = "outline"
    """A type sketch (`gateway.schema_outline`) in the template's variable `schema`."""
    SYSTEM = "system"
    """The schema's text, after an instruction, at the end of the system message."""


@dataclass(frozen=True)
class Family:
    """One row: how a schema is written, the separators its models were trained on, their format.

    Empty separators are the engine's own; without a format it is recognised by the chat template.
    `refusal_phrases` are how refusals begin, for models that have no token for them.
    """

    schema_style: SchemaStyle = SchemaStyle.SYSTEM
    item_separator: str = ", "
    key_separator: str = ": "
    format: ChatFormat | None = None
    refusal_phrases: tuple[str, ...] = (
        "I'm sorry",
        "I am sorry",
        "Sorry, ",
        "I apologize",
        "I can't",
        "I cannot",
        "I can not",
        "I won't",
        "I will not",
        "I'm unable",
        "I am unable",
        "I'm not able",
        "I am not able",
        "I must decline",
        "As an AI",
        "Unfortunately, I can",
    )


SCHEMA_INSTRUCTION = "Answer with JSON that fits this JSON Schema, and with nothing else:"

FAMILIES = {
    "formwork": Family(
        SchemaStyle.OUTLINE, item_separator="", key_separator="", format=FORMATS["formwork"]
    ),
    "chatml": Family(),
    "harmony": Family(format=FORMATS["harmony"]),
    "hermes": Family(format=FORMATS["hermes"]),
    "llama": Family(),
    "mistral": Family(),
    "qwen": Family(),
}
OTHER = Family()

# For a model folder without a chat template, under the name `plain`.
PLAIN_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def family_of(name: str) -> Family:
    """Return the row of a family; families that nobody described are spoken to like most are."""
    return FAMILIES.get(name, OTHER)


def format_of(family: Family, template: str) -> ChatFormat:
    """Return what the models of a family write around content and calls."""
    return family.format or recognise_format(template)
