"""What one step computes: pieces of prompts within a budget, and whoever decodes."""

from dataclasses import dataclass, field

from sampler_service.prefix_cache import PrefixCache
from sampler_service.roster import Roster
from sampler_service.runner import BLOCK, KvBlock, Row
from sampler_service.sequence import Sequence

_LONGEST_TAIL = 64  # tokens behind a prompt, per step: long only where a place was lost


@dataclass
class Step:
    """Work of one step.

    `started`: who starts a slot, with which reused blocks. `wanting`: whose rows want logits, in
    their order. `held`: who has logits from an earlier step and wants a mask only. `blocks`: whole
    blocks that the step completes, by sequence and first token.
    """

    started: list[tuple[Sequence, list[KvBlock]]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    sequences: list[Sequence] = field(default_factory=list)
    wanting: list[Sequence] = field(default_factory=list)
    held: list[Sequence] = field(default_factory=list)
    blocks: list[tuple[Sequence, int]] = field(default_factory=list)


def plan_step(roster: Roster, cache: PrefixCache, budget: int) -> Step:
    """Return the next step; what it computes counts as computed.

    Args:
        roster: Live sequences, with their places.
        cache: Prefixes that may be reused.
        budget: Most prompt tokens, rounded up to a block.
    """
    step = Step(held=[sequence for sequence in roster if sequence.held])
    _plan_prompts(step, roster, cache, budget)
    for sequence in roster.give_turns():
        _plan_tail(step, sequence)
    return step


def _plan_prompts(step: Step, roster: Roster, cache: PrefixCache, budget: int) -> None:
    coming: set[bytes] = set()  # blocks that a sequence before is still computing
    unfinished: list[Sequence] = []
    for sequence in roster.prompts():
        if not sequence.started and not _start(step, sequence, cache, coming):
            continue
        coming.update(sequence.block_keys[sequence.computed // BLOCK :])
        if not sequence.prefilled:
            unfinished.append(sequence)
    for sequence in roster.prompt_turns.share(unfinished, budget):
        _plan_run(step, sequence)


def _start(step: Step, sequence: Sequence, cache: PrefixCache, coming: set[bytes]) -> bool:
    """Start a prompt behind what can be reused; not yet, if the next block is being computed."""
    blocks = cache.find_prefix(sequence.block_keys)
    if coming.intersection(sequence.block_keys[len(blocks) : len(blocks) + 1]):
        return False
    sequence.start(len(blocks) * BLOCK)
    step.started.append((sequence, blocks))
    return True


def _plan_run(step: Step, sequence: Sequence) -> None:
    start = sequence.computed
    run = sequence.take_run()
    _add(step, sequence, run, prompt=True)
    if len(run) == BLOCK and sequence.block_keys:
        step.blocks.append((sequence, start))


def _plan_tail(step: Step, sequence: Sequence) -> None:
    tail = sequence.take_tail(_LONGEST_TAIL)
    wants_logits = sequence.all_computed
    _add(step, sequence, tail, wants_logits=wants_logits)
    if wants_logits:
        step.wanting.append(sequence)


def _add(
    step: Step,
    sequence: Sequence,
    tokens: tuple[int, ...],
    *,
    prompt: bool = False,
    wants_logits: bool = False,
) -> None:
    if sequence.slot is None:
        raise AssertionError("only a sequence with a place is computed")
    step.rows.append(Row(sequence.slot, tokens, prompt, wants_logits))
    step.sequences.append(sequence)
