"""Writes `docs/errors.md`, the table of errors as a page: `python -m gateway.error_page`."""

from pathlib import Path

from gateway.error_table import CODES, Fault, Row

PAGE = Path("docs/errors.md")

_HEAD = """# Errors

Written by `make docs` from `gateway/error_table.py`.

Every error is JSON in OpenAI's shape, also in the middle of a stream, where it is a `data:` line of
its own:

```json
{"error": {"message": "Invalid type for 'n': expected an integer, but got a string instead.",
           "type": "invalid_request_error", "param": "n", "code": "invalid_type"}}
```

`message` is for people: for the caller's faults it names the place, the limit and what was sent.
`type` says whose fault it is, `code` what happened, `param` which parameter. The header
`x-should-retry` says whether the same request may succeed later, which the official clients obey;
`retry-after` and `retry-after-ms` say when. `x-request-id` is what an operator finds a request by.
Nothing is charged for a request that was refused, and no tokens for an answer that fails by a fault
of ours before its first one.
"""

_TITLES = {
    Fault.CALLER: "The caller's fault: the same request will fail again",
    Fault.RATE: "Too much at once",
    Fault.OURS: "Our fault, or our state",
    Fault.MODEL: "The model's fault",
}


def write_page() -> str:
    """Return the page."""
    sections = [_write_section(fault, title) for fault, title in _TITLES.items()]
    return "\n".join([_HEAD, *sections])


def _write_section(fault: Fault, title: str) -> str:
    rows = [_write_row(code, row) for code, row in CODES.items() if row.type is fault]
    head = ["| `code` | status | retry | what to do |", "|---|---|---|---|"]
    return "\n".join([f"## `{fault}`", "", f"{title}.", "", *head, *rows, ""])


def _write_row(code: str, row: Row) -> str:
    return f"| `{code}` | {row.status} | {'yes' if row.retry else 'no'} | {row.advice} |"


if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
