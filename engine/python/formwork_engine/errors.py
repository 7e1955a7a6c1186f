"""What the engine refuses, and how it says so.

EngineError
├── MalformedError       not the kind of text that it was given as
├── UnsupportedError     cannot be enforced: names JSON pointer, keyword and reason
├── TooLargeError        a limit: its name, the maximum and the value
├── VocabularyError      a tokenizer that the engine cannot read
├── IndexFormatError     bytes that are not an index of this engine and vocabulary
└── CursorError          a cursor that has failed; it stays failed
    └── LimitReachedError   a limit of its masks and steps: its name and the maximum
"""


class EngineError(Exception):
    """Anything that the engine refuses."""


class MalformedError(EngineError):
    """The text is not a schema, a regular expression or a grammar at all.

    Args:
        reason: What is wrong with it.
        pointer: JSON pointer into the schema; empty for its root and for other inputs.
        keyword: The keyword whose value is wrong, where there is one.
    """

    def __init__(self, reason: str, *, pointer: str = "", keyword: str = "") -> None:
        super().__init__(f"{pointer or '#'}: {reason}" if pointer else reason)
        self.reason = reason
        self.pointer = pointer
        self.keyword = keyword

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the arguments, which exceptions with keywords do not do by themselves."""
        return _restore_malformed, (self.reason, self.pointer, self.keyword)


def _restore_malformed(reason: str, pointer: str, keyword: str) -> MalformedError:
    return MalformedError(reason, pointer=pointer, keyword=keyword)


class UnsupportedError(EngineError):
    """A constraint that cannot be enforced, and is therefore refused.

    Args:
        pointer: JSON pointer of the schema that holds the keyword; empty at the root.
        keyword: The keyword, or the option.
        reason: Why.
    """

    def __init__(self, pointer: str, keyword: str, reason: str) -> None:
        super().__init__(f"{pointer or '#'}: '{keyword}' {reason}")
        self.pointer = pointer
        self.keyword = keyword
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the arguments."""
        return UnsupportedError, (self.pointer, self.keyword, self.reason)


class TooLargeError(EngineError):
    """A limit that was passed.

    Args:
        limit: Name of the limit, a field of `Budget` where it is one.
        maximum: What it allows.
        value: What was asked, as far as it was counted.
    """

    def __init__(self, limit: str, maximum: int, value: int) -> None:
        super().__init__(f"{limit} is {value}, more than {maximum}")
        self.limit = limit
        self.maximum = maximum
        self.value = value

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the arguments."""
        return TooLargeError, (self.limit, self.maximum, self.value)


class VocabularyError(EngineError):
    """A tokenizer that the engine cannot read."""


class IndexFormatError(EngineError):
    """Bytes that are not an index, or one of another engine or vocabulary."""


class CursorError(EngineError):
    """The cursor has failed, now or earlier; the message says why."""


class LimitReachedError(CursorError):
    """A limit of the work that a mask or a step may take.

    Args:
        limit: Name of the limit, a field of `Budget` where it is one.
        maximum: What it allows.
    """

    def __init__(self, limit: str, maximum: int) -> None:
        super().__init__(f"the step needs more than {limit} allows, {maximum}")
        self.limit = limit
        self.maximum = maximum

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the arguments."""
        return LimitReachedError, (self.limit, self.maximum)
