"""Tools as they were read before: every turn of a conversation brings those of the last one."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mesh.memory import BoundedMemory

if TYPE_CHECKING:
    from gateway.tools import Tool

_ENTRY_BYTES = 2048
TIMES_TEXT = 16
"""About how much larger than its text a tool is: its schema as objects, its text again."""


@dataclass(frozen=True)
class _Remembered:
    path: str
    tool: "Tool"
    size: int


class ToolMemory:
    """Checked tools by their text, wherever in a list they stood; used from several threads.

    What is refused is not remembered. A tool that is found keeps what was worked out of it, as the
    hash of its schema.

    Args:
        maximum: Bytes of all of them, about.
    """

    def __init__(self, maximum: int) -> None:
        self._tools = BoundedMemory[str, _Remembered](maximum, lambda found: found.size)
        self._lock = threading.Lock()

    def get(self, text: str, path: str, read: Callable[[], "Tool"]) -> "Tool":
        """Return the tool of a text that stands at a path, read if it is not remembered.

        Args:
            text: All of it, exactly.
            path: For example `tools[0]`; errors about the tool name it.
            read: Reads it there; raises what is wrong with it.
        """
        with self._lock:
            found = self._tools.find(text)
        if found is not None and found.path == path:
            return found.tool
        tool = read() if found is None else _moved(found, path)
        size = _ENTRY_BYTES + TIMES_TEXT * len(text)
        with self._lock:
            self._tools.record(text, _Remembered(path, tool, size))
        return tool


def _moved(found: _Remembered, path: str) -> "Tool":
    """Return a tool that has stood elsewhere: errors about it name where it stands now."""
    subject = found.tool.subject
    param = path + subject.param.removeprefix(found.path)
    return replace(found.tool, subject=replace(subject, param=param))
