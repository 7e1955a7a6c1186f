"""API keys: how one is made, recognised and hashed. The key itself is shown once and never kept."""

import secrets
import string
import zlib
from dataclasses import dataclass
from hashlib import sha256

PREFIX = "sk-proj-"
_RANDOM_BYTES = 32
_RANDOM_CHARACTERS = 43  # 62**43 > 2**256
_CHECKSUM_CHARACTERS = 6  # 62**6 > 2**32
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


@dataclass(frozen=True)
class NewKey:
    """A key at its making: the only place that ever holds its value."""

    value: str
    hash: bytes
    redacted_value: str


def make_key() -> NewKey:
    """Return a new key of 256 random bits."""
    number = int.from_bytes(secrets.token_bytes(_RANDOM_BYTES))
    body = PREFIX + _base62(number, _RANDOM_CHARACTERS)
    value = body + _checksum(body)
    return NewKey(value, hash_key(value), f"{value[: len(PREFIX) + 2]}***{value[-4:]}")


def hash_key(value: str) -> bytes:
    """Return the SHA-256 under which a key is kept; 256 random bits need no slow hash."""
    return sha256(value.encode()).digest()


def is_well_formed(value: str) -> bool:
    """Return whether the text can be a key at all: its checksum fits (GitHub's token format)."""
    if len(value) != len(PREFIX) + _RANDOM_CHARACTERS + _CHECKSUM_CHARACTERS:
        return False
    if not (value.startswith(PREFIX) and value.isascii()):
        return False
    body, checksum = value[:-_CHECKSUM_CHARACTERS], value[-_CHECKSUM_CHARACTERS:]
    return secrets.compare_digest(_checksum(body), checksum)


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_CHARACTERS)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, rest = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[rest])
    return "".join(reversed(digits))
