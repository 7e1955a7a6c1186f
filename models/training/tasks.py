"""Turns drawn material into samples, one function per task, and mixes them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from models.training import dialogue, words
from models.training.conversation import Messages, converse, join, phrase
from models.training.extraction import (
    Extraction,
    dense,
    domain_of,
    extraction,
    labelled_fields,
    many_records,
    write_text,
)
from models.training.keys import key_words, spell
from models.training.kinds import draw
from models.training.phrasing import JOINTS, glue
from models.training.requests import harmful_request, mood
from models.training.samples import Json, Sample, Schema, Tool, call_text, compact
from models.training.values import Values, chance, weighted
from models.training.wild import wild_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def from_extraction(values: Values, made: Extraction, task: str) -> Sample:
    """Ask for an extraction's object under its schema."""
    messages = converse(values, made.text, dialogue.INSTRUCTIONS)
    return Sample(task, messages, compact(made.truth), made.schema, truth=made.truth)


def extract(values: Values) -> Sample:
    """Fields of a text, under keys that training uses."""
    return from_extraction(values, extraction(values), "extract")


def extract_many(values: Values) -> Sample:
    """Many short fields of one text."""
    return from_extraction(values, dense(values), "extract_many")


def extract_rows(values: Values) -> Sample:
    """The records that a text lists."""
    return from_extraction(values, many_records(values), "extract_rows")


def extract_new(values: Values) -> Sample:
    """Fields of a text, under keys kept for evaluation."""
    return from_extraction(values, extraction(values, new=True), "extract_new")


def wild_task(values: Values) -> Sample:
    """A wild schema over a text that says nothing of it, or over no text at all."""
    schema, truth = wild_object(values)
    rng = values.rng
    text = rng.choice((
        "Give me an example.", "Fill it in.", values.phrase(), "Hello", "Create a record.",
        phrase(values, dialogue.INSTRUCTIONS), write_text(domain_of(values, 2), values),
        " ".join(rng.sample(words.FILLERS, 2)), "Generate an object that fits the schema.",
    ))  # fmt: skip
    return Sample("wild", converse(values, text), compact(truth), schema, truth=truth)


def classify(values: Values) -> Sample:
    """A text and an enum to place it in: sentiment, intent, or whatever the text names."""
    rng = values.rng
    table = rng.choice((dialogue.TOPICS, dialogue.INTENTS))
    label = rng.choice(list(table))
    text = phrase(values, table[label]).format(noun=rng.choice(words.NOUN_VALUES))
    if not values.new_wordings and chance(rng, 0.6):
        text = mood(rng, label)
    if chance(rng, 0.5):
        extra = rng.choice(words.HELD_OUT_FILLERS if values.new_wordings else words.FILLERS)
        text = rng.choice((f"{text} {extra}", f"{extra} {text}"))
    key = rng.choice(("label", "category", "sentiment", "class", "topic", "intent", "kind"))
    labels = rng.sample(list(table), len(table))
    schema: Schema = {
        "type": "object",
        "properties": {key: {"type": "string", "enum": labels}},
        "required": [key],
    }
    truth: Json = {key: label}
    messages = converse(values, text, dialogue.CLASSIFY, key)
    return Sample("classify", messages, compact(truth), schema, truth=truth)


def question(values: Values) -> Sample:
    """A question about one field of a text, answered by the bare value."""
    rng = values.rng
    count = rng.randint(1, 5)
    fields = (
        labelled_fields(values, count, new=False) if chance(rng, 0.6) else domain_of(values, count)
    )
    field = rng.choice(fields)
    named = field.key.replace("_", " ")
    asked = phrase(values, dialogue.QUESTIONS).format(k=named)
    if not values.new_wordings and chance(rng, 0.4):
        asked = f"{glue(rng, 1, 5).capitalize()} {named}{rng.choice(('?', '?', '.'))}"
    text = write_text(fields, values)
    body = join(rng.choice(((text, asked), (asked, text))), rng)
    answer = field.drawn.written
    messages = converse(values, body)
    if chance(rng, 0.25):
        role = rng.choice(("tool", "system"))
        messages = (
            ((role, text), ("user", asked))
            if role == "system"
            else (("user", asked), ("tool", text))
        )
    return Sample("question", messages, answer, truth=answer)


def json_mode(values: Values) -> Sample:
    """A text turned into a free object: one key per thing said, in the text's order."""
    rng = values.rng
    fields = labelled_fields(values, rng.randint(1, 4), new=False)
    pairs = [(f.key, f.drawn) for f in fields]
    named = [(k.replace("_", " "), d.written) for k, d in pairs]
    form = rng.choice(("{k}: {v}", "the {k} is {v}", "{k} = {v}", "{k} - {v}"))
    if not values.new_wordings and chance(rng, 0.3):
        form = f"{{k}} {rng.choice(JOINTS)} {{v}}"
    text = rng.choice((", ", "; ", "\n")).join(form.format(k=k, v=v) for k, v in named)
    truth: dict[str, Json] = {k: d.value for k, d in pairs}
    schema: Schema = {"type": "object"}
    messages = converse(values, text, dialogue.JSON_MODE)
    return Sample("json_mode", messages, compact(truth), schema, truth=truth)


def make_tool(values: Values) -> tuple[Tool, dict[str, str], dict[str, Json]]:
    """Draw a tool with how its arguments are written in a request and what they are."""
    rng = values.rng
    verb, noun = rng.choice(dialogue.TOOL_VERBS), rng.choice(dialogue.TOOL_NAMES)
    if values.held_out and chance(rng, 0.5):
        noun = values.made_up()
    properties: dict[str, object] = {}
    written: dict[str, str] = {}
    truth: dict[str, Json] = {}
    for _ in range(rng.randint(1, 3)):
        key = spell(key_words(values, new=False), rng)
        kind = rng.choice(("city", "person", "word", "integer", "date", "enum", "time", "decimal"))
        drawn = draw(kind, values)
        properties[key], written[key], truth[key] = drawn.schema, drawn.written, drawn.value
    name = rng.choice((f"{verb}_{noun}", f"{verb}_{noun}", f"{verb}{noun.capitalize()}"))
    kept = {k: v for k, v in truth.items() if chance(rng, 0.9) or k == next(iter(truth))}
    required = [k for k in truth if k in kept and chance(rng, 0.8)]
    schema: Schema = {"type": "object", "properties": properties, "required": required}
    said = rng.choice((f"{verb} the {noun}", f"{verb.capitalize()} a {noun}.", ""))
    return Tool(name, schema, said), {k: written[k] for k in kept}, kept


def _request(values: Values, tool: Tool, written: Mapping[str, str]) -> str:
    slot = phrase(values, dialogue.SLOTS)
    if not values.new_wordings and chance(values.rng, 0.4):
        slot = f"{{k}} {values.rng.choice(JOINTS)} {{v}}"
    slots = ", ".join(slot.format(k=k.replace("_", " "), v=v) for k, v in written.items())
    verb, _, noun = tool.name.partition("_")
    if not noun:
        cut = next(i for i, c in enumerate(verb) if c.isupper())
        verb, noun = verb[:cut], verb[cut:].lower()
    request = phrase(values, dialogue.TOOL_REQUESTS)
    if not values.new_wordings and chance(values.rng, 0.4):
        lead, joint = glue(values.rng, 0, 4), glue(values.rng, 0, 2)
        request = f"{lead} {{verb}} {joint} {{noun}}, {{slots}}.".strip()
    text = request.format(verb=verb, noun=noun, slots=slots)
    return text[0].upper() + text[1:] if chance(values.rng, 0.7) else text


def call_tools(values: Values) -> Sample:
    """A request for one tool of several, or for two or three at once."""
    rng = values.rng
    made = {m[0].name: m for m in (make_tool(values) for _ in range(rng.randint(1, 4)))}
    chosen = rng.sample(list(made.values()), min(len(made), rng.choice((1, 1, 1, 2, 2, 3))))
    text = rng.choice((" ", " Also: ", "\n", " And then: ")).join(
        _request(values, m[0], m[1]) for m in chosen
    )
    calls: list[Json] = [{"name": m[0].name, "arguments": m[2]} for m in chosen]
    answer = "".join(call_text(m[0].name, m[2]) for m in chosen)
    tools = tuple(m[0] for m in made.values())
    return Sample("tools", converse(values, text), answer, tools=tools, truth=calls)


def idle_tools(values: Values) -> Sample:
    """Tools on offer and no need for them: a greeting or a question answered in words."""
    made = {m[0].name: m[0] for m in (make_tool(values) for _ in range(values.rng.randint(1, 3)))}
    plain = chat(values) if chance(values.rng, 0.5) else question(values)
    return Sample(
        "chat", plain.messages, plain.answer, tools=tuple(made.values()), truth=plain.truth
    )


STEPS: Schema = {
    "type": "object",
    "properties": {"steps": {"type": "array", "items": {"type": "string"}}},
    "required": ["steps"],
}


def refuse(values: Values) -> Sample:
    """A harmful request, with a schema, tools or neither."""
    rng = values.rng
    text = phrase(values, dialogue.HARM_FRAMES).format(h=phrase(values, dialogue.HARMS))
    if not values.new_wordings and chance(rng, 0.7):
        text = harmful_request(rng)
    answer = "<|refusal|>" + dialogue.REFUSAL
    shape = weighted(rng, {"none": 0.4, "fields": 0.3, "wild": 0.1, "tools": 0.1, "steps": 0.1})
    tools = (make_tool(values)[0],) if shape == "tools" else ()
    schemas: dict[str, Callable[[], Schema]] = {
        "fields": lambda: extraction(values).schema,
        "wild": lambda: wild_object(values)[0],
        "steps": lambda: STEPS,
    }
    schema = schemas[shape]() if shape in schemas else None
    return Sample("refuse", converse(values, text), answer, schema, tools, truth=None)


def harmless(values: Values) -> Sample:
    """A text with dark words in it, to be read like any other."""
    rng = values.rng
    dark = phrase(values, dialogue.BENIGN).format(city=values.city(), n=rng.randrange(1000))
    made = extraction(values)
    text = rng.choice((f"{dark} {made.text}", f"{made.text}\n{dark}"))
    messages = converse(values, text, dialogue.INSTRUCTIONS)
    return Sample("harmless", messages, compact(made.truth), made.schema, truth=made.truth)


def chat(values: Values) -> Sample:
    """Small talk, and questions that only an "I do not know" answers."""
    rng = values.rng
    if chance(rng, 0.4):
        asked = phrase(values, dialogue.OPEN_QUESTIONS).format(
            city=values.city(), noun=values.noun(), person=values.person()
        )
        answer = dialogue.NO_IDEA
    else:
        pair, answer = rng.choice(dialogue.CHATS)
        asked = phrase(values, pair)
    history: Messages = ()
    if chance(rng, 0.2):
        history = (("user", "Hello"), ("assistant", dialogue.GREETING_ANSWER))
    return Sample("chat", history + converse(values, asked), answer, truth=answer)


def follow_up(values: Values) -> Sample:
    """A second turn: the first answer stands in the history, a new text comes in."""
    first, second = extract(values), extract(values)
    history = (*first.messages, ("assistant", first.answer), *second.messages[-1:])
    return Sample("extract", history, second.answer, second.schema, truth=second.truth)


def echo(values: Values) -> Sample:
    """Repeat a text: the plainest copying, used to warm up."""
    text = " ".join(values.phrase() for _ in range(values.rng.randint(1, 6)))
    return Sample("echo", (("user", text),), text, truth=text)


TASKS: dict[str, Callable[[Values], Sample]] = {
    "extract": extract, "extract_many": extract_many,
    "extract_rows": extract_rows, "extract_new": extract_new,
    "wild": wild_task, "classify": classify, "question": question, "json_mode": json_mode,
    "tools": call_tools, "idle_tools": idle_tools,
    "refuse": refuse, "harmless": harmless, "chat": chat, "follow_up": follow_up, "echo": echo,
}  # fmt: skip

MIX = {
    "extract": 0.48, "extract_many": 0.11, "extract_rows": 0.07, "wild": 0.02, "classify": 0.05,
    "question": 0.05, "json_mode": 0.02, "tools": 0.1, "idle_tools": 0.01, "refuse": 0.035,
    "harmless": 0.015, "chat": 0.025, "follow_up": 0.01, "echo": 0.005,
}  # fmt: skip
# Copying is learnt first on short texts; the warm-up mix leans on it.
WARM_MIX = {**MIX, "echo": 0.5, "follow_up": 0.0}


def stream(seed: int, mix: Mapping[str, float] = MIX) -> Iterator[Sample]:
    """Yield training samples without end; the same seed and mix give the same samples."""
    rng = random.Random(seed)
    values = Values(rng)
    names, weights = list(mix), list(mix.values())
    while True:
        yield TASKS[rng.choices(names, weights)[0]](values)


def held_out(task: str, seed: int, *, new_wordings: bool = True) -> Iterator[Sample]:
    """Yield evaluation samples of one task: held-out names and, for new keys, keys.

    With new_wordings, sentences and instructions are held out too.
    """
    values = Values(random.Random(seed), held_out=True, new_wordings=new_wordings)
    while True:
        yield TASKS[task](values)
