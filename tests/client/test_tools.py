import pickle
from collections.abc import Callable
from typing import Annotated, Literal

import jsonschema_rs
import pydantic
import pytest

from formwork_client import tool


class Place(pydantic.BaseModel):
    city: str
    country: str


@tool
def forecast(
    place: Place,
    days: Annotated[int, pydantic.Field(ge=1, le=7)] = 1,
    unit: Literal["c", "f"] = "c",
) -> str:
    """Tells the weather.

    In one line.

    Args:
        place: Where; a city
            of some size.
        unit: Of the temperature.

    Returns:
        A sentence.
    """
    return f"{place.city}, {days} d, {unit}"


def test_the_docstring_describes_the_tool_and_its_parameters() -> None:
    function = forecast.param["function"]
    properties = function["parameters"]["properties"]
    assert function["name"] == "forecast"
    assert function["description"] == "Tells the weather.\n\nIn one line."
    assert properties["place"]["description"] == "Where; a city of some size."
    assert properties["unit"]["description"] == "Of the temperature."
    assert "description" not in properties["days"]


def test_the_schema_is_strict() -> None:
    function = forecast.param["function"]
    schema = function["parameters"]
    assert function["strict"] is True
    assert schema["required"] == ["place", "days", "unit"]
    assert schema["additionalProperties"] is False
    assert "default" not in str(schema)
    validator = jsonschema_rs.validator_for(schema)
    place = {"city": "Lisbon", "country": "PT"}
    assert validator.is_valid({"place": place, "days": None, "unit": "f"})
    assert not validator.is_valid({"place": place, "days": 8, "unit": "f"})
    assert not validator.is_valid({"place": place, "unit": "f"})


def test_a_null_leaves_out_what_has_a_default() -> None:
    read = forecast.read(
        '{"place": {"city": "Lisbon", "country": "PT"}, "days": null, "unit": "f"}'
    )
    assert read == {"place": Place(city="Lisbon", country="PT"), "unit": "f"}
    assert forecast(**read) == "Lisbon, 1 d, f"


def test_a_null_is_given_where_the_type_has_it() -> None:
    @tool
    def note(text: str | None = "nothing") -> str:
        return str(text)

    assert note(**note.read('{"text": null}')) == "None"


def test_a_tool_that_is_not_strict_has_optional_properties() -> None:
    @tool(strict=False)
    def roll(sides: int = 6) -> int:
        return sides

    function = roll.param["function"]
    assert function["strict"] is False
    assert function["parameters"]["properties"]["sides"]["default"] == 6
    assert "required" not in function["parameters"]
    assert roll.read("{}") == {}


def test_name_and_description_can_be_given() -> None:
    @tool(name="dice.roll", description="Rolls.")
    def roll() -> int:
        """Ignored."""
        return 4

    assert roll.param["function"]["name"] == "dice.roll"
    assert roll.param["function"]["description"] == "Rolls."


def test_any_name_may_be_a_parameter() -> None:
    @tool
    def odd(schema: str, json: int, _hidden: list[bool], model_config: str) -> tuple[object, ...]:
        return schema, json, _hidden, model_config

    text = '{"schema": "s", "json": 1, "_hidden": [true], "model_config": "m"}'
    assert list(odd.param["function"]["parameters"]["properties"]) == [
        "schema",
        "json",
        "_hidden",
        "model_config",
    ]
    assert odd(**odd.read(text)) == ("s", 1, [True], "m")


def _without_hint(word) -> None:  # noqa: ANN001 - what is tested
    pass


def _with_rest(*words: str) -> None:
    pass


def _with_position(word: str, /) -> None:
    pass


@pytest.mark.parametrize("function", [_without_hint, _with_rest, _with_position])
def test_parameters_without_a_schema_are_refused_by_name(function: Callable[..., None]) -> None:
    with pytest.raises(TypeError, match=r"_with\w+: .*word"):
        tool(function)


def test_a_bound_method_is_a_tool() -> None:
    class Counter:
        count = 0

        def add(self, number: int) -> int:
            """Adds to the count."""
            self.count += number
            return self.count

    add = tool(Counter().add)
    assert add.param["function"]["description"] == "Adds to the count."
    assert add(**add.read('{"number": 3}')) == 3


def test_a_tool_is_pickled_as_its_name() -> None:
    assert pickle.loads(pickle.dumps(abs_tool)) is abs_tool  # noqa: S301 - our own bytes


@tool
def abs_tool(number: int) -> int:
    return abs(number)
