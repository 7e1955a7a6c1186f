"""A lease is worth what its signature is worth."""

import pytest
from formwork.scheduler.v1.scheduler_pb2 import Lease, SignedLease

from mesh.errors import LeaseInvalidError
from mesh.leases import peek_lease, read_lease, sign_lease

KEY = b"k" * 32
LEASE = Lease(lease_id="lease_1", attempt=1, worker_id="w", max_completion_tokens=10)


def test_a_signed_lease_is_read_back() -> None:
    assert read_lease(KEY, sign_lease(KEY, LEASE)) == LEASE


def test_another_key_or_a_changed_lease_is_refused() -> None:
    signed = sign_lease(KEY, LEASE)
    richer = Lease(lease_id="lease_1", attempt=1, worker_id="w", max_completion_tokens=10_000)
    forged = SignedLease(lease=richer.SerializeToString(), signature=signed.signature)
    for wrong in (sign_lease(b"x" * 32, LEASE), forged, SignedLease()):
        with pytest.raises(LeaseInvalidError):
            read_lease(KEY, wrong)


def test_bytes_that_are_no_lease_are_refused_by_its_holder_too() -> None:
    with pytest.raises(LeaseInvalidError):
        peek_lease(SignedLease(lease=b"\xff\xff\xff"))
