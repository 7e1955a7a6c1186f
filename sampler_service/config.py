"""Section `sampler` of the configuration."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SamplerConfig:
    """What a worker may use; every bound that it enforces.

    Raises:
        ValueError: A bound that no worker could work under.
    """

    slots: int = 16
    """Sequences that decode together."""
    parked_slots: int = 16
    """Further places for the keys and values of sequences that wait: for their index, or paused."""
    kv_bytes: int = 2 * 1024**3
    """Most memory for keys and values; fewer places than the two above where they do not fit."""
    prefill_chunk: int = 256
    """Most prompt tokens computed per step, so that prompts do not hold up tokens."""
    seeded: bool = True
    """Same seed, same bytes, whatever else is decoded; without it a lone sequence is faster."""
    jump_forward: bool = True
    """Forced tokens are appended without a forward each; the tokens are the same without it."""
    threads: int = 1
    """Threads of the forward; on the machine's processor only."""
    mask_threads: int = 1
    mask_step_fuel: int = 2_000
    """Work of one mask within a step, in the engine's steps; all masks of a step may take five
    times that. It bounds how long one sequence holds up the others of its batch: one whose mask
    needs more leaves the step, and rejoins when another thread has finished it. What that is in
    time on a machine, `bench/hostile_batch.py` prints."""
    max_waiting: int = 256
    """Most sequences that wait for a place; more are refused."""
    prefix_cache_bytes: int = 256 * 1024**2
    index_cache_bytes: int = 256 * 1024**2
    """As they were fetched; what they learn in use comes on top."""
    max_indexes: int = 512
    """Loaded at once, tools among them: each learns a few MiB in use, 96 at most."""
    max_envelopes: int = 128
    """Linked indexes kept at once; their parts stay loaded."""
    max_index_bytes: int = 64 * 1024**2
    index_attempt_seconds: float = 10.0
    """Deadline of one call for indexes."""
    index_retry_seconds: float = 0.2
    """Between two calls for an index, while the compiler is away."""
    max_sequence_seconds: float = 3600.0
    """Latest deadline of a sequence, whatever its Open says."""
    max_stream_sequences: int = 1024
    """Live sequences of one stream."""
    max_stream_backlog: int = 1024
    """Steps that a stream may be behind before it is given up."""
    max_stop_strings: int = 16
    max_stop_characters: int = 1024
    renew_seconds: float = 1.0
    report_timeout_seconds: float = 5.0
    lost_scheduler_seconds: float = 30.0
    """Without an answer for longer, the worker stops its sequences."""
    spool_folder: Path | None = None
    """Keeps reports until they are acknowledged; by default below FORMWORK_HOME, else temporary."""
    spool_max_reports: int = 10_000

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in (
            "slots",
            "prefill_chunk",
            "threads",
            "mask_threads",
            "mask_step_fuel",
            "max_waiting",
            "max_indexes",
            "max_envelopes",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("parked_slots", "prefix_cache_bytes", "index_cache_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
