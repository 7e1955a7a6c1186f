"""Which Lark grammars of callers are accepted: the dialect of OpenAI's custom tools.

Rules, terminals, strings, regular expressions, repetition, `%import common.…` and `%ignore`. What
the library behind the engine adds, and what could reach outside the text (special tokens, other
grammars, hidden options), is refused by name.
"""

import re
from typing import Final

from formwork_engine.errors import UnsupportedError

_SKIPPED: Final = re.compile(
    r"""
      "(?:[^"\\\n]|\\.)*"i?             # string
    | /(?![/*])(?:[^/\\\n]|\\.)+/[imslux]*  # regular expression
    | //[^\n]* | \#[^\n]*               # comment
    """,
    re.VERBOSE,
)
_REFUSED: Final = (
    ("special tokens", re.compile(r"<")),
    ("references to other grammars", re.compile(r"@")),
    ("terminal priorities", re.compile(r"^\s*[A-Za-z_][\w-]*\.-?\d+\s*:", re.MULTILINE)),
    ("templates and parameters", re.compile(r"\{\s*[A-Za-z_]|::|%if\b")),
    ("rule attributes", re.compile(r"^\s*[A-Za-z_?!][\w-]*\s*\[[^\]]*\]\s*:", re.MULTILINE)),
)
_DIRECTIVE: Final = re.compile(r"%\s*(\w+)")
_DIRECTIVES: Final = frozenset({"import", "ignore"})
_IMPORT: Final = re.compile(r"%import\s+(\S+)")


def check_lark(definition: str) -> None:
    """Return if a grammar is in the dialect.

    Raises:
        UnsupportedError: It uses something else; the keyword names it.
    """
    bare = _SKIPPED.sub('""', definition)
    for name, form in _REFUSED:
        if form.search(bare):
            raise UnsupportedError("", name, "are not enforced")
    for directive in _DIRECTIVE.findall(bare):
        if directive not in _DIRECTIVES:
            raise UnsupportedError("", f"%{directive}", "is not enforced")
    for source in _IMPORT.findall(bare):
        if not source.startswith("common."):
            raise UnsupportedError("", "%import", "of other than common terminals is not enforced")
