"""A function's parameters as a JSON Schema, and a model's arguments as the function takes them."""

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import openai
import pydantic

from formwork_client.docstrings import read_docstring

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Arguments:
    """What a function takes.

    A strict schema has no optional properties. A parameter with a default is therefore required
    but nullable in it, and a null leaves it out; a parameter whose own type has None gets the None.
    """

    model: type[pydantic.BaseModel]
    names: dict[str, str]
    """Parameter of each field: any name may be a parameter, but not each one a field."""
    nullable: frozenset[str]
    """The fields that a null leaves out."""
    strict: bool

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema that arguments fit."""
        if not self.strict:
            return self.model.model_json_schema()
        return dict(openai.pydantic_function_tool(self.model)["function"]["parameters"])

    def read(self, text: str) -> dict[str, Any]:
        """Return the keyword arguments that a model wrote as JSON.

        Raises:
            pydantic.ValidationError: They do not fit.
        """
        read = self.model.model_validate_json(text)
        return {
            name: getattr(read, field)
            for field, name in self.names.items()
            if field in read.model_fields_set and not self._leaves_out(read, field)
        }

    def _leaves_out(self, read: pydantic.BaseModel, field: str) -> bool:
        return field in self.nullable and getattr(read, field) is None


def read_arguments(function: Callable[..., object], *, strict: bool) -> Arguments:
    """Return what a function takes, by its type hints and its docstring.

    Raises:
        TypeError: A parameter has no type hint, or cannot be given by name.
    """
    name = getattr(function, "__name__", type(function).__name__)
    hints = typing.get_type_hints(function, include_extras=True)
    described = read_docstring(function.__doc__).parameters
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    nullable: set[str] = set()
    for number, parameter in enumerate(inspect.signature(function).parameters.values()):
        _check(name, parameter, hints)
        field = f"argument_{number}"
        names[field] = parameter.name
        kind = hints[parameter.name]
        if strict and parameter.default is not parameter.empty and not _takes_none(kind):
            nullable.add(field)
            kind = kind | None
        about = described.get(parameter.name)
        default = ... if strict or parameter.default is parameter.empty else parameter.default
        fields[field] = (kind, pydantic.Field(default, alias=parameter.name, description=about))
    model = pydantic.create_model(name, __config__=_CONFIG, **fields)
    return Arguments(model, names, frozenset(nullable), strict)


_CONFIG = pydantic.ConfigDict(extra="forbid")


def _check(name: str, parameter: inspect.Parameter, hints: dict[str, Any]) -> None:
    if parameter.kind not in _NAMED:
        raise TypeError(f"{name}: a model cannot give '{parameter}', only parameters with a name")
    if parameter.name not in hints:
        raise TypeError(
            f"{name}: parameter '{parameter.name}' has no type hint; "
            "of a method, decorate what is bound: tool(instance.method)"
        )


def _takes_none(kind: Any) -> bool:  # noqa: ANN401 - whatever stands in a type hint
    try:
        pydantic.TypeAdapter[object](kind).validate_python(None)
    except pydantic.ValidationError:
        return False
    return True
