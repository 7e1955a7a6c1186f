"""The compiler as the gateway sees it: a grammar in, an index or a precise refusal out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from formwork.compiler.v1 import compiler_pb2 as messages
from formwork.sampler.v1.sampler_pb2 import Bind
from google.rpc.status_pb2 import Status

from gateway.config import GatewayConfig
from gateway.families import Family
from gateway.grammars import Grammar, Syntax
from gateway.peer import Peer
from mesh.batches import cut_into_batches
from mesh.clock import Clock
from mesh.errors import (
    CompileBudgetError,
    FormworkError,
    GrammarRefusedError,
    LimitExceededError,
    SchemaRefusedError,
    from_status,
)
from mesh.memory import BoundedMemory
from mesh.tasks import do_all

if TYPE_CHECKING:  # exists in the stubs only
    from formwork.compiler.v1.compiler_pb2_grpc import CompilerServiceAsyncStub

_ABOUT_INPUT = (SchemaRefusedError, GrammarRefusedError, LimitExceededError, CompileBudgetError)
# A refusal is forgotten sooner: the compiler may learn more with its next version.
_REFUSAL_SHARE = 0.25
_ENTRY_BYTES = 1024
# Of one call: its answer may hold the grammars again, escaped.
_CALL_CHARACTERS = 1024 * 1024
_CALL_WISHES = 128


@dataclass(frozen=True)
class IndexHandle:
    """A ready index, and what it cost to have it."""

    index_id: str
    revision: int
    shortest_answer_tokens: int | None
    canonical_grammar: bytes
    seconds: float
    inline_index: bytes = b""
    """Its bytes, where the compiler has just sent them: passed on once, not remembered."""

    def to_bind(self) -> Bind:
        """Return the message that ties a sequence to the index."""
        return Bind(
            index_id=self.index_id,
            revision=self.revision,
            canonical_grammar=self.canonical_grammar,
            inline_index=self.inline_index,
        )


@dataclass(frozen=True)
class IndexTerms:
    """What decides, beside a grammar, which index a text needs; the parts of an answer share it."""

    fingerprint: str
    family: Family
    strict: bool
    project_id: str
    prewarming: bool = False
    """Ahead of any request: remembered apart, so that the first request still counts as a use."""

    @cached_property
    def key(self) -> bytes:
        """The hash of all that tells indexes of one grammar apart, worked out once."""
        separators = (self.family.item_separator, self.family.key_separator)
        facts = (self.fingerprint, *separators, f"{self.strict} {self.prewarming}")
        return sha256("\0".join(facts).encode()).digest()


@dataclass(frozen=True)
class IndexWish:
    """An index that a text needs."""

    grammar: Grammar
    terms: IndexTerms

    @property
    def key(self) -> bytes:
        """Under which the outcome is remembered: hashes of the grammar as written, and the rest."""
        return self.terms.key + self.grammar.key


@dataclass(frozen=True)
class _Remembered:
    outcome: IndexHandle | FormworkError
    until: float


class Indexes:
    """Ensures indexes, and remembers for a short time what the compiler said.

    Args:
        peer: The compiler service.
        config: Deadline, and bounds of the memory.
        clock: Ages the memory.
    """

    def __init__(
        self, peer: Peer["CompilerServiceAsyncStub"], config: GatewayConfig, clock: Clock
    ) -> None:
        self._peer = peer
        self._config = config
        self._clock = clock
        self._memory = BoundedMemory[bytes, _Remembered](config.index_memory_bytes, _size)
        self.engine_version = ""
        """Of the compiler that answered last."""

    async def ensure_index(self, wish: IndexWish) -> IndexHandle:
        """Return the index of a grammar.

        Raises:
            SchemaRefusedError: With pointer and keyword; also its kin of limits and budgets.
            CompileQueueFullError: Try again later.
        """
        (outcome,) = await self.ensure_all([wish])
        if isinstance(outcome, FormworkError):
            raise outcome
        return outcome

    async def ensure_all(self, wishes: Sequence[IndexWish]) -> list[IndexHandle | FormworkError]:
        """Return of each what `ensure_index` returns or raises; those that are known cost nothing.

        Raises:
            FormworkError: The compiler does not answer.
        """
        found = self.find_all(wishes)
        missing = {
            wish.key: wish for wish, known in zip(wishes, found, strict=True) if known is None
        }
        asked: dict[bytes, IndexHandle | FormworkError] = {}
        calls = cut_into_batches(
            missing.values(),
            lambda wish: len(wish.grammar.text),
            most_size=_CALL_CHARACTERS,
            most_items=_CALL_WISHES,
        )
        for outcomes in await do_all(map(self._ask, calls)):
            asked |= outcomes
        return [known or asked[wish.key] for wish, known in zip(wishes, found, strict=True)]

    def find_all(self, wishes: Iterable[IndexWish]) -> list[IndexHandle | FormworkError | None]:
        """Return the index or the refusal of each grammar, where it is still remembered."""
        now = self._clock.monotonic()
        found = (self._memory.find(wish.key) for wish in wishes)
        return [one.outcome if one is not None and one.until > now else None for one in found]

    def forget(self, wish: IndexWish) -> None:
        """Drop what is remembered: a worker could not get the index."""
        self._memory.forget(wish.key)

    async def _ask(
        self, wishes: Sequence[IndexWish]
    ) -> Mapping[bytes, IndexHandle | FormworkError]:
        """Return what the compiler says of each, by key; what it will say again is remembered."""
        started = self._clock.monotonic()
        answer = await self._peer.call(
            self._peer.stub.EnsureIndexes,
            messages.EnsureIndexesRequest(requests=map(_to_request, wishes)),
            timeout_seconds=self._config.compile_seconds,
        )
        seconds = self._clock.monotonic() - started
        outcomes = {
            wish.key: _read_outcome(message, seconds)
            for wish, message in zip(wishes, answer.outcomes, strict=True)
        }
        for key, outcome in outcomes.items():
            if isinstance(outcome, (IndexHandle, *_ABOUT_INPUT)):
                self._remember(key, outcome)
        versions = {message.index.engine_version for message in answer.outcomes} - {""}
        self.engine_version = versions.pop() if versions else self.engine_version
        return outcomes

    def _remember(self, key: bytes, outcome: IndexHandle | FormworkError) -> None:
        seconds = self._config.index_memory_seconds
        if isinstance(outcome, FormworkError):
            seconds *= _REFUSAL_SHARE
        else:
            outcome = replace(outcome, seconds=0.0, inline_index=b"")
        self._memory.record(key, _Remembered(outcome, self._clock.monotonic() + seconds))


def _size(remembered: _Remembered) -> int:
    """Return about how many bytes a remembered outcome holds."""
    outcome = remembered.outcome
    grammar = outcome.canonical_grammar if isinstance(outcome, IndexHandle) else b""
    return _ENTRY_BYTES + len(grammar)


def _read_outcome(message: messages.IndexOutcome, seconds: float) -> IndexHandle | FormworkError:
    if message.WhichOneof("kind") == "status":
        return from_status(Status.FromString(message.status))
    answer = message.index
    shortest = answer.shortest_answer_tokens if answer.HasField("shortest_answer_tokens") else None
    return IndexHandle(
        answer.index_id,
        answer.revision,
        shortest,
        answer.canonical_grammar,
        seconds,
        answer.inline_index,
    )


def _to_request(wish: IndexWish) -> messages.EnsureIndexRequest:
    terms = wish.terms
    return messages.EnsureIndexRequest(
        input=_to_input(wish.grammar),
        tokenizer_fingerprint=terms.fingerprint,
        options=messages.IndexOptions(
            item_separator=terms.family.item_separator,
            key_separator=terms.family.key_separator,
            in_json_string=wish.grammar.in_json_string,
        ),
        dialect=messages.DIALECT_STRICT if terms.strict else messages.DIALECT_EXTENDED,
        project_id=terms.project_id,
        prewarming=terms.prewarming,
    )


def _to_input(grammar: Grammar) -> messages.GrammarInput:
    match grammar.syntax:
        case Syntax.JSON_OBJECT:
            return messages.GrammarInput(any_json=messages.AnyJson(object_only=True))
        case Syntax.JSON_SCHEMA:
            return messages.GrammarInput(json_schema=grammar.text)
        case Syntax.REGEX:
            return messages.GrammarInput(regex=grammar.text)
        case Syntax.LARK:
            return messages.GrammarInput(lark=grammar.text)
