"""What is counted, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The counters of one process.

    Args:
        registry: Where they are registered: one of their own for each process, or test.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.ensured = Counter(
            "formwork_compiler_ensured", "Indexes given out.", ["source"], registry=registry
        )
        self.refused = Counter(
            "formwork_compiler_refused", "Indexes refused.", ["reason"], registry=registry
        )
        self.compile_seconds = Histogram(
            "formwork_compiler_compile_seconds",
            "Time of the compiles that gave an index.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.fetched_bytes = Counter(
            "formwork_compiler_fetched_bytes", "Bytes of indexes sent.", registry=registry
        )
