"""Section `compiler` of the configuration."""

from dataclasses import dataclass

from formwork_engine import Budget


@dataclass(frozen=True)
class CompilerConfig:
    """What compiling may cost, and what is kept. Defaults are usable."""

    max_schema_bytes: int = 1024 * 1024
    max_schema_depth: int = 64
    max_schema_nodes: int = 50_000
    mask_fuel: int = 1_000_000
    """Work of one mask, in the engine's steps: a terminal that reads a character, or an item of the
    parser. It bounds how long one sequence can keep a worker's thread busy: a worker spends
    `sampler.mask_step_fuel` of it within a step and the rest beside the batch, and a sequence that
    needs more fails, alone. Part of every index id: who changes it has everything compiled anew."""

    head_start_seconds: float = 0.002
    """How long a compile runs before the store is asked; one that ends by then costs no query."""
    short_compile_seconds: float = 0.005
    """A compile that ends within this needs no claim and is not persisted at its first use."""
    short_slots: int = 2
    """Short attempts at once."""
    compile_seconds: float = 2.0
    """Wall-clock time after which a compile is ended, with its process: what bounds a schema's cost
    where its fuel does not."""
    compile_memory_bytes: int = 512 * 1024 * 1024
    """Address space that one compile may add to its process."""
    compile_slots: int = 2
    """Long compiles at once."""
    queue_per_project: int = 8
    """Long compiles of one project that may wait."""
    queue_total: int = 64
    """Long compiles that may wait."""
    ensure_at_once: int = 4
    """Indexes of one call that are compiled at once, so that a tool set does not fill the queue."""
    start_seconds: float = 120.0
    """How long the compiling process may take to load the vocabularies."""

    memory_bytes: int = 256 * 1024 * 1024
    """Indexes kept in this process."""
    failure_seconds: float = 60.0
    """How long a failure about the input is remembered."""
    memory_failures: int = 10_000
    """Failures kept in this process."""

    fill_uses: int = 3
    """Uses of an index, as far as this process sees them, at which it is filled; 0: never."""
    fill_seconds: float = 0.5
    """Time that filling an index may take."""
    fill_limit_seconds: float = 30.0
    """Wall-clock time after which a fill is ended: it only gets the time that nobody else wants."""
    fill_queue_per_project: int = 4
    """Indexes of one project that may wait to be filled."""
    fill_queue_total: int = 64
    """Indexes that may wait to be filled."""

    claim_seconds: float = 5.0
    """After which the claim of a replica that died is free; longer than `compile_seconds`."""
    poll_seconds: float = 0.1
    """Between looks at what another replica is compiling."""
    wait_seconds: float = 30.0
    """Most time that an index may take, queue and other replicas included."""
    inline_bytes: int = 8 * 1024
    """An index of at most so many bytes is sent with its name: nobody has to fetch it."""
    inline_call_bytes: int = 256 * 1024
    """Of all indexes that are sent so in one call."""
    chunk_bytes: int = 256 * 1024
    """Of an index that is fetched, per message."""

    prune_seconds: float = 600.0
    """Between prunings of the store."""
    keep_seconds: float = 30 * 86_400.0
    """An index unused for this long is pruned; of another engine version: a tenth."""
    store_bytes: int = 4 * 1024 * 1024 * 1024
    """Most bytes of indexes in the store; the least recently used go first."""

    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    """Serves Prometheus' text format; 0: nowhere."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ValueError: By name.
        """
        if self.claim_seconds <= self.compile_seconds:
            raise ValueError("claim_seconds must be more than compile_seconds")
        counts = (
            "mask_fuel",
            "short_slots",
            "compile_slots",
            "queue_per_project",
            "queue_total",
            "ensure_at_once",
            "fill_queue_per_project",
            "fill_queue_total",
        )
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")

    def budget(self) -> Budget:
        """Return the engine's budget: part of every index id."""
        return Budget(
            max_bytes=self.max_schema_bytes,
            max_depth=self.max_schema_depth,
            max_nodes=self.max_schema_nodes,
            mask_fuel=self.mask_fuel,
        )
