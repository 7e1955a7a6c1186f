"""Where indexes, claims and failures outlive a process, and are shared between replicas."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mesh.errors import FormworkError
from mesh.ids import Fingerprint, IndexId


@dataclass(frozen=True)
class StoredIndex:
    """One index as it is kept. The bytes under (index_id, revision) never change."""

    index_id: IndexId
    revision: int
    data: bytes
    shortest_answer_tokens: int | None
    compile_seconds: float
    fingerprint: Fingerprint
    engine_version: str


class IndexStore(Protocol):
    """A cache that replicas share. Every method raises DatabaseUnavailableError when it is down."""

    async def find_index(self, index_id: IndexId) -> StoredIndex | None:
        """Return the highest revision of an index, and count a use of it."""

    async def find_all(
        self, index_ids: Sequence[IndexId]
    ) -> Mapping[IndexId, StoredIndex | FormworkError]:
        """Return of each that is known its index, as `find_index`, else why it was refused."""

    async def record_index(self, index: StoredIndex) -> None:
        """Keep an index; one that is kept already stays as it is."""

    async def record_failure(
        self, index_id: IndexId, error: FormworkError, *, seconds: float
    ) -> None:
        """Remember for a while why a grammar was refused."""

    async def claim(self, index_id: IndexId, owner: str, *, seconds: float) -> bool:
        """Return whether the compile is the owner's from now on, for at most `seconds`.

        True for the owner of a claim too; an expired claim is free.
        """

    async def find_claim(self, index_id: IndexId) -> str | None:
        """Return whose an unexpired claim is."""

    async def release_claim(self, index_id: IndexId, owner: str) -> None:
        """Give a claim up; without effect if it is another's."""

    async def prune(self, *, engine_version: str, keep_seconds: float, max_bytes: int) -> int:
        """Remove what is expired, unused or too much, and return how many indexes that were.

        Args:
            engine_version: Indexes of other versions go after a tenth of the time.
            keep_seconds: Since the last use.
            max_bytes: Of all indexes together; the least recently used go first.
        """
