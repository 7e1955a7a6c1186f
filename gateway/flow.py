"""The path of a chat completion, step by step: design.md, section 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.abilities import check_abilities
from gateway.answer_checks import AnswerChecks
from gateway.attempt import Attempt
from gateway.authentication import Caller
from gateway.config import GatewayConfig
from gateway.constraint import Wishes
from gateway.fallbacks import first_served
from gateway.generation import Generation, Job
from gateway.indexes import Indexes
from gateway.metrics import Metrics
from gateway.placement import Placement
from gateway.plan import Plan, check_characters, make_plan
from gateway.preparation import prepared
from gateway.prompt_writers import PromptWriters
from gateway.request import ChatRequest, read_chat_request
from gateway.sampler_stream import WorkerStreams
from gateway.schema_resolver import SchemaResolver
from gateway.stops import share_stops
from gateway.tool_memory import ToolMemory
from gateway.validation import Validators
from mesh.clock import Clock
from mesh.ids import Snapshot, new_id
from mesh.models import ModelEntry, ModelTable

_LARGE_BODY_BYTES = 64 * 1024  # beyond it, parsing leaves the event loop


@dataclass(frozen=True)
class ChatFlow:
    """Turns a body into a running generation.

    `salt_secret` is shared by the gateways of a mesh and makes the projects' cache salts.
    """

    config: GatewayConfig
    models: ModelTable
    schemas: SchemaResolver
    tools: ToolMemory
    writers: PromptWriters
    validators: Validators
    indexes: Indexes
    placement: Placement
    streams: WorkerStreams
    metrics: Metrics
    clock: Clock
    salt_secret: str

    async def begin(self, caller: Caller, body: bytes) -> Generation:
        """Return a generation whose status may be sent: it has a place, and its index is ready.

        Raises:
            FormworkError: The request is refused, or nothing can serve it; nothing is charged.
        """
        deadline = self._deadline()
        request = await self._read(caller, body)

        async def begin_on(snapshot: Snapshot, has_fallback: bool) -> Generation:  # noqa: FBT001 - as `first_served` calls it
            return await self._begin(caller, request, snapshot, deadline, has_fallback=has_fallback)

        return await first_served(self.models.candidates(request.model), begin_on)

    async def _begin(
        self,
        caller: Caller,
        request: ChatRequest,
        snapshot: Snapshot,
        deadline: Timestamp,
        *,
        has_fallback: bool,
    ) -> Generation:
        """Return the generation of one snapshot; where another would do, it waits for no worker."""
        entry = self.models.entries[snapshot]
        check_abilities(request, entry, self.writers.of(snapshot))
        wishes = self._wishes(caller, request, snapshot, entry)
        self._refuse_early(wishes)
        check_characters(request, entry.context, self.writers.of(snapshot).longest_token)
        told, read = share_stops(request, is_kept_to_form=wishes is not None)
        async with prepared(request, wishes, self.indexes, self.validators) as preparation:
            prompt = await self.writers.write(snapshot, request, entry.context, caller.project_id)
            plan = self._plan(told, snapshot, entry, prompt)
            attempt = Attempt(self, caller, request, snapshot, plan, wishes, deadline, has_fallback)
            opened, constraint, checks = await attempt.start(preparation)
        job = self._job(read, snapshot, entry, plan, checks)
        generation = Generation(
            job, opened, attempt, self.placement, self.metrics, self.config.max_attempts
        )
        generation.spent.queue = opened.place.queued_seconds
        generation.spent.compile = constraint.seconds if constraint else 0.0
        return generation

    async def _read(self, caller: Caller, body: bytes) -> ChatRequest:
        if len(body) < _LARGE_BODY_BYTES:
            request = read_chat_request(body, self.config, self.tools)
        else:
            request = await self.writers.in_thread(
                caller.project_id, lambda: read_chat_request(body, self.config, self.tools)
            )
        return await self.schemas.resolve(request, caller)

    def _wishes(
        self, caller: Caller, request: ChatRequest, snapshot: Snapshot, entry: ModelEntry
    ) -> Wishes | None:
        """Return the indexes that an answer needs; None where nothing constrains it."""
        writer, use = self.writers.of(snapshot), request.tool_use
        shape = writer.chat.shape(request.format.part, use)
        if shape is None:
            return None
        return Wishes(
            shape=shape,
            subjects=lambda: writer.chat.subjects(request.format, use),
            family=writer.family,
            fingerprint=entry.tokenizer_fingerprint,
            is_strict=caller.dialect == "strict",
            project_id=caller.project_id,
        )

    def _refuse_early(self, wishes: Wishes | None) -> None:
        """Refuse what was refused a moment ago, before anything is queued or prefilled."""
        if wishes is None:
            return
        refusal = wishes.find_refusal(self.indexes, self.validators)
        if refusal is not None:
            raise refusal

    def _plan(
        self, request: ChatRequest, snapshot: Snapshot, entry: ModelEntry, prompt: Sequence[int]
    ) -> Plan:
        return make_plan(
            request,
            prompt,
            context=entry.context,
            vocabulary_size=self.writers.of(snapshot).vocabulary_size,
            config=self.config,
        )

    def _job(
        self,
        request: ChatRequest,
        snapshot: Snapshot,
        entry: ModelEntry,
        plan: Plan,
        checks: AnswerChecks,
    ) -> Job:
        return Job(
            completion_id=new_id("chatcmpl").replace("_", "-", 1),
            created=int(self.clock.now().timestamp()),
            request=request,
            snapshot=snapshot,
            entry=entry,
            plan=plan,
            checks=checks,
            model=self.writers.of(snapshot).chat,
            system_fingerprint=system_fingerprint(snapshot, entry),
        )

    def _deadline(self) -> Timestamp:
        deadline = Timestamp()
        seconds = self.clock.now().timestamp() + self.config.request_seconds
        deadline.FromNanoseconds(int(seconds * 1e9))
        return deadline


def system_fingerprint(snapshot: str, entry: ModelEntry) -> str:
    """Return what changes when the same seed may give another answer."""
    facts = (snapshot, entry.tokenizer_fingerprint, entry.device, entry.dtype, entry.determinism)
    return "fp_" + sha256("/".join(facts).encode()).hexdigest()[:10]
