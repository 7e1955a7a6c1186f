"""The last check: a structured answer that claims to be complete fits its schema, or is a fault."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn, Protocol
from weakref import WeakValueDictionary

from gateway.config import GatewayConfig
from gateway.grammars import Grammar, SchemaText
from gateway.validation_client import ValidationBudgetError, ValidationProcess
from gateway.validation_process import Finding, Verdict
from mesh.batches import cut_into_batches
from mesh.clock import Clock
from mesh.errors import InternalError, LimitExceededError, SchemaRefusedError
from mesh.memory import BoundedMemory

# Of one go: a process is given back to other projects after it.
_PREPARED_SCHEMAS = 128
_PREPARED_BYTES = 256 * 1024


class AnswerValidator(Protocol):
    """Tells whether an answer's text is what was promised."""

    async def is_valid(self, text: str, budget: "CheckBudget | None" = None) -> bool:
        """Return whether the text is JSON, without repeated keys, that fits.

        Args:
            text: Of the answer, or of one of its calls.
            budget: That all checks of the answer share.

        Raises:
            InternalError: It could not be told, within its budget.
        """


@dataclass(frozen=True)
class _Refusal:
    message: str
    until: float


class Validators:
    """Validators by schema, in processes that die of a schema in the gateway's place.

    Args:
        config: Number and budgets of the processes, and bounds of the memory of refusals.
        clock: Ages that memory.
    """

    def __init__(self, config: GatewayConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._processes = [ValidationProcess(config) for _ in range(config.validation_processes)]
        self._idle: asyncio.LifoQueue[ValidationProcess] = asyncio.LifoQueue()
        for process in self._processes:
            self._idle.put_nowait(process)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._refusals = BoundedMemory[bytes, _Refusal](config.refusal_memory)
        self._build_seconds = BoundedMemory[bytes, float](config.usable_memory)

    async def start(self) -> None:
        """Return once the processes are there; they would be started when needed, too."""
        await asyncio.gather(*(process.start() for process in self._processes))

    async def close(self) -> None:
        """End the processes."""
        await asyncio.gather(*(process.close() for process in self._processes))

    def open_budget(self) -> "BuildBudget":
        """Return what making the validators of one request may take."""
        return BuildBudget(self._config.validation_request_seconds)

    @property
    def answer_seconds(self) -> float:
        """Processor time that checking one answer may take."""
        return self._config.validation_answer_seconds

    async def of(self, schema: SchemaText, project_id: str) -> "SchemaValidator":
        """Return the validator of a schema.

        Raises:
            SchemaRefusedError: The schema cannot be validated with, so nothing could be promised.
            InternalError: It could not be told.
        """
        refusal = self.find_refusal(schema)
        if refusal is not None:
            raise refusal
        seconds = self._build_seconds.find(schema.key)
        if seconds is None:
            finding = await self.check(schema, None, project_id)
            if finding.verdict is Verdict.UNUSABLE:
                self._refuse(schema, f"The schema cannot be validated with: {finding.reason}")
            seconds = finding.build_seconds
            self._build_seconds.record(schema.key, seconds)
        return SchemaValidator(self, schema, project_id, seconds)

    async def prepare(self, schemas: Iterable[SchemaText], project_id: str) -> None:
        """Make those validators that take a moment, many at a time; `of` then answers at once.

        Those that cannot be made, or take longer, are left to it.
        """
        unknown = {one.key: one for one in schemas if self._build_seconds.find(one.key) is None}
        several = [one for one in unknown.values() if self.find_refusal(one) is None]
        batches = cut_into_batches(
            several,
            lambda schema: len(schema.text),
            most_size=_PREPARED_BYTES,
            most_items=_PREPARED_SCHEMAS,
        )
        for batch in batches:
            if len(batch) > 1:
                await self._prepare(batch, project_id)

    async def _prepare(self, schemas: Sequence[SchemaText], project_id: str) -> None:
        try:
            async with self._process_for(project_id) as process:
                findings = await process.check_several([schema.text for schema in schemas])
        except (ValidationBudgetError, InternalError):
            return  # which it is of, each of them is asked alone
        for schema, finding in zip(schemas, findings, strict=True):
            if finding.verdict is Verdict.READY:
                self._build_seconds.record(schema.key, finding.build_seconds)

    def find_refusal(self, schema: SchemaText) -> SchemaRefusedError | None:
        """Return the refusal of this schema that is still remembered."""
        refusal = self._refusals.find(schema.key)
        if refusal is None or refusal.until <= self._clock.monotonic():
            return None
        return SchemaRefusedError(refusal.message)

    def find_refusal_of(self, grammar: Grammar) -> SchemaRefusedError | None:
        """Return the refusal of a grammar's schema; None also where it has none."""
        return None if grammar.schema is None else self.find_refusal(grammar.schema)

    async def check(self, schema: SchemaText, answer: bytes | None, project_id: str) -> Finding:
        """Return what a process says of an answer, or of the schema alone.

        Raises:
            SchemaRefusedError: It needs more than the budget.
            InternalError: It could not be told.
        """
        async with self._process_for(project_id) as process:
            try:
                return await process.check(schema.text, answer)
            except ValidationBudgetError:
                self._refuse(
                    schema,
                    "Validating with the schema takes more than the processor time "
                    f"({self._config.validation_seconds:g} s) or the memory "
                    f"({self._config.validation_memory_bytes} bytes) that it may take.",
                )

    @asynccontextmanager
    async def _process_for(self, project_id: str) -> AsyncIterator[ValidationProcess]:
        """Lend an idle process; a project's checks wait for each other, not for everybody's."""
        turn = self._turns.setdefault(project_id, asyncio.Lock())
        async with turn:
            process = await self._idle.get()
            try:
                yield process
            finally:
                self._idle.put_nowait(process)

    def _refuse(self, schema: SchemaText, message: str) -> NoReturn:
        until = self._clock.monotonic() + self._config.refusal_memory_seconds
        self._build_seconds.forget(schema.key)
        self._refusals.record(schema.key, _Refusal(message, until))
        raise SchemaRefusedError(message)


@dataclass(frozen=True)
class SchemaValidator:
    """The validator of one schema, which a process makes when it is needed."""

    validators: Validators
    schema: SchemaText
    project_id: str
    build_seconds: float
    """Of processor time, that making it took: it may have to be made again."""

    async def is_valid(self, text: str, budget: "CheckBudget | None" = None) -> bool:
        """Return whether the text is JSON, without repeated keys, that fits.

        Raises:
            InternalError: It could not be told, within its budget.
        """
        budget = budget or CheckBudget(self.validators.answer_seconds)
        budget.begin()
        try:
            finding = await self.validators.check(self.schema, text.encode(), self.project_id)
        except SchemaRefusedError as error:  # too late to refuse: the answer is made
            raise InternalError("The answer could not be checked within its budget.") from error
        budget.spend(finding.check_seconds)
        return finding.verdict is Verdict.FITS


class CheckBudget:
    """Processor time that checking one answer may take: its content, or all of its calls.

    Args:
        seconds: `validation_answer_seconds`.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._spent = 0.0

    def begin(self) -> None:
        """Begin a check.

        Raises:
            InternalError: It is all spent; too late to refuse: the answer is made.
        """
        if self._spent >= self._seconds:
            raise InternalError(
                "The answer could not be checked within its budget: validation_answer_seconds is "
                f"{self._seconds:g}."
            )

    def spend(self, seconds: float) -> None:
        """Count a check."""
        self._spent += seconds


class BuildBudget:
    """Processor time that making all validators of one request may take, known ones included.

    Args:
        seconds: `validation_request_seconds`.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._spent = 0.0
        self._counted: set[bytes] = set()

    def spend(self, validator: SchemaValidator) -> None:
        """Count one validator of the request; a schema that several tools have counts once.

        Raises:
            LimitExceededError: All together take more.
        """
        if validator.schema.key in self._counted:
            return
        self._counted.add(validator.schema.key)
        self._spent += validator.build_seconds
        if self._spent > self._seconds:
            raise LimitExceededError(
                "Validators of this request's schemas take too long to make: "
                f"validation_request_seconds is {self._seconds:g}. Use fewer or smaller schemas, "
                "or simpler patterns.",
                metadata={
                    "limit": "validation_request_seconds",
                    "maximum": f"{self._seconds:g}",
                    "value": f"{self._spent:.1f}",
                },
            )
