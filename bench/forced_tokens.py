"""Forced tokens beside the tokenisation of whole texts, and beside llguidance's.

    python bench/forced_tokens.py HARNESS [--sample 300] [--seed 1]

HARNESS is the folder of the engines' benchmark harness, whose schemas, instances and vocabulary are
taken; its packages have to be installed. Each valid instance is written compactly, tokenised as a
whole, and walked. At every place a forced token either is the text's next token or it is counted
as non-canonical, of which there must be none. `--llguidance` counts its forced tokens in the same
way, as it would append them.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from formwork_engine import EngineError, JsonSchema, Vocabulary, compile_index
from formwork_engine.tokenisation import Tokenisation


@dataclass
class Count:
    """What was met on the way through some texts."""

    texts: int = 0
    steps: int = 0
    forced: int = 0
    wrong: int = 0
    runs: int = 0
    seconds: float = 0.0
    examples: list[str] = field(default_factory=list)

    def show(self, name: str) -> None:
        """Print it."""
        share = self.forced / max(self.steps, 1)
        forwards = self.steps - self.forced
        print(
            f"{name}: {self.texts} texts, {self.steps} tokens, {self.forced} forced"
            f" ({share:.1%}) in {self.runs} runs, {forwards} forwards;"
            f" {self.wrong} non-canonical; {self.seconds / max(self.steps, 1) * 1e6:.2f} us a token"
        )
        for example in self.examples[:5]:
            print(f"  {example}")


def walk(cursor: Any, tokens: list[int], vocabulary: Vocabulary, count: Count) -> bool:  # noqa: ANN401
    """Walk a text as a sampler would that writes it; tell whether all of it was allowed."""
    place = 0
    count.texts += 1
    while place < len(tokens):
        start = time.perf_counter()
        forced = cursor.forced()
        count.seconds += time.perf_counter() - start
        count.runs += bool(forced)
        expected = tokens[place : place + len(forced)]
        if list(forced) != expected:
            count.wrong += sum(a != b for a, b in zip(forced, expected, strict=False)) or 1
            said = (vocabulary.decode(ids) for ids in (tokens[:place], forced, expected))
            count.examples.append("{!r} then {!r}, not {!r}".format(*said))
            return False
        for token in forced or tokens[place : place + 1]:
            try:
                cursor.advance(token)
            except EngineError:
                return False
        count.forced += len(forced)
        count.steps += len(forced) or 1
        place += len(forced) or 1
    return bool(cursor.may_end)


class PeerCursor:
    """A cursor over llguidance's matcher."""

    def __init__(self, matcher: Any, allows: Any) -> None:  # noqa: ANN401 - the peer's
        self.matcher, self.allows = matcher, allows

    def forced(self) -> tuple[int, ...]:
        """Return the tokens that the peer would append."""
        return tuple(self.matcher.compute_ff_tokens())

    def advance(self, token: int) -> None:
        """Take a token."""
        if not self.matcher.consume_token(token):
            raise EngineError("not allowed")

    @property
    def may_end(self) -> bool:
        """Whether the text may end here."""
        return bool(self.matcher.is_accepting())


def peer_of(tok: Any) -> Any:  # noqa: ANN401 - a module of the harness
    """Return a function from a schema to the peer's cursor."""
    import llguidance  # noqa: PLC0415 - only where it is asked for

    class Tokens:
        """What the peer asks of a tokenizer."""

        eos_token_id, bos_token_id = tok.EOS, tok.BOS
        tokens = tok.token_bytes(b"\xff<SPECIAL_%d>")
        special_token_ids = tuple(range(tok.SPECIALS))

        def __call__(self, text: str | bytes) -> list[int]:
            return list(tok.encode_bytes(text) if isinstance(text, bytes) else tok.encode(text))

    tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Tokens()))

    def cursor(schema: Any) -> PeerCursor:  # noqa: ANN401 - any JSON
        options = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
        grammar = llguidance.LLMatcher.grammar_from_json_schema(
            json.dumps({**schema, "x-guidance": options})
        )
        matcher = llguidance.LLMatcher(tokenizer, grammar)
        if matcher.is_error():
            raise EngineError(matcher.get_error())
        return PeerCursor(matcher, tok)

    return cursor


def texts_of(harness: Any, sample: int, seed: int) -> Iterator[tuple[Any, str]]:  # noqa: ANN401
    """Yield schemas with the text of an instance of theirs, keys in the schema's order."""
    for record in harness.sample(harness.load_records("dev", "maskbench"), sample, seed):
        for test in record["tests"]:
            if test["valid"]:
                value = harness.schema_order(record["schema"], test["data"])
                text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
                if text.isprintable():
                    yield record["schema"], text


def main() -> None:
    """Count, and fail where a forced token is not the tokenizer's."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("harness", type=Path)
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--llguidance", action="store_true")
    given = parser.parse_args()
    sys.path.insert(0, str(given.harness.resolve()))
    import maskbench  # noqa: PLC0415 - of the folder that was named
    import tok  # noqa: PLC0415

    tokens = tok.token_bytes(b"")
    pattern, _ranks = tok.load()
    vocabulary = Vocabulary(
        tokens,
        special_ids=range(tok.SPECIALS),
        end_ids=[tok.EOS],
        tokenisation=Tokenisation.of_ranks(tokens, pattern),
    )
    counts = {"formwork": (lambda s: compile_index(JsonSchema(json.dumps(s)), vocabulary).cursor())}
    if given.llguidance:
        counts["llguidance"] = peer_of(tok)
    totals = {name: Count() for name in counts}
    left_out = 0
    for schema, text in texts_of(maskbench, given.sample, given.seed):
        ids = tok.encode(text)
        for name, make in counts.items():
            try:
                cursor = make(schema)
            except EngineError:
                left_out += 1
                continue
            left_out += not walk(cursor, ids, vocabulary, totals[name])
    for name, total in totals.items():
        total.show(name)
    print(f"{left_out} texts were not walked to their end")
    raise SystemExit(1 if totals["formwork"].wrong else 0)


if __name__ == "__main__":
    main()
