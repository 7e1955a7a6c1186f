"""What a docstring says of a function and of its parameters, in Google's style."""

import inspect
import re
from dataclasses import dataclass, field

_SECTION = re.compile(
    r"^(Args|Arguments|Parameters|Returns|Yields|Raises|Examples?|Notes?|Attributes|See Also):\s*$"
)
_PARAMETERS = ("Args", "Arguments", "Parameters")
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


@dataclass(frozen=True)
class Docstring:
    """A docstring taken apart."""

    description: str = ""
    """Everything before the first section."""
    parameters: dict[str, str] = field(default_factory=dict)
    """What the section `Args:` says of each, on one line."""


def read_docstring(text: str | None) -> Docstring:
    """Return what a docstring says; nothing where there is none."""
    sections: dict[str, list[str]] = {"": []}
    lines = sections[""]
    for line in inspect.cleandoc(text or "").splitlines():
        header = _SECTION.match(line)
        if header is not None:
            lines = sections.setdefault(header[1], [])
        else:
            lines.append(line)
    named = [line for name in _PARAMETERS for line in sections.get(name, [])]
    return Docstring("\n".join(sections[""]).strip(), _read_entries(named))


def _read_entries(lines: list[str]) -> dict[str, str]:
    """Return name and text of each entry; lines that are further in go on with it."""
    entries: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc("\n".join(["", *lines])).splitlines():
        entry = _ENTRY.match(line)
        if entry is not None:
            name = entry[1]
            entries[name] = entry[2].strip()
        elif name and line.strip():
            entries[name] = f"{entries[name]} {line.strip()}".strip()
    return entries
