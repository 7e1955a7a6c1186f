import pytest
from formwork_engine import EngineError, JsonSchema, MalformedError, UnsupportedError

from compiler_service.refusals import as_refusal


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            MalformedError("not the name of a type", pointer="/properties/a", keyword="type"),
            "In context=('properties', 'a'), 'type': not the name of a type.",
        ),
        (
            UnsupportedError("/items", "pattern", "a backreference at 7"),
            "In context=('items',), 'pattern': a backreference at 7.",
        ),
        (
            UnsupportedError("", "schema", "allows no value"),
            "In context=(), 'schema': allows no value.",
        ),
        (
            MalformedError("a schema is an object or a boolean"),
            "In context=(), a schema is an object or a boolean.",
        ),
    ],
)
def test_a_refusal_names_the_place_the_keyword_and_the_reason(
    error: EngineError, message: str
) -> None:
    assert str(as_refusal(error, JsonSchema("{}"))) == message
