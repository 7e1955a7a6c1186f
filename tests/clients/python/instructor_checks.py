import instructor
import openai
from checks import MESSAGES, MODEL, Person, run

ask = {
    "model": MODEL,
    "messages": MESSAGES,
    "temperature": 0,
    "response_model": Person,
    "max_retries": 0,
}


def connect(mode: instructor.Mode) -> instructor.Instructor:
    return instructor.from_openai(openai.OpenAI(max_retries=0), mode=mode)


def create() -> None:
    assert isinstance(connect(instructor.Mode.JSON_SCHEMA).create(**ask), Person)


def create_partial() -> None:
    steps = list(connect(instructor.Mode.JSON_SCHEMA).create_partial(**ask))
    assert len(steps) > 1
    Person.model_validate(steps[-1].model_dump())


def create_iterable() -> None:
    text = "List the people: Nina Okafor, 34, from Lisbon; Pedro Silva, 29, from Porto."
    several = {**ask, "messages": [{"role": "user", "content": text}], "max_tokens": 100}
    people = list(connect(instructor.Mode.JSON_SCHEMA).create_iterable(**several))
    assert people  # how many the model finds is its own affair
    assert {type(person) for person in people} == {Person}


def create_by_tool() -> None:
    assert isinstance(connect(instructor.Mode.TOOLS).create(**ask), Person)


def create_by_strict_tool() -> None:
    assert isinstance(connect(instructor.Mode.TOOLS_STRICT).create(**ask), Person)


def create_partial_by_tool() -> None:
    steps = list(connect(instructor.Mode.TOOLS).create_partial(**ask))
    assert len(steps) > 1
    Person.model_validate(steps[-1].model_dump())


run(
    "instructor",
    {
        "`create` in `Mode.JSON_SCHEMA`": create,
        "`create_partial` in `Mode.JSON_SCHEMA`": create_partial,
        "`create_iterable` in `Mode.JSON_SCHEMA`": create_iterable,
        "`create` in `Mode.TOOLS`, the default": create_by_tool,
        "`create` in `Mode.TOOLS_STRICT`": create_by_strict_tool,
        "`create_partial` in `Mode.TOOLS`": create_partial_by_tool,
    },
)
