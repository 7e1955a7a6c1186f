"""What an answer is bound to on its worker: an index, or an envelope around several."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from formwork.sampler.v1.sampler_pb2 import Bind, Branches, Envelope, EnvelopePart, Piece

from gateway.answer_shape import AnswerShape, Part
from gateway.errors import grammar_error
from gateway.families import Family
from gateway.grammars import Subject
from gateway.indexes import Indexes, IndexHandle, IndexTerms, IndexWish
from gateway.validation import Validators
from mesh.errors import FormworkError


@dataclass(frozen=True)
class Wishes:
    """The indexes that a shape is made of, to be had for one model.

    Args:
        shape: Of the answer.
        subjects: Returns what errors call each part, in the order in which the request has them.
        family: Whose separators JSON has.
        fingerprint: Of the tokenizer.
        is_strict: The project keeps to the strict dialect where a part asks for it.
        project_id: For fair queueing.
    """

    shape: AnswerShape
    subjects: Callable[[], Iterable[tuple[Part, Subject]]]
    family: Family
    fingerprint: str
    is_strict: bool
    project_id: str

    def find_refusal(self, indexes: Indexes, validators: Validators) -> FormworkError | None:
        """Return what the client is told of a part whose refusal is still remembered."""
        found = zip(self.shape.parts, indexes.find_all(self._wishes), strict=True)
        refused = {
            part: refusal
            for part, known in found
            if (refusal := _refusal_in(known) or validators.find_refusal_of(part.grammar))
        }
        return self._told(refused) if refused else None

    async def ensure(self, indexes: Indexes) -> "Constraint":
        """Return the constraint once every index can be had; those that are known cost nothing.

        Raises:
            FormworkError: A part is refused, as a client is told it; or nobody can say.
        """
        outcomes = await indexes.ensure_all(self._wishes)
        handles = [outcome for outcome in outcomes if isinstance(outcome, IndexHandle)]
        if len(handles) < len(outcomes):
            refused = {
                part: outcome
                for outcome, part in zip(outcomes, self.shape.parts, strict=True)
                if isinstance(outcome, FormworkError)
            }
            raise self._told(refused)
        return Constraint(self.shape, handles)

    def forget(self, indexes: Indexes) -> None:
        """Drop what is remembered: a worker could not get an index."""
        for wish in self._wishes:
            indexes.forget(wish)

    def _told(self, refused: Mapping[Part, FormworkError]) -> FormworkError:
        """Return what the client is told: of the first part that is refused, by its own name."""
        part, subject = next(named for named in self.subjects() if named[0] in refused)
        return grammar_error(refused[part], subject)

    @cached_property
    def _wishes(self) -> tuple[IndexWish, ...]:
        plain, strict = (
            IndexTerms(self.fingerprint, self.family, is_strict, self.project_id)
            for is_strict in (False, self.is_strict)
        )
        return tuple(
            IndexWish(part.grammar, strict if part.strict else plain) for part in self.shape.parts
        )


@dataclass(frozen=True)
class Constraint:
    """A shape whose indexes can be had."""

    shape: AnswerShape
    handles: Sequence[IndexHandle]

    @property
    def seconds(self) -> float:
        """How long its indexes took, side by side."""
        return max((handle.seconds for handle in self.handles), default=0.0)

    @cached_property
    def shortest_answer_tokens(self) -> int:
        """Tokens that no answer has fewer of, without the end token."""
        return _shortest(self.shape.piece, self.handles)

    @property
    def is_written(self) -> bool:
        """Whether `bind` is there already."""
        return "bind" in vars(self)

    @cached_property
    def bind(self) -> Bind:
        """The message that ties a sequence to it, written when it is first wanted."""
        if self.shape.is_part_alone:
            return self.handles[0].to_bind()
        parts = [
            EnvelopePart(
                index_id=handle.index_id,
                revision=handle.revision,
                canonical_grammar=handle.canonical_grammar,
                inline_index=handle.inline_index,
            )
            for handle in self.handles
        ]
        return Bind(envelope=Envelope(shape=self.shape.piece, parts=parts))


def _refusal_in(known: IndexHandle | FormworkError | None) -> FormworkError | None:
    return known if isinstance(known, FormworkError) else None


def _shortest(piece: Piece, handles: Sequence[IndexHandle]) -> int:  # noqa: PLR0911 - one for each kind
    """Return a lower bound in tokens: literal text may be part of its neighbours' tokens."""
    match piece.WhichOneof("kind"):
        case "special_token":
            return 1
        case "part":
            return handles[piece.part].shortest_answer_tokens or 0
        case "sequence":
            return sum(_shortest(inner, handles) for inner in piece.sequence.pieces)
        case "choice":
            return _least(_shortest(inner, handles) for inner in piece.choice.pieces)
        case "branches":
            return _shortest_branch(piece.branches, handles)
        case "repeat" if piece.repeat.minimum:
            return piece.repeat.minimum * _shortest(piece.repeat.piece, handles)
    return 0


def _shortest_branch(branches: Branches, handles: Sequence[IndexHandle]) -> int:
    around = sum(_shortest(piece, handles) for piece in (*branches.between, *branches.after))
    return around + _least(handles[part].shortest_answer_tokens or 0 for part in branches.parts)


def _least(bounds: Iterator[int]) -> int:
    """Return the least of some bounds: none is below nothing, behind which nothing is looked at."""
    least = next(bounds)
    while least and (bound := next(bounds, None)) is not None:
        least = min(least, bound)
    return least
