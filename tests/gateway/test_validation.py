"""The last check of a structured answer."""

import asyncio
import io
import itertools
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
import pytest_asyncio

from gateway import grammars, validation_process
from gateway.config import GatewayConfig
from gateway.grammars import Grammar, SchemaText, Syntax
from gateway.schema_check import Validator
from gateway.validation import CheckBudget, Validators
from gateway.validation_client import ValidationProcess
from gateway.validation_process import (
    CHECK_HEAD,
    VERDICT_HEAD,
    Asked,
    Checker,
    Finding,
    Verdict,
    serve,
)
from mesh.clock import SystemClock
from mesh.errors import InternalError, LimitExceededError, SchemaRefusedError

PROJECT = "p"


def form(schema: object) -> SchemaText:
    return SchemaText(json.dumps(schema).encode())


def make_validators(**config: object) -> Validators:
    # The processor's time bounds these checks; a busy machine's clock would end them earlier.
    patient = {"validation_wall_seconds": 60.0, **config}
    return Validators(GatewayConfig(**patient), SystemClock())  # type: ignore[arg-type] # by name


def count_checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of what processes are asked from now on."""
    asked: list[str] = []
    alone, several = ValidationProcess.check, ValidationProcess.check_several

    async def check(self: ValidationProcess, schema: bytes, answer: bytes | None) -> Finding:
        asked.extend([] if answer is not None else ["alone"])
        return await alone(self, schema, answer)

    async def check_several(self: ValidationProcess, schemas: Sequence[bytes]) -> list[Finding]:
        asked.append("several")
        return await several(self, schemas)

    monkeypatch.setattr(ValidationProcess, "check", check)
    monkeypatch.setattr(ValidationProcess, "check_several", check_several)
    return asked


@pytest.fixture
async def validators() -> AsyncIterator[Validators]:
    made = make_validators()
    yield made
    await made.close()


# One for the tables, whose processes every case then finds running.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Validators]:
    made = make_validators()
    yield made
    await made.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        ({"type": "integer"}, "1", True),
        ({"type": "integer"}, "1.5", False),
        ({"type": "integer"}, "", False),
        ({"type": "integer"}, "1 2", False),
        ({"type": "number"}, "NaN", False),
        ({"type": "object"}, '{"a":1,"a":1}', False),
        ({"type": "string", "format": "date"}, '"2026-02-30"', False),
        ({"type": "string", "format": "email"}, '"a@b.example"', True),
        ({"type": "string", "format": "uuid"}, '"no"', False),
        ({"type": "string", "pattern": "^(a+)+$"}, '"' + "a" * 50_000 + '!"', False),
        ({"type": "string", "pattern": "^.{1,5000}$"}, '"x"', True),
        ({"type": "string", "pattern": "^(?=.*b)[ab]+$"}, '"aab"', True),
        ({"type": "string", "pattern": "^(?=.*b)[ab]+$"}, '"aaa"', False),
        ({"type": "number", "multipleOf": 0.01}, "19.99", True),
        ({"maximum": 123456789012345678901}, "123456789012345678902", False),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}, "null", True),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "null"}, "null", True),
        ({"$schema": "http://nobody.example/knows", "type": "null"}, "1", False),
        ({"$ref": "http://json-schema.org/draft-07/schema#"}, '{"type":"null"}', True),
        ({"$ref": "http://json-schema.org/draft-07/schema#"}, '{"type":"nil"}', False),
        ({"$ref": "https://json-schema.org/draft/2019-09/schema"}, '{"items":1}', False),
        ({"type": "array"}, "[" * 100_000, False),
    ],
)
async def test_an_answer_is_checked_with_formats_and_exact_numbers(
    shared: Validators,
    schema: object,
    text: str,
    expected: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    validator = await shared.of(form(schema), PROJECT)
    assert await validator.is_valid(text) is expected


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "^(?=a)b(?$"},
        {"pattern": "^[\\p{L}]{1,5000}$"},
        {"$ref": "http://nobody.example/schema"},
        {"$ref": "#/nowhere"},
        {"type": "strin"},
    ],
)
async def test_a_schema_that_cannot_be_checked_with_is_refused(
    shared: Validators, schema: object
) -> None:
    with pytest.raises(SchemaRefusedError):
        await shared.of(form(schema), PROJECT)
    assert shared.find_refusal(form(schema)) is not None


async def test_a_schema_is_hashed_once_for_all_that_is_known_of_it(
    validators: Validators, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[bytes] = []

    def spy(text: bytes) -> object:
        hashed.append(text)
        return sha256(text)

    monkeypatch.setattr(grammars, "sha256", spy)
    schema = Grammar(Syntax.JSON_SCHEMA, '{"type":"integer"}').schema
    assert schema is not None
    assert validators.find_refusal(schema) is None
    for _ in range(2):
        validators.open_budget().spend(await validators.of(schema, PROJECT))
    assert hashed == [b'{"type":"integer"}']


async def test_json_mode_wants_an_object(validators: Validators) -> None:
    schema = Grammar(Syntax.JSON_OBJECT).schema
    assert schema is not None
    validator = await validators.of(schema, PROJECT)
    assert await validator.is_valid('{"a":[]}')
    assert not await validator.is_valid("[]")


def doubling(depth: int) -> dict[str, object]:
    """Return a small schema that takes 2 ** depth steps to check a number with."""
    definitions: dict[str, object] = {"d0": {"minimum": 0}}
    for level in range(1, depth + 1):
        reference = {"$ref": f"#/$defs/d{level - 1}"}
        definitions[f"d{level}"] = {"allOf": [reference, reference]}
    return {"$ref": f"#/$defs/d{depth}", "$defs": definitions}


async def test_a_check_that_never_ends_is_a_fault_and_holds_up_nobody() -> None:
    validators = make_validators(validation_seconds=0.3)
    try:
        slow = await validators.of(form(doubling(40)), "slow")
        other = await validators.of(form({"type": "integer"}), "other")
        checking = asyncio.create_task(slow.is_valid("5"))
        checks = 0
        while not checking.done():
            assert await other.is_valid("5")
            checks += 1
        assert checks > 20
        with pytest.raises(InternalError):
            await checking
        with pytest.raises(SchemaRefusedError, match=r"0\.3 s"):
            await validators.of(form(doubling(40)), "slow")
        assert await (await validators.of(form({}), "slow")).is_valid("5")
    finally:
        await validators.close()


async def test_checks_of_one_answer_share_a_budget() -> None:
    validators = make_validators(validation_answer_seconds=0.01)
    try:
        slow = await validators.of(form(doubling(22)), PROJECT)
        budget = CheckBudget(validators.answer_seconds)
        assert await slow.is_valid("5", budget), "what has begun is finished"
        with pytest.raises(InternalError, match=r"validation_answer_seconds is 0\.01"):
            await slow.is_valid("5", budget)
        assert await slow.is_valid("5"), "another answer has its own"
    finally:
        await validators.close()


async def test_a_validator_beyond_its_memory_is_refused_and_the_refusal_remembered() -> None:
    patterns = {f"p{n}": {"pattern": f"^\\p{{L}}{{1,{900 + n}}}$"} for n in range(60)}
    large = form({"properties": patterns})
    validators = make_validators(validation_memory_bytes=32 * 1024 * 1024)
    try:
        assert validators.find_refusal(large) is None
        with pytest.raises(SchemaRefusedError, match="bytes"):
            await validators.of(large, PROJECT)
        assert validators.find_refusal(large) is not None
    finally:
        await validators.close()


def heavy(number: int) -> SchemaText:
    """Return a small schema whose validator takes some tenths of a second to make."""
    return form({"pattern": f"^[\\p{{L}}\\p{{N}}]{{1,{300 + number}}}$"})


async def make_many(validators: Validators, count: int) -> None:
    budget = validators.open_budget()
    for number in range(count):
        budget.spend(await validators.of(heavy(number), PROJECT))


async def test_the_validators_of_one_request_share_a_budget() -> None:
    validators = make_validators(validation_request_seconds=0.5, validation_seconds=20.0)
    try:
        for _ in range(2):  # also when it is known what they take
            with pytest.raises(LimitExceededError, match="validation_request_seconds is") as caught:
                await make_many(validators, 100)
            assert caught.value.metadata["limit"] == "validation_request_seconds"
            assert float(caught.value.metadata["value"]) >= 0.5
        validators.open_budget().spend(await validators.of(form({}), PROJECT))
    finally:
        await validators.close()


def processes() -> list[int]:
    """Return the validating processes of this one."""
    found = subprocess.run(  # noqa: S603 - no input of anybody
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())],  # noqa: S607 - the system's ps
        capture_output=True,
        text=True,
        check=True,
    )
    lines = found.stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "gateway.validation_process" in line]


def environment_of(process_id: int) -> bytes:
    return Path(f"/proc/{process_id}/environ").read_bytes()


async def test_validators_of_several_schemas_are_made_in_one_go(
    validators: Validators, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = count_checks(monkeypatch)
    schemas = [form({"const": number}) for number in range(100)]
    await validators.prepare(schemas, PROJECT)
    made = [await validators.of(schema, PROJECT) for schema in schemas]
    assert asked == ["several"]
    assert await made[7].is_valid("7")
    assert not await made[7].is_valid("8")


async def test_of_several_schemas_each_is_refused_for_what_is_wrong_with_it(
    validators: Validators,
) -> None:
    odd, good = form({"$ref": "#/nowhere"}), form({"const": 1})
    await validators.prepare([odd, good], PROJECT)
    with pytest.raises(SchemaRefusedError, match="nowhere"):
        await validators.of(odd, PROJECT)
    assert await (await validators.of(good, PROJECT)).is_valid("1")


async def test_a_schema_that_ends_the_process_takes_no_other_with_it() -> None:
    validators = make_validators(validation_memory_bytes=96 * 1024 * 1024)
    huge = form({"anyOf": [{"pattern": f"^[a-z{n}]{{1,4000}}$"} for n in range(400)]})
    good = form({"const": 1})
    try:
        await validators.prepare([good, huge], PROJECT)
        with pytest.raises(SchemaRefusedError, match="memory"):
            await validators.of(huge, PROJECT)
        assert await (await validators.of(good, PROJECT)).is_valid("1")
    finally:
        await validators.close()


def test_of_several_schemas_no_more_are_made_than_take_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(validation_process.time, "process_time", lambda: 0.02 * next(ticks))
    checker = Checker(seconds=60, pattern_bytes=1 << 20, kept_bytes=1 << 20)
    texts = [json.dumps({"const": number}).encode() for number in range(4)]
    verdicts = [finding.verdict for finding in checker.check_several(texts)]
    assert verdicts == [Verdict.READY, Verdict.LATER, Verdict.LATER, Verdict.LATER]


async def test_a_check_in_a_process_that_stands_still_is_a_fault() -> None:
    validators = make_validators(validation_processes=1, validation_wall_seconds=0.2)
    try:
        validator = await validators.of(form({}), PROJECT)
        for process_id in processes():
            os.kill(process_id, signal.SIGSTOP)
        with pytest.raises(InternalError):
            await validator.is_valid("1")
    finally:
        await validators.close()


async def test_a_process_knows_no_secrets(
    validators: Validators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    await validators.start()
    environments = [environment_of(process_id) for process_id in processes()]
    assert len(environments) >= 2
    assert not any(b"DATABASE_URL" in environment for environment in environments)


async def test_a_cancelled_check_leaves_no_verdict_behind() -> None:
    validators = make_validators(validation_processes=1)
    try:
        slow = await validators.of(form(doubling(40)), PROJECT)
        checking = asyncio.create_task(slow.is_valid("5"))
        await asyncio.sleep(0)
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
        assert not await (await validators.of(form({"const": 1}), PROJECT)).is_valid("2")
    finally:
        await validators.close()


def test_validators_are_kept_as_long_as_their_bytes_are_within_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[bytes] = []
    real = validation_process.build_validator

    def build(schema: bytes, *, pattern_bytes: int) -> Validator:
        built.append(schema)
        return real(schema, pattern_bytes=pattern_bytes)

    monkeypatch.setattr(validation_process, "build_validator", build)
    monkeypatch.setattr(validation_process, "_address_space_bytes", lambda: 0)
    small, other, large = b"{}", b"true", b'{"title":"' + b"x" * 200 + b'"}'
    checker = Checker(seconds=60, pattern_bytes=1 << 20, kept_bytes=32 * 220)
    for schema in (small, other, small, large, small):
        checker.check(schema, b"1")
    assert built == [small, other, large]
    checker.check(large[:-2] + b'xx"}', b"1")
    checker.check(large, b"1")
    assert built[3:] == [large[:-2] + b'xx"}', large]


def test_memory_that_making_a_validator_took_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter((0, 600, 600, 1200, 1200, 1800))
    monkeypatch.setattr(validation_process, "_address_space_bytes", lambda: next(sizes))
    checker = Checker(seconds=60, pattern_bytes=1 << 20, kept_bytes=1000)
    for schema in (b"{}", b"true", b"{}"):
        checker.check(schema, None)
    assert next(sizes, None) is None


def test_a_worn_process_says_so() -> None:
    checker = Checker(seconds=60, pattern_bytes=1 << 20, kept_bytes=1 << 20)
    for worn_bytes, expected in ((1, True), (1 << 60, False)):
        checks = io.BytesIO(CHECK_HEAD.pack(Asked.ANSWER, 2, 1) + b"{}1")
        verdicts = io.BytesIO()
        serve(checker, checks, verdicts, worn_bytes)
        said = verdicts.getvalue()[-VERDICT_HEAD.size :]
        verdict, is_worn, *_, reason_size = VERDICT_HEAD.unpack(said)
        assert (verdict, is_worn, reason_size) == (Verdict.FITS, expected, 0)
