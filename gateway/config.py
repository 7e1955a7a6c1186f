"""Section `gateway` of the configuration: every bound of the HTTP edge, with usable defaults."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GatewayConfig:
    """Section `gateway`. Times are seconds, sizes bytes unless the name says otherwise."""

    http_host: str = "127.0.0.1"
    http_port: int = 8080

    # What a request may ask for.
    max_body_bytes: int = 4 * 1024 * 1024
    max_messages: int = 2048
    max_schema_bytes: int = 512 * 1024
    max_choices: int = 128
    max_completion_tokens: int = 32_768
    """Bound, and default where the context leaves more."""
    max_prompt_characters: int = 2_000_000
    """Of a rendered prompt."""
    max_tokenize_characters: int = 100_000
    """Of a text or of messages that are only made into tokens."""
    max_tokenize_tokens: int = 32_768
    """That these make: each is an object in the answer."""
    max_detokenize_tokens: int = 100_000

    # How long things may take.
    body_seconds: float = 30.0
    header_seconds: float = 20.0
    request_seconds: float = 600.0
    """From a request's arrival to its last byte."""
    render_seconds: float = 5.0
    compile_seconds: float = 30.0
    validation_seconds: float = 1.0
    """Processor time to make a schema's validator, and again to check an answer with it."""
    validation_wall_seconds: float = 3.0
    """Both, by the clock on the wall."""
    validation_request_seconds: float = 4.0
    """Processor time to make the validators of all schemas of one request."""
    validation_answer_seconds: float = 4.0
    """Processor time to check one answer with them, all of its calls together; a check that has
    begun is finished."""
    queue_seconds: float = 120.0
    reconnect_seconds: float = 2.0
    """Waiting once for the compiler or the scheduler to come back."""
    slow_client_seconds: float = 30.0
    """A client that takes nothing off its socket for that long is cancelled and billed."""
    keep_alive_seconds: float = 75.0

    # How much at a time.
    max_in_flight: int = 1024
    max_in_flight_per_project: int = 256
    render_threads: int = 3
    """Read large bodies and write prompts. A project has at most all but one of them at a time."""
    render_queue_per_project: int = 256
    """What one project may have waiting for them; as many requests as it may have in flight."""
    render_queue_total: int = 1024
    validation_processes: int = 2
    """A project has at most one of them at a time."""
    validation_memory_bytes: int = 512 * 1024 * 1024
    """Of each; a quarter is for the validators that it keeps."""
    pause_frames: int = 64
    """Unread frames of a request at which its worker is told to pause."""
    resume_frames: int = 16
    max_attempts: int = 3
    """Places that a request is tried on, when workers are lost before anything was sent."""
    settle_seconds: float = 60.0
    """How long a settlement is tried before the worker's own report has to do."""
    socket_send_bytes: int = 64 * 1024
    """Kernel buffer of a client's connection: how far a client may lag before it counts as slow."""

    # Registered schemas.
    max_schemas_per_project: int = 1000
    """Versions of all names together."""
    max_schemas_bytes_per_project: int = 64 * 1024 * 1024
    schema_connections: int = 4
    """To the database, beside the 8 that keys are looked up with: registrations, which wait for
    those of other replicas, hold up nobody's key."""
    schema_wait_seconds: float = 2.0
    """How long a registration waits for its indexes; then it says that they are being made."""
    schema_fresh_seconds: float = 5.0
    """How long a schema is not looked up again: bounds how long a removed one is still used."""
    schema_stale_seconds: float = 300.0
    """How long a schema that was looked up is served while the database does not answer."""
    schema_unknown_seconds: float = 1.0
    """How long an id that the database does not know is refused without asking again."""
    schema_unknown_memory: int = 10_000
    """Ids of which that is remembered."""
    schema_memory_bytes: int = 32 * 1024 * 1024
    schema_uses_seconds: float = 5.0
    """How often uses are written."""
    schema_uses_memory: int = 10_000
    """Schemas whose uses wait to be written."""
    prewarm_schemas: int = 64
    """The most used schemas, of all projects, whose indexes are made ahead; 0: none."""
    prewarm_unfinished: int = 64
    """Schemas whose registration did not see the end, that are gone on with in one round."""
    prewarm_per_project: int = 32
    """Of either kind, of one project."""
    prewarm_seconds: float = 60.0
    """How often it is seen to: an engine may have changed, or a cache been lost."""
    prewarm_failed_seconds: float = 3600.0
    """What a schema that fails again and again waits at most; it begins with `prewarm_seconds`."""
    prewarm_memory_bytes: int = 16 * 1024 * 1024
    """Bodies that are kept from one round to the next."""
    prewarm_at_once: int = 4
    prewarm_ready_seconds: float = 20.0
    """How long a gateway that starts is not ready for the sake of it."""

    # What is remembered.
    index_memory_bytes: int = 32 * 1024 * 1024
    index_memory_seconds: float = 60.0
    tool_memory_bytes: int = 32 * 1024 * 1024
    """Tools as they were read."""
    usable_memory: int = 16_384
    """Schemas of which it is known how long making a validator takes."""
    refusal_memory: int = 512
    """Schemas that no validator could be made of."""
    refusal_memory_seconds: float = 30.0
    key_memory: int = 10_000
    key_fresh_seconds: float = 0.5
    """How long a verified key is not looked up again: bounds how long a revoked one still works."""
    key_unknown_seconds: float = 0.5
    """How long a key that the database does not know is refused without asking again."""
    key_stale_seconds: float = 300.0
    """How long a verified key is served while the database does not answer."""
    readiness_seconds: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that break a promise."""
        if not 0 <= self.key_fresh_seconds <= 0.5:  # noqa: PLR2004 - revocation within a second
            raise ValueError("key_fresh_seconds must be between 0 and 0.5")
        if not 0 <= self.key_unknown_seconds <= 1:
            raise ValueError("key_unknown_seconds must be between 0 and 1")
        if not 0 < self.resume_frames < self.pause_frames:
            raise ValueError("resume_frames must be positive and below pause_frames")
        for name in ("max_attempts", "render_threads", "schema_connections", "prewarm_unfinished"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
