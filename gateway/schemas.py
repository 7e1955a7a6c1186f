"""Registered schemas: what one is, and what a store of them promises."""

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, NewType, Protocol

from gateway.json_body import read_object
from gateway.pages import Page
from gateway.response_format import FormatKind, ResponseFormat
from mesh.ids import ProjectId, SchemaId, new_id

ModelKind = NewType("ModelKind", str)
"""The hash of what an index depends on beside the schema and the engine."""

LARGE_BYTES = 64 * 1024
"""Beyond it, reading JSON leaves the event loop."""
_MOST_DOUBLINGS = 32
_ID = re.compile(r"schema_[0-9a-f]{32}")


class SchemaStatus(StrEnum):
    """Whether every model has an index of the schema."""

    COMPILING = "compiling"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class SchemaDraft:
    """What is registered; `body` is the schema's text, as the client wrote it."""

    name: str
    description: str | None
    strict: bool
    body: str


@dataclass(frozen=True)
class Outcome:
    """What became of compiling: `seconds` where it is ready, `error` (`code`, `message`) where not.

    `seconds` is that of the slowest model, waiting included.
    """

    status: SchemaStatus
    seconds: float | None = None
    error: Mapping[str, str] | None = None


@dataclass(frozen=True)
class SchemaRecord:
    """A version of a schema, without its body; `size` is the body's, in bytes."""

    id: SchemaId
    project_id: ProjectId
    name: str
    version: int
    description: str | None
    strict: bool
    size: int
    outcome: Outcome
    uses: int
    created_at: datetime


@dataclass(frozen=True)
class StoredSchema:
    """A version of a schema with its body, and the dialect of its project."""

    record: SchemaRecord
    body: str
    dialect: str

    async def to_format(self) -> ResponseFormat:
        """Return the response format that it stands for; a large body is read in a thread."""
        if len(self.body) < LARGE_BYTES:
            return self._read()
        return await asyncio.to_thread(self._read)

    def _read(self) -> ResponseFormat:
        schema, _ = read_object(self.body.encode())
        record = self.record
        return ResponseFormat(
            FormatKind.JSON_SCHEMA,
            record.name,
            record.description,
            self.body,
            schema,
            record.strict,
        )


@dataclass(frozen=True)
class SchemaBounds:
    """What one project may keep: so many versions, so many bytes of bodies."""

    count: int
    size: int


class Maker(NamedTuple):
    """What makes an index: a version of the engine, for models of a kind.

    `engine` is empty while it is not known.
    """

    model: ModelKind
    engine: str


@dataclass(frozen=True)
class Failures:
    """How often making an index of a schema has failed in a row, with one maker."""

    times: int
    is_waiting: bool
    """It is not to be tried again yet."""


def next_wait(times: int, first_seconds: float, longest_seconds: float) -> float:
    """Return how long a schema waits that has failed so often: twice as long each time."""
    return min(first_seconds * 2.0 ** min(times - 1, _MOST_DOUBLINGS), longest_seconds)


@dataclass(frozen=True)
class WantedSchema:
    """A version of a schema that should be compiled ahead, without its body."""

    record: SchemaRecord
    dialect: str
    failures: Mapping[Maker, Failures] = field(default_factory=dict)

    def waits_for(self, maker: Maker) -> bool:
        """Return whether it has failed with a maker, and is not to be tried with it again yet."""
        return any(
            failures.is_waiting
            and failed.model == maker.model
            and maker.engine in ("", failed.engine)
            for failed, failures in self.failures.items()
        )

    def with_body(self, body: str) -> StoredSchema:
        """Return the whole of it."""
        return StoredSchema(self.record, body, self.dialect)


@dataclass(frozen=True)
class WantedBounds:
    """How many are compiled ahead: unfinished ones, used ones, and of each kind of one project."""

    unfinished: int
    most_used: int
    per_project: int


class SchemaStore(Protocol):
    """Where schemas are kept. Every method raises DatabaseUnavailableError when it is down."""

    async def add_schema(
        self, project_id: ProjectId, draft: SchemaDraft, bounds: SchemaBounds
    ) -> tuple[SchemaRecord, bool]:
        """Return the draft as the next version of its name, and True.

        Where the newest version of the name is the same, that one is returned, and False.

        Raises:
            SchemaLimitError: The project keeps as much as it may.
        """

    async def find_schema(self, project_id: ProjectId, schema_id: SchemaId) -> StoredSchema | None:
        """Return a project's schema."""

    async def list_schemas(
        self, project_id: ProjectId, page: Page, name: str | None
    ) -> Sequence[SchemaRecord]:
        """Return one more than the page has, where there are more; of one name, if one is given."""

    async def remove_schema(self, project_id: ProjectId, schema_id: SchemaId) -> bool:
        """Remove a project's schema; False where there is none."""

    async def record_outcome(self, schema_id: SchemaId, outcome: Outcome) -> None:
        """Keep what became of compiling; seconds that are kept already stay."""

    async def record_uses(self, uses: Mapping[SchemaId, int]) -> None:
        """Add to the uses of schemas; those that were removed are passed over."""

    async def list_wanted(
        self, bounds: WantedBounds, makers: Collection[Maker]
    ) -> Sequence[WantedSchema]:
        """Return what should be compiled ahead, of all projects: unfinished, then most used.

        Either kind goes project by project: every one's first before any one's second. One that
        waits for all of the makers, because it has failed with each, is left out.
        """

    async def record_failures(
        self, schema_id: SchemaId, maker: Maker, times: int, wait_seconds: float = 0.0
    ) -> None:
        """Keep how often a schema failed with a maker, and how long it waits; 0: it did not."""


def new_schema_id() -> SchemaId:
    """Return an id that sorts after those made before it."""
    return SchemaId(new_id("schema"))


def is_schema_id(text: str) -> bool:
    """Return whether a text may be the id of a schema."""
    return _ID.fullmatch(text) is not None
