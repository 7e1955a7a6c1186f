"""Schemas that refer to the schemas of JSON Schema itself, which the engine knows."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from formwork_engine import (
    Budget,
    IndexOptions,
    JsonSchema,
    PropertyOrder,
    UnsupportedError,
    Vocabulary,
    compile_index,
)
from formwork_engine.testing import accepts, walk
from jsonschema_rs import validator_for
from jsonschema_specifications import REGISTRY

SchemaOf = Callable[[str], dict[str, Any]]

ANY_ORDER = IndexOptions(property_order=PropertyOrder.ANY)
DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_6 = "http://json-schema.org/draft-06/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DRAFT_2019 = "https://json-schema.org/draft/2019-09/schema"
DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema"
DRAFTS = [DRAFT_4, DRAFT_6, DRAFT_7, DRAFT_2019, DRAFT_2020]

KEYWORDS: dict[str, list[Any]] = {
    "type": ["string", "text", ["integer", "null"], ["null", "null"], []],
    "properties": [{"a": {}}, {"a": {"type": "x"}}, {"a": True}, {"a": {"items": {}}}, []],
    "items": [{}, [{}], [], True, {"minLength": -1}, {"not": {"pattern": "["}}],
    "prefixItems": [[{}], []],
    "additionalProperties": [False, {}, {"enum": 1}],
    "required": [[], ["a"], ["a", "a"], "a"],
    "minLength": [0, -1, 1.5, "1"],
    "multipleOf": [2, 0],
    "exclusiveMaximum": [True, 3],
    "maximum": [3],
    "pattern": ["^a+$", "["],
    "$ref": ["#/a", "a b", 1],
    "$id": ["http://a.test/b", "http://a.test/b#c", 1],
    "id": ["x", 1],
    "$anchor": ["a", "1"],
    "$defs": [{"a": {"type": "x"}}, {"a": {}}],
    "definitions": [{"a": {"type": "x"}}, {"a": {"const": 1}}],
    "dependencies": [{"a": ["b"]}, {"a": []}, {"a": {}}, {"a": True}, {"a": 1}],
    "dependentRequired": [{"a": ["b"]}, {"a": {}}],
    "patternProperties": [{"^a": {}}, {"[": {}}, {"a": 1}],
    "propertyNames": [{}, 1],
    "enum": [[1], 1],
    "const": [1, None],
    "contains": [{}, 1],
    "if": [{}, 1],
    "writeOnly": [True, 1],
    "unevaluatedProperties": [False, 1],
    "contentMediaType": ["text/plain", 1],
    "x-other": [1],
}


def an_instance(dice: random.Random) -> dict[str, Any]:
    """Return what may be a schema, or not quite."""
    chosen = dice.sample(sorted(KEYWORDS), dice.randrange(4))
    return {keyword: dice.choice(KEYWORDS[keyword]) for keyword in chosen}


def held_by_a_property(draft: str) -> dict[str, Any]:
    properties = {"name": {"type": "string"}, "schema": {"$ref": draft}}
    required = ["schema"]
    return {"$schema": draft, "type": "object", "properties": properties, "required": required}


def held_where_no_keyword_is(draft: str) -> dict[str, Any]:
    held = {"components": {"schemas": {"one": {"$ref": draft}}}}
    return {
        "$schema": draft,
        **held,
        "properties": {"schema": {"$ref": "#/components/schemas/one"}},
    }


def listed(draft: str) -> dict[str, Any]:
    items = {"type": "array", "items": {"$ref": draft}, "maxItems": 2}
    return {"$schema": draft, "type": "object", "additionalProperties": items}


def wrapped(schema: dict[str, Any], instance: Any) -> Any:  # noqa: ANN401 - JSON
    return {"schema": [instance] if "additionalProperties" in schema else instance}


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("schema_of", [held_by_a_property, held_where_no_keyword_is, listed])
def test_what_is_accepted_is_what_is_valid(
    vocabulary: Vocabulary, schema_of: SchemaOf, draft: str
) -> None:
    schema, dice = schema_of(draft), random.Random(1)
    index = compile_index(JsonSchema(json.dumps(schema)), vocabulary, ANY_ORDER)
    validator = validator_for(schema, validate_formats=True)
    verdicts = set()
    for instance in [*(an_instance(dice) for _ in range(150)), True, 1, "a", {"not": False}]:
        whole = wrapped(schema, instance)
        is_valid = validator.is_valid(whole)
        verdicts.add(is_valid)
        text = json.dumps(whole, separators=(",", ":"))
        assert accepts(index, text) == is_valid, text
    assert verdicts == {True, False}


@pytest.mark.parametrize("draft", DRAFTS)
def test_whatever_is_written_by_the_masks_is_valid(vocabulary: Vocabulary, draft: str) -> None:
    schema = held_by_a_property(draft)
    index = compile_index(JsonSchema(json.dumps(schema)), vocabulary)
    validator = validator_for(schema, validate_formats=True)
    walks = [walk(index, random.Random(seed)) for seed in range(40)]
    whole = [one.text for one in walks if one.is_whole]
    assert whole
    assert [text for text in whole if not validator.is_valid(json.loads(text))] == []


def test_draft_4_wants_values_in_an_enum(vocabulary: Vocabulary) -> None:
    for draft in DRAFTS:  # the validator of the other tests is laxer here than the draft
        index = compile_index(JsonSchema(json.dumps({"$ref": draft})), vocabulary)
        assert accepts(index, '{"enum":[]}') == (draft != DRAFT_4)


def test_the_engine_knows_every_document_that_its_drafts_have(vocabulary: Vocabulary) -> None:
    documents = {uri for uri in REGISTRY if "draft-03" not in uri}
    assert len(documents) == len(DRAFTS) + 14  # with their vocabularies
    for uri in documents:
        index = compile_index(JsonSchema(json.dumps({"$ref": uri})), vocabulary)
        assert accepts(index, "{}")


STRICT = {
    "$id": "https://example.test/strict",
    "$dynamicAnchor": "meta",
    "$ref": DRAFT_2020,
    "unevaluatedProperties": False,
}
NOTED = {
    "$schema": DRAFT_2019,
    "$id": "https://example.test/noted",
    "$recursiveAnchor": True,
    "$ref": DRAFT_2019,
    "properties": {"x-note": {"type": "string"}},
}


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        (STRICT, {"items": {"type": "null"}}, {"items": {"x-note": 1}}),
        (NOTED, {"items": {"x-note": "a"}}, {"items": {"x-note": 1}}),
        (
            {"$ref": "https://json-schema.org/draft/2020-12/meta/validation"},
            {"minLength": 1, "items": 1},
            {"minLength": -1},
        ),
        (
            {"$schema": DRAFT_7, "items": {"$ref": f"{DRAFT_7}/definitions/stringArray"}},
            [["a"]],
            [["a", "a"]],
        ),
    ],
)
def test_dynamic_references_and_parts_of_them_mean_what_they_should(
    vocabulary: Vocabulary, schema: dict[str, Any], valid: object, invalid: object
) -> None:
    index = compile_index(JsonSchema(json.dumps(schema)), vocabulary, ANY_ORDER)
    validator = validator_for(schema)
    for instance, is_valid in ((valid, True), (invalid, False)):
        assert validator.is_valid(instance) == is_valid
        assert accepts(index, json.dumps(instance, separators=(",", ":"))) == is_valid


def test_what_a_caller_gives_under_the_uri_comes_first(vocabulary: Vocabulary) -> None:
    given = ((DRAFT_7.rstrip("#"), '{"type":"null"}'),)
    options = IndexOptions(remotes=given)
    index = compile_index(JsonSchema(json.dumps({"$ref": DRAFT_7})), vocabulary, options)
    assert accepts(index, "null")
    assert not accepts(index, "{}")


@pytest.mark.parametrize(
    "reference",
    [
        "http://json-schema.org/draft-03/schema#",
        "https://json-schema.org/draft-07/schema",  # with another scheme it is another URI
        "http://json-schema.org/draft-07/schema#/definitions/none",
        "https://json-schema.org/draft/2020-12/meta/none",
    ],
)
def test_what_is_no_part_of_a_draft_is_refused(vocabulary: Vocabulary, reference: str) -> None:
    schema = {"properties": {"a": {"$ref": reference}}}
    with pytest.raises(UnsupportedError, match="nothing is known under") as refused:
        compile_index(JsonSchema(json.dumps(schema)), vocabulary)
    assert (refused.value.pointer, refused.value.keyword) == ("/properties/a", "$ref")


def test_a_metaschema_that_many_resources_refer_to_is_read_once(vocabulary: Vocabulary) -> None:
    schemas = {
        f"p{number}": {"$id": f"https://example.test/{number}", "$ref": DRAFT_2020}
        for number in range(500)
    }
    budget = Budget(compile_fuel=20_000)
    text = JsonSchema(json.dumps({"properties": schemas}))
    index = compile_index(text, vocabulary, budget=budget)
    assert accepts(index, '{"p0":{"type":"string"},"p499":{}}')
    assert not accepts(index, '{"p499":{"type":"text"}}')
