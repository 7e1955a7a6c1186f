"""What Prometheus reads from /metrics; every label has a short, closed list of values."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The gateway's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        prefix = "formwork_gateway"
        self.requests = Counter(
            f"{prefix}_requests", "HTTP requests.", ("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            f"{prefix}_request_seconds",
            "From a request's arrival to its last byte.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            f"{prefix}_requests_in_flight", "Requests being served.", registry=self.registry
        )
        self.first_token_seconds = Histogram(
            f"{prefix}_first_token_seconds",
            "From a request's arrival to its first frame.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.prompt_tokens = Counter(
            f"{prefix}_prompt_tokens", "Prompt tokens of generations.", registry=self.registry
        )
        self.completion_tokens = Counter(
            f"{prefix}_completion_tokens", "Completion tokens accepted.", registry=self.registry
        )
        self.finishes = Counter(
            f"{prefix}_finishes", "Choices by how they ended.", ("reason",), registry=self.registry
        )
        self.invalid_answers = Counter(
            f"{prefix}_invalid_answers",
            "Structured answers that failed validation: a fault of ours.",
            registry=self.registry,
        )
        self.attempts_repeated = Counter(
            f"{prefix}_attempts_repeated",
            "Requests tried on another worker.",
            registry=self.registry,
        )
        self.settlements_failed = Counter(
            f"{prefix}_settlements_failed", "Settlements given up.", registry=self.registry
        )
        self.slow_clients = Counter(
            f"{prefix}_slow_clients",
            "Clients cancelled for reading slowly.",
            registry=self.registry,
        )

    def render(self) -> bytes:
        """Return the text exposition of every metric."""
        return generate_latest(self.registry)
