"""Has the index of a registered schema made for every model that can answer in it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256

from gateway.errors import SchemaInvalidError, grammar_error
from gateway.grammars import Grammar, SchemaText, Subject, Syntax
from gateway.indexes import Indexes, IndexHandle, IndexTerms, IndexWish
from gateway.prompt_writers import PromptWriters
from gateway.schemas import Maker, ModelKind, StoredSchema
from gateway.validation import Validators
from mesh.errors import FormworkError
from mesh.ids import Snapshot
from mesh.models import ModelTable


@dataclass(frozen=True)
class SchemaIndexes:
    """Asks for what a request with the schema would ask for."""

    models: ModelTable
    writers: PromptWriters
    indexes: Indexes
    validators: Validators

    @property
    def engine(self) -> str:
        """The version of the engine that makes indexes; empty while that is not known."""
        return self.indexes.engine_version

    @property
    def makers(self) -> tuple[Maker, ...]:
        """What indexes are made with now, for every kind of model that can answer in a schema."""
        return tuple(Maker(model, self.engine) for model in self._snapshots())

    async def ensure(
        self, stored: StoredSchema, models: Collection[ModelKind] | None = None
    ) -> Mapping[ModelKind, float | FormworkError]:
        """Return how many seconds the index of each kind of model took, or why there is none.

        Args:
            stored: The schema.
            models: The kinds that are tried; None: all.

        Raises:
            FormworkError: Nobody can say now.
        """
        grammar = Grammar(Syntax.JSON_SCHEMA, stored.body)
        wishes = {
            model: self._wish(grammar, stored, snapshot)
            for model, snapshot in self._snapshots().items()
            if models is None or model in models
        }
        outcomes = await self.indexes.ensure_all(tuple(wishes.values()))
        unusable = await self._find_unusable(stored)
        subject = Subject(f"schema '{stored.record.name}'", "schema", SchemaInvalidError.reason)

        def tell(outcome: IndexHandle | FormworkError) -> float | FormworkError:
            if isinstance(outcome, FormworkError):
                return grammar_error(outcome, subject)
            return grammar_error(unusable, subject) if unusable else outcome.seconds

        return {model: tell(made) for model, made in zip(wishes, outcomes, strict=True)}

    async def _find_unusable(self, stored: StoredSchema) -> FormworkError | None:
        """Return why answers cannot be validated with a schema; None where they can."""
        try:
            await self.validators.of(SchemaText(stored.body.encode()), stored.record.project_id)
        except FormworkError as error:
            return error
        return None

    def _snapshots(self) -> dict[ModelKind, Snapshot]:
        """Return a snapshot of each kind of model that can answer in a schema."""
        entries = self.models.entries.items()
        return {
            self._kind_of(snapshot): snapshot for snapshot, entry in entries if entry.structured
        }

    def _kind_of(self, snapshot: Snapshot) -> ModelKind:
        family = self.writers.of(snapshot).family
        fingerprint = self.models.entries[snapshot].tokenizer_fingerprint
        facts = (fingerprint, family.item_separator, family.key_separator)
        return ModelKind(sha256("\0".join(facts).encode()).hexdigest())

    def _wish(self, grammar: Grammar, stored: StoredSchema, snapshot: Snapshot) -> IndexWish:
        terms = IndexTerms(
            fingerprint=self.models.entries[snapshot].tokenizer_fingerprint,
            family=self.writers.of(snapshot).family,
            strict=stored.record.strict and stored.dialect == "strict",
            project_id=stored.record.project_id,
            prewarming=True,
        )
        return IndexWish(grammar, terms)
