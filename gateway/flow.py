"""The path of a chat completion, step by step: design.md, section 1."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from formwork.sampler.v1.sampler_pb2 import Open
from formwork.scheduler.v1.scheduler_pb2 import OUTCOME_FAILED, AcquireRequest, TokenCounts
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.answer_checks import AnswerChecks, make_checks
from gateway.answer_shape import Part
from gateway.authentication import Caller
from gateway.config import GatewayConfig
from gateway.constraint import Constraint, Wishes
from gateway.errors import RequestError, grammar_error
from gateway.fallbacks import first_served
from gateway.generation import Generation, Job, Opened
from gateway.indexes import Indexes
from gateway.metrics import Metrics
from gateway.placement import SERVICE_TIERS, Place, Placement
from gateway.plan import Plan, affinity, cache_salt, check_characters, check_shortest, make_plan
from gateway.prompt_writers import PromptWriters
from gateway.request import ChatRequest, read_chat_request
from gateway.sampler_stream import WorkerStreams
from gateway.schema_resolver import SchemaResolver
from gateway.validation import Validators
from mesh.clock import Clock
from mesh.context import current_request_id, current_traceparent
from mesh.errors import FormworkError, IndexNotFoundError
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
        self._check_abilities(request, snapshot, entry)
        wishes = self._wishes(caller, request, snapshot, entry)
        self._refuse_early(wishes)
        check_characters(request, entry.context, self.writers.of(snapshot).longest_token)
        prompt = await self.writers.write(snapshot, request)
        plan = self._plan(request, snapshot, entry, prompt)
        attempt = _Attempt(self, caller, request, snapshot, plan, wishes, deadline, has_fallback)
        opened, constraint, checks = await attempt.start()
        job = self._job(request, snapshot, entry, plan, checks)
        generation = Generation(
            job, opened, attempt, self.placement, self.metrics, self.config.max_attempts
        )
        generation.spent.queue = opened.place.queued_seconds
        generation.spent.compile = constraint.seconds if constraint else 0.0
        return generation

    async def _read(self, caller: Caller, body: bytes) -> ChatRequest:
        if len(body) < _LARGE_BODY_BYTES:
            request = read_chat_request(body, self.config)
        else:
            request = await self.writers.in_thread(lambda: read_chat_request(body, self.config))
        return await self.schemas.resolve(request, caller)

    def _check_abilities(self, request: ChatRequest, name: Snapshot, entry: ModelEntry) -> None:
        """Refuse what the model cannot do, by parameter."""
        if request.format.is_structured and not entry.structured:
            raise _unsupported(
                f"'response_format' of type '{request.format.kind}'", "response_format"
            )
        writer = self.writers.of(name)
        has_tools = entry.tools and writer.traits.has_tools and writer.chat.form.call
        if request.tool_use.tools and not has_tools:
            raise _unsupported("'tools'", "tools")
        is_either = request.format.is_structured and bool(request.tool_use.callable)
        if is_either and not writer.chat.tells_calls_from_json:
            raise _unsupported("'response_format' together with 'tools'", "response_format")
        for number, tool in enumerate(request.tool_use.tools):
            if not writer.chat.can_enforce(tool):
                path = f"tools[{number}].custom.format"
                raise _unsupported(f"'{path}' of type 'grammar'", path)

    def _wishes(
        self, caller: Caller, request: ChatRequest, snapshot: Snapshot, entry: ModelEntry
    ) -> Wishes | None:
        """Return the indexes that an answer needs; None where nothing constrains it."""
        writer = self.writers.of(snapshot)
        shape = writer.chat.shape(_content_of(request), request.tool_use)
        if shape is None:
            return None
        return Wishes(
            shape=shape,
            family=writer.family,
            fingerprint=entry.tokenizer_fingerprint,
            is_strict=caller.dialect == "strict",
            project_id=caller.project_id,
        )

    def _refuse_early(self, wishes: Wishes | None) -> None:
        """Refuse what was refused a moment ago, before anything is queued or prefilled."""
        if wishes is None:
            return
        refusal = wishes.find_refusal(self.indexes)
        if refusal is not None:
            raise refusal
        for part in wishes.shape.parts:
            unusable = part.grammar.schema and self.validators.find_refusal(part.grammar.schema)
            if unusable:
                raise grammar_error(unusable, part.subject)

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


@dataclass(frozen=True)
class _Attempt:
    """How one request gets its place, its sequences and its index: at first, and again."""

    flow: ChatFlow
    caller: Caller
    request: ChatRequest
    snapshot: Snapshot
    plan: Plan
    wishes: Wishes | None
    deadline: Timestamp
    has_fallback: bool

    async def start(self) -> tuple[Opened, Constraint | None, AnswerChecks]:
        """Acquire and open while indexes are ensured; then bind, or take everything back."""
        opening = asyncio.create_task(self._open_first())
        ensuring = asyncio.create_task(self._ensure())
        try:
            constraint, checks = await _first_failure(opening, ensuring)
            opened = opening.result()
            opened.bind(constraint)
        except BaseException:
            await _cancel(opening, ensuring)
            self._take_back(opening)
            raise
        return opened, constraint, checks

    async def reopen(self, place: Place) -> Opened:
        """Return sequences on another place of the same lease."""
        return self._open(await self.flow.placement.retry(place))

    async def rebind(self, opened: Opened, error: FormworkError) -> None:
        """Bind them again, to indexes ensured anew where the error says that one was not found."""
        if self.wishes is None:
            return
        if isinstance(error, IndexNotFoundError):
            self.wishes.forget(self.flow.indexes)
        opened.bind(await self.wishes.ensure(self.flow.indexes))

    async def _open_first(self) -> Opened:
        return self._open(await self.flow.placement.acquire(self._acquire_request()))

    async def _ensure(self) -> tuple[Constraint | None, AnswerChecks]:
        if self.wishes is None:
            return None, AnswerChecks()
        checking = asyncio.create_task(self._make_checks())
        try:
            constraint = await self._ensure_indexes(self.wishes)  # its refusals say more
            return constraint, await checking
        except BaseException:
            await _cancel(checking)
            raise

    async def _ensure_indexes(self, wishes: Wishes) -> Constraint:
        constraint = await wishes.ensure(self.flow.indexes)
        context = self.flow.models.entries[self.snapshot].context
        check_shortest(self.request, self.plan, constraint.shortest_answer_tokens, context)
        return constraint

    async def _make_checks(self) -> AnswerChecks:
        content, use = _content_of(self.request), self.request.tool_use
        return await make_checks(content, use, self.flow.validators, self.caller.project_id)

    def _open(self, place: Place) -> Opened:
        opens = [self._open_message(place, choice) for choice in range(self.request.choices)]
        stream = self.flow.streams.to(place.worker_address)
        return Opened(place, stream, stream.open(opens))

    def _open_message(self, place: Place, choice: int) -> Open:
        entry = self.flow.models.entries[self.snapshot]
        family = self.flow.writers.of(self.snapshot).family
        in_words = entry.refusal_phrases and not entry.refusal
        return Open(
            lease=place.lease,
            choice=choice,
            prompt_tokens=self.plan.prompt,
            sampling=self.plan.sampling,
            deadline=self.deadline,
            request_id=current_request_id(),
            traceparent=current_traceparent(),
            cache_salt=self._salt(),
            constrained=self.wishes is not None,
            may_refuse=entry.refusal,
            refusal_phrases=family.refusal_phrases if in_words else (),
        )

    def _acquire_request(self) -> AcquireRequest:
        return AcquireRequest(
            request_id=current_request_id(),
            project_id=self.caller.project_id,
            key_id=self.caller.key_id,
            snapshot=self.snapshot,
            service_tier=SERVICE_TIERS[self.request.service_tier],
            prompt_tokens=len(self.plan.prompt),
            max_completion_tokens=self.plan.max_tokens * self.request.choices,
            choices=self.request.choices,
            affinity=affinity(
                self._salt(), self.request.labels.get("prompt_cache_key", ""), self.plan.prompt
            ),
            has_fallback=self.has_fallback,
        )

    def _salt(self) -> str:
        return cache_salt(self.flow.salt_secret, self.caller.project_id)

    def _take_back(self, opening: "asyncio.Task[Opened]") -> None:
        """Give back a place got for nothing: the request is refused, so nothing is charged."""
        if opening.cancelled() or opening.exception() is not None:
            return
        opened = opening.result()
        opened.group.abort()
        self.flow.placement.settle(opened.place, TokenCounts(), OUTCOME_FAILED)


def system_fingerprint(snapshot: str, entry: ModelEntry) -> str:
    """Return what changes when the same seed may give another answer."""
    facts = (snapshot, entry.tokenizer_fingerprint, entry.device, entry.dtype, entry.determinism)
    return "fp_" + sha256("/".join(facts).encode()).hexdigest()[:10]


def _content_of(request: ChatRequest) -> Part | None:
    """Return what the content of an answer must look like; None: any text."""
    form = request.format
    return Part(form.grammar, form.subject, form.strict) if form.is_structured else None


def _unsupported(what: str, param: str) -> RequestError:
    return RequestError(
        f"Invalid parameter: {what} is not supported with this model.", param, "unsupported_value"
    )


async def _first_failure(
    opening: "asyncio.Task[Opened]",
    ensuring: "asyncio.Task[tuple[Constraint | None, AnswerChecks]]",
) -> tuple[Constraint | None, AnswerChecks]:
    """Return once both have ended; raise as soon as one has failed."""
    await asyncio.wait((opening, ensuring), return_when=asyncio.FIRST_EXCEPTION)
    if ensuring.done():
        ensuring.result()  # a refusal says more than a full queue
    opening.result()
    return ensuring.result()


async def _cancel(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
