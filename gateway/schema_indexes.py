"""Has the index of a registered schema made for every model that can answer in it."""

from dataclasses import dataclass

from gateway.errors import SchemaInvalidError, grammar_error
from gateway.grammars import Subject
from gateway.indexes import Indexes, IndexWish
from gateway.prompt_writers import PromptWriters
from gateway.response_format import ResponseFormat
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

    async def ensure(self, stored: StoredSchema) -> float:
        """Return the seconds of the slowest model once every one has its index.

        Raises:
            SchemaInvalidError: The schema cannot be enforced.
            FormworkError: Nobody can say now.
        """
        form = await stored.to_format()
        snapshots = [name for name, entry in self.models.entries.items() if entry.structured]
        wishes = [self._wish(form, stored, snapshot) for snapshot in snapshots]
        different = {wish.key: wish for wish in wishes}.values()
        try:
            handles = await do_all(map(self.indexes.ensure_index, different))
            await self.validators.of(form.schema_text.encode(), stored.record.project_id)
        except FormworkError as error:
            subject = Subject(f"schema '{form.name}'", "schema", SchemaInvalidError.reason)
            raise grammar_error(error, subject) from error
        return max((handle.seconds for handle in handles), default=0.0)

    def _wish(self, form: ResponseFormat, stored: StoredSchema, snapshot: Snapshot) -> IndexWish:
        return IndexWish(
            grammar=form.grammar,
            fingerprint=self.models.entries[snapshot].tokenizer_fingerprint,
            family=self.writers.of(snapshot).family,
            strict=form.strict and stored.dialect == "strict",
            project_id=stored.record.project_id,
            prewarming=True,
        )
