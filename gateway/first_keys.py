"""Which keys an object under a JSON Schema may begin with, as far as that is plain to see.

Keys come in the order of `properties`, undeclared ones behind them; within a choice any branch's
order may be the one they come in, as branches that begin alike are written as one. Whatever a
schema says that is not looked at here leaves the answer open.
"""

from collections.abc import Mapping, Sequence

_ANNOTATIONS = frozenset(
    (
        "$comment",
        "$defs",
        "$schema",
        "default",
        "definitions",
        "deprecated",
        "description",
        "examples",
        "readOnly",
        "title",
        "writeOnly",
    )
)
"""What says nothing of a text."""
_OF_OBJECTS = frozenset(("properties", "required", "additionalProperties", "patternProperties"))
_MOST_STEPS = 64
"""References and choices that are followed."""


def may_begin_with(schema: object, keys: Sequence[str]) -> bool:
    """Return whether a text under a schema may be an object with these keys first.

    Args:
        schema: A JSON Schema.
        keys: Different ones, in their order.

    Returns:
        False only where it is certain.
    """
    return _Search(schema, keys).may_begin(schema)


class _Search:
    def __init__(self, root: object, keys: Sequence[str]) -> None:
        self._root = root
        self._keys = keys
        self._steps = 0

    def may_begin(self, schema: object, *, in_choice: bool = False) -> bool:
        """Return whether a text under one of the schema's parts may.

        Args:
            schema: The part.
            in_choice: Whether it is a branch, or a part of one.
        """
        self._steps += 1
        if self._steps > _MOST_STEPS or not isinstance(schema, Mapping):
            return schema is not False
        said = {name: told for name, told in schema.items() if name not in _ANNOTATIONS}
        if "$ref" in said:
            told = said["$ref"]
            is_alone = len(said) == 1 and isinstance(told, str)
            return not is_alone or self.may_begin(self._resolve(str(told)), in_choice=in_choice)
        if not _allows_object(said.pop("type", None)):
            return False
        if not said.keys() <= _OF_OBJECTS:
            return self._may_one(said)
        return self._may_come(said) if in_choice else self._may_come_in_order(said)

    def _may_one(self, said: Mapping[str, object]) -> bool:
        """Look into values and branches, where these alone tell the keys."""
        (name, told), *others = said.items()
        if others:
            return True
        if name == "const":
            return self._is_like(told)
        if isinstance(told, list) and name == "enum":
            return any(map(self._is_like, told))
        if isinstance(told, list) and name in ("anyOf", "oneOf"):
            return any(self.may_begin(branch, in_choice=True) for branch in told)
        return True

    def _resolve(self, reference: str) -> object:
        """Return what a reference to a definition names; True, which is anything, where not."""
        first, *path = reference.split("/")
        found = self._root if first == "#" else True
        for name in path:
            if "~" in name or "%" in name or not isinstance(found, Mapping):
                return True
            found = found.get(name, True)
        return found

    def _may_come(self, schema: Mapping[str, object]) -> bool:
        properties = schema.get("properties", {})
        if not isinstance(properties, Mapping) or not _is_closed(schema):
            return True
        return set(self._keys) <= properties.keys()

    def _may_come_in_order(self, schema: Mapping[str, object]) -> bool:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list):
            return True
        left = list(properties)
        for key in self._keys:
            if key not in left:
                # a declared key behind those that follow it, or an undeclared one
                is_declared = key in properties
                return not (is_declared or _is_closed(schema) or set(left) & set(required))
            place = left.index(key)
            if set(left[:place]) & set(required):
                return False
            left = left[place + 1 :]
        return True

    def _is_like(self, value: object) -> bool:
        return isinstance(value, Mapping) and set(self._keys) <= value.keys()


def _allows_object(types: object) -> bool:
    if isinstance(types, list):
        return "object" in types
    return types is None or types == "object"


def _is_closed(schema: Mapping[str, object]) -> bool:
    """Return whether no key but the declared ones may come."""
    is_open = schema.get("additionalProperties", True) is not False
    return not is_open and "patternProperties" not in schema
