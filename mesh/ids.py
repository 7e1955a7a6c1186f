"""Types and makers of the ids that cross process boundaries."""

import secrets
import time
from typing import NewType

RequestId = NewType("RequestId", str)
LeaseId = NewType("LeaseId", str)
WorkerId = NewType("WorkerId", str)
ProjectId = NewType("ProjectId", str)
KeyId = NewType("KeyId", str)
IndexId = NewType("IndexId", str)
SchemaId = NewType("SchemaId", str)
Snapshot = NewType("Snapshot", str)
Fingerprint = NewType("Fingerprint", str)


def new_id(prefix: str) -> str:
    """Return `<prefix>_<32 hex digits>`: 48 bits of milliseconds, then 80 random bits.

    Ids made later sort later, which keeps database indexes dense (the layout of UUIDv7, RFC 9562).
    """
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
