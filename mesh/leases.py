"""Signed leases: the scheduler signs, a worker checks without asking."""

import hmac
from hashlib import sha256

from formwork.scheduler.v1.scheduler_pb2 import Lease, SignedLease
from google.protobuf.message import DecodeError

from mesh.errors import LeaseInvalidError


def sign_lease(key: bytes, lease: Lease) -> SignedLease:
    """Return the lease with its HMAC-SHA-256 (RFC 2104)."""
    body = lease.SerializeToString(deterministic=True)
    return SignedLease(lease=body, signature=_signature(key, body))


def read_lease(key: bytes, signed: SignedLease) -> Lease:
    """Return the lease of a signed one.

    Raises:
        LeaseInvalidError: Not signed with this key, or not a lease.
    """
    if not hmac.compare_digest(signed.signature, _signature(key, signed.lease)):
        raise LeaseInvalidError("The lease is not signed by this mesh's scheduler.")
    return peek_lease(signed)


def peek_lease(signed: SignedLease) -> Lease:
    """Return the lease of a signed one without checking its signature: for its holder.

    Raises:
        LeaseInvalidError: Not a lease.
    """
    lease = Lease()
    try:
        lease.ParseFromString(signed.lease)
    except DecodeError as error:
        raise LeaseInvalidError("Malformed lease.") from error
    return lease


def _signature(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, sha256)
