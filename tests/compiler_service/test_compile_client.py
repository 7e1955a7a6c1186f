"""Real compiling processes: their limits hold, whatever a compile does."""

import asyncio
import dataclasses
import gc
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from formwork_engine import (
    GrammarInput,
    Index,
    IndexOptions,
    JsonSchema,
    MalformedError,
    TooLargeError,
    UnsupportedError,
    Vocabulary,
    load_vocabulary,
)
from formwork_engine.testing import accepts

from compiler_service.canonical import CanonicalGrammar
from compiler_service.compile_client import ForkingCompiler
from compiler_service.compile_process import MAX_JOBS
from compiler_service.compile_wire import CompiledIndex
from compiler_service.config import CompilerConfig
from mesh.clock import SystemClock
from mesh.config import ConfigError
from mesh.errors import CompileBudgetError, ServiceUnavailableError
from mesh.ids import Fingerprint

MODEL = Path(__file__).parents[2] / "models" / "formwork-mini"
CONFIG = CompilerConfig()


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load_vocabulary(MODEL)


@pytest.fixture
async def compiler(vocabulary: Vocabulary) -> AsyncIterator[ForkingCompiler]:
    forking = ForkingCompiler({MODEL: vocabulary.fingerprint}, CONFIG, SystemClock())
    await forking.start()
    yield forking
    await forking.close()


def canonical(vocabulary: Vocabulary, grammar: GrammarInput) -> CanonicalGrammar:
    fingerprint = Fingerprint(vocabulary.fingerprint)
    return CanonicalGrammar(grammar, IndexOptions(), CONFIG.budget(), fingerprint)


def slow(vocabulary: Vocabulary) -> CanonicalGrammar:
    """Return a grammar that takes seconds to compile: which of 30 switches fit 120 rules."""
    switches = [f"s{n}" for n in range(30)]
    rules = [
        {
            "anyOf": [
                {"properties": {switches[(n * step + place) % 30]: {"const": bool(n >> place & 1)}}}
                for place, step in enumerate((7, 11, 13))
            ]
        }
        for n in range(120)
    ]
    schema = {
        "type": "object",
        "properties": {name: {"type": "boolean"} for name in switches},
        "required": switches,
        "allOf": rules,
    }
    return canonical(vocabulary, JsonSchema(json.dumps(schema)))


async def test_a_filled_index_says_the_same_and_its_process_is_not_used_again(
    compiler: ForkingCompiler, vocabulary: Vocabulary
) -> None:
    grammar = canonical(vocabulary, JsonSchema('{"type":"object","properties":{"a":{}}}'))
    compiled = await compiler.compile(grammar, seconds=30)
    filled = await compiler.fill(grammar)
    assert len(filled.data) > len(compiled.data)
    assert filled.shortest_answer_tokens == compiled.shortest_answer_tokens
    assert accepts(Index.load(filled.data, vocabulary), '{"a":[1,"x"]}')
    assert len(compiler._idle) == 1  # that of the compile: priorities are not had back


async def test_what_comes_back_loads_into_the_same_index(
    compiler: ForkingCompiler, vocabulary: Vocabulary
) -> None:
    grammar = canonical(vocabulary, JsonSchema('{"const":"x"}'))
    compiled = await compiler.compile(grammar, seconds=30)
    index = Index.load(compiled.data, vocabulary)
    assert index.dump() == compiled.data
    assert accepts(index, '"x"')
    assert not accepts(index, '"y"')
    assert compiled.compile_seconds > 0


@pytest.mark.parametrize(
    ("grammar", "error"),
    [
        (
            JsonSchema('{"items":{"$ref":"#/none"}}'),
            UnsupportedError("/items", "$ref", 'nothing is known under "#/none"'),
        ),
        (
            JsonSchema('{"type":3}'),
            MalformedError("not the name of a type", keyword="type"),
        ),
        (JsonSchema('{"a":' * 99 + "1" + "}" * 99), TooLargeError("max_depth", 64, 65)),
    ],
)
async def test_refusals_cross_whole(
    compiler: ForkingCompiler,
    vocabulary: Vocabulary,
    grammar: GrammarInput,
    error: MalformedError | UnsupportedError | TooLargeError,
) -> None:
    with pytest.raises(type(error)) as caught:
        await compiler.compile(canonical(vocabulary, grammar), seconds=30)
    assert vars(caught.value) == vars(error)


async def test_a_compile_that_takes_too_long_is_ended_and_the_next_goes_well(
    compiler: ForkingCompiler, vocabulary: Vocabulary
) -> None:
    start = asyncio.get_running_loop().time()
    with pytest.raises(CompileBudgetError) as caught:
        await compiler.compile(slow(vocabulary), seconds=0.05)
    assert asyncio.get_running_loop().time() - start < 5
    assert caught.value.metadata["limit"] == "compile_seconds"
    await compiler.compile(canonical(vocabulary, JsonSchema("{}")), seconds=30)


async def test_several_are_compiled_in_one_go_and_refusals_stand_in_their_places(
    compiler: ForkingCompiler, vocabulary: Vocabulary
) -> None:
    texts = ['{"const":1}', '{"type":"strin"}', '{"const":2}']
    grammars = [canonical(vocabulary, JsonSchema(text)) for text in texts]
    first, refused, second = await compiler.compile_short(grammars, seconds=30)
    assert isinstance(refused, MalformedError)
    for outcome, text in ((first, "1"), (second, "2")):
        assert isinstance(outcome, CompiledIndex)
        assert accepts(Index.load(outcome.data, vocabulary), text)


async def test_one_that_takes_too_long_costs_those_behind_it_another_go(
    compiler: ForkingCompiler, vocabulary: Vocabulary
) -> None:
    small = canonical(vocabulary, JsonSchema("{}"))
    grammars = [small, *[slow(vocabulary)] * 9, small]
    outcomes = await compiler.compile_short(grammars, seconds=0.3)
    assert isinstance(outcomes[0], CompiledIndex)
    assert len(outcomes) < len(grammars)
    assert len(await compiler.compile_short([small, small], seconds=30)) == 2


async def test_a_process_that_has_done_enough_leaves_the_rest_to_the_next(
    compiler: ForkingCompiler, vocabulary: Vocabulary
) -> None:
    small = canonical(vocabulary, JsonSchema("{}"))
    for _ in range(MAX_JOBS // 50 - 1):
        assert len(await compiler.compile_short([small] * 50, seconds=60)) == 50
    assert len(await compiler.compile_short([small] * 51, seconds=60)) == 50
    assert len(await compiler.compile_short([small], seconds=30)) == 1


async def test_a_compile_that_takes_too_much_memory_is_ended(vocabulary: Vocabulary) -> None:
    tight = CompilerConfig(
        max_schema_bytes=2**24, max_schema_nodes=10**6, compile_memory_bytes=32 * 2**20
    )
    forking = ForkingCompiler({MODEL: vocabulary.fingerprint}, tight, SystemClock())
    await forking.start()
    text = json.dumps({"enum": [f"some longer value {n}" for n in range(400_000)]})
    huge = dataclasses.replace(canonical(vocabulary, JsonSchema(text)), budget=tight.budget())
    with pytest.raises(CompileBudgetError) as caught:
        await forking.compile(huge, seconds=60)
    assert caught.value.metadata["limit"] == "compile_memory_bytes"
    await forking.close()


async def test_cancelling_ends_the_process_that_compiles(
    compiler: ForkingCompiler, vocabulary: Vocabulary
) -> None:
    compiling = asyncio.create_task(compiler.compile(slow(vocabulary), seconds=60))
    fork = compiler._idle[-1]
    await asyncio.sleep(0)
    assert compiler._idle == []
    compiling.cancel()
    await asyncio.wait({compiling})
    async with asyncio.timeout(10):
        assert await fork.reader.read() == b""
    await compiler.compile(canonical(vocabulary, JsonSchema("{}")), seconds=30)


async def test_cancelling_while_a_process_is_forked_keeps_nothing_open(
    compiler: ForkingCompiler, vocabulary: Vocabulary
) -> None:
    grammar = canonical(vocabulary, JsonSchema('{"type": "null"}'))
    for turns in range(12):
        works = [asyncio.create_task(compiler.compile(grammar, seconds=2)) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        gc.collect()  # what was left open would warn, and a warning fails the test


async def test_compiles_run_side_by_side(compiler: ForkingCompiler, vocabulary: Vocabulary) -> None:
    grammars = [canonical(vocabulary, JsonSchema(f'{{"const":{n}}}')) for n in range(6)]
    compiled = await asyncio.gather(*(compiler.compile(g, seconds=30) for g in grammars))
    indexes = [Index.load(one.data, vocabulary) for one in compiled]
    for place, index in enumerate(indexes):
        assert [n for n in range(6) if accepts(index, str(n))] == [place]


async def test_a_killed_host_is_started_again(
    compiler: ForkingCompiler, vocabulary: Vocabulary
) -> None:
    host = compiler._host._process
    assert host is not None
    os.kill(host.pid, signal.SIGKILL)
    for fork in compiler._idle:
        fork.end()
    grammar = canonical(vocabulary, JsonSchema("{}"))
    async with asyncio.timeout(60):
        while True:
            try:
                await compiler.compile(grammar, seconds=30)
            except (ServiceUnavailableError, CompileBudgetError):
                await asyncio.sleep(0.05)
            else:
                break
    assert compiler._host._process is not host


async def test_another_fingerprint_than_the_tables_is_refused(vocabulary: Vocabulary) -> None:
    forking = ForkingCompiler({MODEL: "0" * 64}, CONFIG, SystemClock())
    with pytest.raises(
        ConfigError, match=f"{vocabulary.fingerprint}, tokenizer_fingerprint says 0"
    ):
        await forking.start()
    await forking.close()


async def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    forking = ForkingCompiler({tmp_path: "0" * 64}, CONFIG, SystemClock())
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        await forking.start()
    await forking.close()
