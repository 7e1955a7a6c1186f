"""Whose prompts a step computes: projects in turn, run by run."""

from collections.abc import Iterable, Iterator

from sampler_service.sequence import Sequence


class PromptTurns:
    """Shares the prompt tokens of each step among the projects whose prompts are not computed yet.

    A project's prompts are computed one after the other, so that one of thousands of tokens, or
    many of them, hold up that project's own. Tiers order the prompts of a project and no others:
    anybody may ask for a better one. The salt of a sequence tells its project.
    """

    def __init__(self) -> None:
        self._runs: dict[str, int] = {}
        """What each project has had; one that comes begins like who has had least."""

    def share(self, unfinished: Iterable[Sequence], budget: int) -> Iterator[Sequence]:
        """Yield whose prompt is next, again and again; the caller takes a run of it each time.

        Args:
            unfinished: In the order in which they are served.
            budget: Most tokens, rounded up to a run.
        """
        lines: dict[str, list[Sequence]] = {}
        for sequence in unfinished:
            lines.setdefault(sequence.opening.salt, []).append(sequence)
        self._welcome(lines)
        while budget > 0 and lines:
            salt = min(lines, key=self._runs.__getitem__)
            sequence = lines[salt][0]
            before = sequence.computed
            yield sequence
            self._runs[salt] += 1
            budget -= sequence.computed - before
            if sequence.prefilled:
                lines[salt].pop(0)
            if not lines[salt]:
                del lines[salt]

    def _welcome(self, salts: Iterable[str]) -> None:
        """Forget who has nothing to compute any longer, and take in who has."""
        known = {salt: self._runs[salt] for salt in salts if salt in self._runs}
        least = min(known.values(), default=0)
        self._runs = {salt: known.get(salt, least) for salt in salts}
