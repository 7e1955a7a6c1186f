"""Lists in pages, as OpenAI has them: `after`, `limit` and `order` in, one envelope out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import RequestError
from gateway.fields import read_choice, read_integer

_MOST_DIGITS = 9
_LIMIT, _HIGHEST_LIMIT = 20, 100
_CURSOR = ("after", "limit", "order")


@dataclass(frozen=True)
class Page:
    """A part of a list: at most `limit` after the id `after`; the newest first, or the oldest."""

    limit: int = _LIMIT
    after: str | None = None
    is_ascending: bool = False


def read_query(items: Sequence[tuple[str, str]], others: Collection[str]) -> dict[str, str]:
    """Return the parameters of a URL, each there once: those of a page, and the others given.

    Raises:
        RequestError: One is unknown, or stands twice.
    """
    values: dict[str, str] = {}
    for name, value in items:
        if name not in (*_CURSOR, *others):
            raise RequestError(
                f"Unrecognized request argument supplied: {name[:64]}",
                name[:64],
                "unknown_parameter",
            )
        if name in values:
            raise RequestError(f"Duplicate parameter: '{name}'.", name, "duplicate_key")
        values[name] = value
    return values


def read_page(query: Mapping[str, str]) -> Page:
    """Return the page that a URL asks for.

    Raises:
        RequestError: `limit` is no number from 1 to 100, or `order` neither `asc` nor `desc`.
    """
    limit = query.get("limit", str(_LIMIT))
    is_number = limit.isascii() and limit.isdigit() and len(limit) <= _MOST_DIGITS
    number: object = int(limit) if is_number else limit
    order = read_choice(query.get("order", "desc"), "order", ("asc", "desc"))
    return Page(
        read_integer(number, "limit", 1, _HIGHEST_LIMIT), query.get("after"), order == "asc"
    )


def list_object(objects: Sequence[dict[str, Any]], limit: int) -> dict[str, Any]:
    """Return the envelope of a page; one object beyond the limit says that there are more."""
    shown = list(objects[:limit])
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(objects) > limit,
    }
