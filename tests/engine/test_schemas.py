"""Answers along the mask are valid: many schemas, checked by an independent validator."""

import json
import random
from typing import Any

import jsonschema_rs
import pytest
from formwork_engine import Index, JsonSchema, Vocabulary, compile_index
from formwork_engine.testing import accepts, walk

SCHEMAS: dict[str, Any] = {
    "anything": {},
    "closed object": {
        "type": "object",
        "properties": {"b": {"type": "string"}, "a": {"type": "integer"}},
        "required": ["b"],
        "additionalProperties": False,
    },
    "open object": {"properties": {"a": {"type": "integer"}, 'naïve\n"': {"type": "null"}}},
    "typed rest": {"properties": {"a": {}}, "additionalProperties": {"type": "boolean"}},
    "required but undeclared": {"required": ["x", "y"], "properties": {"y": {"const": 1}}},
    "patterns and rest": {
        "type": "object",
        "patternProperties": {"^a": {"type": "integer"}, "b$": {"minimum": 5}},
        "additionalProperties": {"type": "null"},
    },
    "patterns bear on declared names": {
        "type": "object",
        "properties": {"ab": {"type": "number"}},
        "patternProperties": {"^a": {"minimum": 3}},
        "required": ["ab"],
    },
    "allOf with additionalProperties": {
        "allOf": [
            {"properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"additionalProperties": {"maxLength": 3}, "type": "object"},
        ]
    },
    "listed names": {
        "type": "object",
        "propertyNames": {"enum": ["x", "y"]},
        "additionalProperties": {"type": "integer"},
        "minProperties": 1,
    },
    "patterned names": {"type": "object", "propertyNames": {"pattern": "^[a-c]+$"}},
    "counted closed": {
        "type": "object",
        "properties": {name: {"type": "null"} for name in "abcde"},
        "required": ["c"],
        "additionalProperties": False,
        "minProperties": 2,
        "maxProperties": 3,
    },
    "counted open": {"type": "object", "minProperties": 2, "maxProperties": 3},
    "union of types": {"type": ["string", "null", "integer"], "maxLength": 4, "minimum": 3},
    "enum of all kinds": {"enum": [None, True, 1, "x", [1, {"a": []}], {"k": None, "l": 2.5}]},
    "enum beside bounds": {"enum": ["a", "ab", "abc", 4], "minLength": 2, "pattern": "b"},
    "anyOf beside properties": {
        "type": "object",
        "properties": {"k": {"type": "string"}},
        "anyOf": [
            {"required": ["k"]},
            {"properties": {"n": {"type": "integer"}}, "required": ["n"]},
        ],
    },
    "discriminated oneOf": {
        "oneOf": [
            {"properties": {"t": {"const": "a"}, "x": {"type": "integer"}}, "required": ["t", "x"]},
            {"properties": {"t": {"const": "b"}}, "required": ["t"]},
        ],
        "type": "object",
    },
    "oneOf of ranges": {"oneOf": [{"maximum": 3}, {"exclusiveMinimum": 3}], "type": "number"},
    "oneOf of patterns": {
        "oneOf": [{"pattern": "^a"}, {"pattern": "^b"}],
        "type": "string",
    },
    "recursion": {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "v": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["v", "next"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/node",
    },
    "references with siblings": {
        "$defs": {"s": {"type": "string", "maxLength": 5}},
        "properties": {"a": {"$ref": "#/$defs/s", "minLength": 2}},
        "required": ["a"],
    },
    "anchors and ids": {
        "$id": "https://example.org/root",
        "$defs": {"x": {"$anchor": "here", "type": "boolean"}, "y": {"$id": "y", "type": "null"}},
        "prefixItems": [
            {"$ref": "#here"},
            {"$ref": "y"},
            {"$ref": "https://example.org/root#here"},
        ],
        "minItems": 3,
        "type": "array",
        "items": False,
    },
    "tuples": {
        "type": "array",
        "prefixItems": [{"type": "integer"}, {"type": "string"}],
        "items": {"type": "null"},
        "minItems": 1,
        "maxItems": 4,
    },
    "tuples of draft 7": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "array",
        "items": [{"type": "integer"}, {"type": "string"}],
        "additionalItems": False,
    },
    "bounds of draft 4": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "integer",
        "minimum": 3,
        "exclusiveMinimum": True,
        "maximum": 9,
    },
    "unique without choice": {"type": "array", "uniqueItems": True, "maxItems": 1},
    "dependent": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "dependentRequired": {"a": ["b"]},
        "dependentSchemas": {"b": {"properties": {"c": {"const": 1}}, "required": ["c"]}},
        "maxProperties": 3,
    },
    "dependencies of draft 7": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "dependencies": {"a": ["b"], "b": {"required": ["c"]}},
        "propertyNames": {"enum": ["a", "b", "c"]},
    },
    "unevaluated without combination": {
        "properties": {"a": {"type": "null"}},
        "unevaluatedProperties": False,
        "type": "object",
    },
    "a branch that nothing fits": {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "^x+$", "maxLength": 0}, "b": {}},
        "additionalProperties": False,
    },
    "an optional endless branch": {
        "$defs": {
            "e": {"type": "object", "properties": {"e": {"$ref": "#/$defs/e"}}, "required": ["e"]}
        },
        "properties": {"e": {"$ref": "#/$defs/e"}, "x": {"type": "boolean"}},
        "type": "object",
    },
    "references through unknown keywords": {
        "components": {"x": {"type": "boolean"}},
        "items": {"$ref": "#/components/x"},
        "type": "array",
    },
    "annotations only": {"title": "x", "default": 3, "x-foo": {"type": 5}, "format": "unheard-of"},
    "long strings": {"type": "string", "minLength": 3, "maxLength": 2000},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_written_is_valid(vocabulary: Vocabulary, name: str) -> None:
    schema = SCHEMAS[name]
    index = compile_index(JsonSchema(json.dumps(schema)), vocabulary)
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    rng, whole = random.Random(name), 0
    for _ in range(25):
        walked = walk(index, rng, limit=150)
        if walked.is_whole:
            whole += 1
            value = json.loads(walked.text)
            assert validator.is_valid(value), walked.text
    assert whole > 3


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        (
            "closed object",
            ['{"b":"","a":1}', '{"b":""}'],
            ['{"a":1,"b":""}', "{}", '{"b":"","c":1}'],
        ),
        ("open object", ['{"a":1,"z":[]}', "{}", "null"], ['{"a":"1"}', '{"z":1,"a":1}']),
        ("required but undeclared", ['{"y":1,"x":{}}'], ['{"y":1}', '{"y":2,"x":1}']),
        ("patterns and rest", ['{"a1":1,"xb":7,"c":null}'], ['{"a":null}', '{"ab":4}', '{"c":1}']),
        ("patterns bear on declared names", ['{"ab":3}'], ['{"ab":2}']),
        (
            "allOf with additionalProperties",
            ['{"a":"abc","b":1}'],
            ['{"a":1}', '{"a":"","b":"long"}'],
        ),
        ("listed names", ['{"y":1}', '{"x":1,"y":2}'], ["{}", '{"z":1}', '{"x":1,"x":2}']),
        (
            "counted closed",
            ['{"a":null,"c":null}'],
            ['{"c":null}', '{"a":null,"b":null,"c":null,"d":null}'],
        ),
        ("enum beside bounds", ['"ab"', '"abc"', "4"], ['"a"', "5"]),
        ("tuples", ['[1,"a",null]', "[1]"], ["[]", '["a"]', '[1,"a",null,null,null]', "[1,2]"]),
        ("tuples of draft 7", ["[]", '[1,"a"]'], ['[1,"a",2]']),
        ("bounds of draft 4", ["4", "9"], ["3", "10"]),
        ("recursion", ['{"v":1,"next":{"v":2,"next":null}}'], ['{"v":1,"next":{}}', '{"v":1}']),
        ("dependent", ['{"b":1,"c":1}', "{}"], ['{"a":1}', '{"b":1}', '{"a":1,"b":1,"c":2}']),
        ("a branch that nothing fits", ['{"b":1}', "{}"], ['{"a":"x"}', '{"a":""}']),
    ],
)
def test_known_answers(
    vocabulary: Vocabulary, name: str, accepted: list[str], refused: list[str]
) -> None:
    index = compile_index(JsonSchema(json.dumps(SCHEMAS[name])), vocabulary)
    assert [text for text in accepted if not accepts(index, text)] == []
    assert [text for text in refused if accepts(index, text)] == []


def property_order(index: Index, seed: int) -> list[str]:
    walked = walk(index, random.Random(seed))
    assert walked.is_whole
    return list(json.loads(walked.text))


def test_properties_come_in_the_order_of_the_text_with_references_in_place(
    vocabulary: Vocabulary,
) -> None:
    leaf = {"type": "null"}
    schema = {
        "$defs": {"d": {"properties": {"b": leaf, "a": leaf}, "required": ["a", "b"]}},
        "type": "object",
        "properties": {"z": leaf},
        "$ref": "#/$defs/d",
        "allOf": [{"properties": {"y": leaf, "z": leaf}}],
        "required": ["undeclared", "z", "y"],
        "maxProperties": 5,
    }
    index = compile_index(JsonSchema(json.dumps(schema)), vocabulary)
    assert property_order(index, 1) == ["z", "b", "a", "y", "undeclared"]
