"""Has the index of a registered schema made for every model that can answer in it."""

from dataclasses import dataclass
from hashlib import sha256

from gateway.errors import SchemaInvalidError, grammar_error
from gateway.grammars import Grammar, SchemaText, Subject, Syntax
from gateway.indexes import Indexes, IndexWish
from gateway.prompt_writers import PromptWriters
from gateway.schemas import StoredSchema
from gateway.validation import Validators
from mesh.errors import FormworkError
from mesh.ids import Snapshot
from mesh.models import ModelTable
from mesh.tasks import do_all


@dataclass(frozen=True)
class SchemaIndexes:
    """Asks for what a request with the schema would ask for."""

    models: ModelTable
    writers: PromptWriters
    indexes: Indexes
    validators: Validators

    @property
    def maker(self) -> str:
        """What indexes are made with now, engine and tokenizers; empty while that is not known."""
        version = self.indexes.engine_version
        fingerprints = {entry.tokenizer_fingerprint for entry in self.models.entries.values()}
        return version and sha256("\0".join([version, *sorted(fingerprints)]).encode()).hexdigest()

    async def ensure(self, stored: StoredSchema) -> float:
        """Return the seconds of the slowest model once every one has its index.

        Raises:
            SchemaInvalidError: The schema cannot be enforced.
            FormworkError: Nobody can say now.
        """
        grammar = Grammar(Syntax.JSON_SCHEMA, stored.body)
        snapshots = [name for name, entry in self.models.entries.items() if entry.structured]
        wishes = [self._wish(grammar, stored, snapshot) for snapshot in snapshots]
        different = {wish.key: wish for wish in wishes}.values()
        try:
            handles = await do_all(map(self.indexes.ensure_index, different))
            await self.validators.of(SchemaText(stored.body.encode()), stored.record.project_id)
        except FormworkError as error:
            subject = Subject(f"schema '{stored.record.name}'", "schema", SchemaInvalidError.reason)
            raise grammar_error(error, subject) from error
        return max((handle.seconds for handle in handles), default=0.0)

    def _wish(self, grammar: Grammar, stored: StoredSchema, snapshot: Snapshot) -> IndexWish:
        return IndexWish(
            grammar=grammar,
            fingerprint=self.models.entries[snapshot].tokenizer_fingerprint,
            family=self.writers.of(snapshot).family,
            strict=stored.record.strict and stored.dialect == "strict",
            project_id=stored.record.project_id,
            prewarming=True,
        )
