"""The formats that are enforced, as patterns.

Each admits a subset of what RFC 3339, 5321, 1123, 2673, 4291, 4122, 3986 and 6901 allow, chosen so
that every string in it passes validators that check formats strictly: no leap seconds, no
`xn--` labels, no quoted local parts, no zone ids. Other formats that such a validator knows are
refused; names that it does not know are annotations.
"""

from dataclasses import dataclass
from typing import Final

from formwork_engine.schema.patterns import Pattern, read_pattern


@dataclass(frozen=True)
class Format:
    """What strings of a format look like."""

    pattern: Pattern
    max_length: int | None = None


_DATE = (
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_TIME = (
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?"
    "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_N = "[0-9]{1,9}"
_DURATION_TIME = f"T(?:{_N}H(?:{_N}M(?:{_N}S)?)?|{_N}M(?:{_N}S)?|{_N}S)"
_DURATION_DATE = f"(?:{_N}Y(?:{_N}M(?:{_N}D)?)?|{_N}M(?:{_N}D)?|{_N}D)"
_LABEL = "[a-zA-Z0-9](?:-?[a-zA-Z0-9]){0,31}"
_HOSTNAME = f"{_LABEL}(?:\\.{_LABEL})*"
_ATOM = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_H = "[0-9a-fA-F]{1,4}"
_IPV6 = "|".join(
    [
        f"(?:{_H}:){{7}}{_H}",
        f"(?:{_H}:){{1,7}}:",
        *(f"(?:{_H}:){{1,{7 - tail}}}(?::{_H}){{1,{tail}}}" for tail in range(1, 7)),
        f":(?::{_H}){{1,7}}",
        "::",
    ]
)
_X = "[0-9a-fA-F]"
_PCHAR = f"(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%{_X}{{2}})"
_REST = f"(?:\\?(?:{_PCHAR}|[/?])*)?(?:#(?:{_PCHAR}|[/?])*)?"
_AUTHORITY = "//[a-zA-Z0-9._~-]*(?::[0-9]{1,5})?"
_ROOTED = f"/(?:{_PCHAR}(?:{_PCHAR}|/)*)?"
_URI = (
    f"[a-zA-Z][a-zA-Z0-9+.-]*:(?:{_AUTHORITY}(?:/(?:{_PCHAR}|/)*)?|{_ROOTED}"
    f"|{_PCHAR}(?:{_PCHAR}|/)*){_REST}"
)
_REFERENCE = f"{_URI}|{_ROOTED}{_REST}"

_MAX_HOSTNAME = 253
_MAX_EMAIL = 254

_TEXTS: Final = {
    "date": (_DATE, None),
    "time": (_TIME, None),
    "date-time": (f"{_DATE}T{_TIME}", None),
    "duration": (f"P(?:{_DURATION_DATE}(?:{_DURATION_TIME})?|{_DURATION_TIME}|{_N}W)", None),
    "email": (f"{_ATOM}(?:\\.?{_ATOM}){{0,31}}@{_HOSTNAME}", _MAX_EMAIL),
    "idn-email": (f"{_ATOM}(?:\\.?{_ATOM}){{0,31}}@{_HOSTNAME}", _MAX_EMAIL),
    "hostname": (_HOSTNAME, _MAX_HOSTNAME),
    "idn-hostname": (_HOSTNAME, _MAX_HOSTNAME),
    "ipv4": (f"(?:{_OCTET}\\.){{3}}{_OCTET}", None),
    "ipv6": (_IPV6, None),
    "uuid": (f"{_X}{{8}}-{_X}{{4}}-{_X}{{4}}-{_X}{{4}}-{_X}{{12}}", None),
    "uri": (_URI, None),
    "iri": (_URI, None),
    "uri-reference": (_REFERENCE, None),
    "iri-reference": (_REFERENCE, None),
    "json-pointer": ("(?:/(?:[^~/]|~[01])*)*", None),
}
REFUSED_FORMATS: Final = frozenset({"relative-json-pointer", "regex", "uri-template"})
"""Formats that validators check and this engine does not."""

_read: dict[str, Format] = {}


def find_format(name: str) -> Format | None:
    """Return what is enforced of a format; None where it is an annotation."""
    if name not in _TEXTS:
        return None
    if name not in _read:
        text, max_length = _TEXTS[name]
        _read[name] = Format(read_pattern(f"^(?:{text})$"), max_length)
    return _read[name]
