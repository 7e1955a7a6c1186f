"""Finds where a JSON object ends that comes in pieces."""

from dataclasses import dataclass


@dataclass
class ObjectScan:
    """Reads the text of one JSON object, which is valid, up to its closing bracket."""

    depth: int = 0
    in_string: bool = False
    is_escaped: bool = False

    def find_end(self, text: str) -> int | None:
        """Return how many characters of the text still belong to the object; None: all of them."""
        for position, character in enumerate(text):
            if self.in_string:
                self._read_in_string(character)
            elif character == '"':
                self.in_string = True
            elif character in "{[":
                self.depth += 1
            elif character in "}]":
                self.depth -= 1
                if self.depth == 0:
                    return position + 1
        return None

    def _read_in_string(self, character: str) -> None:
        if self.is_escaped:
            self.is_escaped = False
        elif character == "\\":
            self.is_escaped = True
        elif character == '"':
            self.in_string = False
