"""Compares an answer with the truth: fields, labels, calls, text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import jsonschema_rs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from models.training.samples import Json, Sample

MISSING = object()
KEPT_WRONG = 400


@dataclass
class Score:
    """Counts of one task; every share is of what its name says."""

    answers: int = 0
    ended: int = 0
    structured: int = 0
    valid: int = 0
    fields: int = 0
    right_fields: int = 0
    exact: int = 0
    refused: int = 0
    right_names: int = 0
    calls: int = 0
    wrong: list[tuple[Sample, str]] = field(default_factory=list)


def leaves(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Yield (path, value) of every leaf; a list of plain values is one leaf."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from leaves(child, f"{path}/{key}")
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}/{index}")
    else:
        yield path, value


def parse(text: str) -> object:
    """Return the JSON value of a text, or MISSING."""
    try:
        parsed: object = json.loads(text)
    except ValueError:
        return MISSING
    return parsed


def parse_calls(text: str) -> list[tuple[str, object]]:
    """Return the (name, arguments) of every call in an answer."""
    calls = []
    for part in text.split("<|call|>")[1:]:
        name, _, arguments = part.partition("<|args|>")
        calls.append((name, parse(arguments)))
    return calls


def fits(value: object, schema: Mapping[str, object]) -> bool:
    """Tell whether a value is there and valid, formats included."""
    return value is not MISSING and jsonschema_rs.is_valid(
        dict(schema), value, validate_formats=True
    )


def score(total: Score, sample: Sample, answer: str, *, ended: bool) -> None:
    """Count one answer (its text without the end token) in."""
    total.answers += 1
    total.ended += ended
    refused = answer.startswith("<|refusal|>")
    total.refused += refused
    if sample.answer.startswith("<|refusal|>"):
        total.exact += refused
    elif sample.tools and isinstance(sample.truth, list):
        _score_calls(total, sample, answer)
    elif sample.schema is not None:
        _score_object(total, sample, answer, ended=ended)
    else:
        total.exact += answer == sample.truth
    if len(total.wrong) < KEPT_WRONG and answer != sample.answer:
        total.wrong.append((sample, answer))


def _score_object(total: Score, sample: Sample, answer: str, *, ended: bool) -> None:
    value = parse(answer)
    if ended and not answer.startswith("<|refusal|>"):
        total.structured += 1
        total.valid += sample.schema is not None and fits(value, sample.schema)
    found = dict(leaves(value)) if value is not MISSING else {}  # type: ignore[arg-type]  # parsed JSON
    wanted = dict(leaves(sample.truth))
    total.fields += len(wanted)
    total.right_fields += sum(same(v, found.get(path, MISSING)) for path, v in wanted.items())
    total.exact += same(sample.truth, value)


def _score_calls(total: Score, sample: Sample, answer: str) -> None:
    assert isinstance(sample.truth, list)  # noqa: S101 - the caller looked
    found = parse_calls(answer)
    wanted = [(str(c["name"]), c["arguments"]) for c in sample.truth if isinstance(c, dict)]
    parameters = {tool.name: tool.parameters for tool in sample.tools}
    total.structured += 1
    total.valid += all(name in parameters and fits(args, parameters[name]) for name, args in found)
    total.calls += len(wanted)
    for index, (name, arguments) in enumerate(wanted):
        got = found[index] if index < len(found) else ("", MISSING)
        total.right_names += got[0] == name
        there = dict(leaves(got[1])) if got[1] is not MISSING else {}  # type: ignore[arg-type]  # parsed JSON
        total.fields += len(dict(leaves(arguments)))
        total.right_fields += sum(same(v, there.get(p, MISSING)) for p, v in leaves(arguments))
    total.exact += [n for n, _ in found] == [n for n, _ in wanted] and all(
        same(w[1], f[1]) for w, f in zip(wanted, found, strict=True)
    )


def same(wanted: object, got: object) -> bool:
    """Compare as JSON does: 1 equals 1.0, and true is no number."""
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    return wanted == got
