"""What is not enforced is refused before the first token, by pointer, keyword and reason."""

import json

import pytest
from formwork_engine import (
    Budget,
    IndexOptions,
    JsonSchema,
    Lark,
    MalformedError,
    Regex,
    TooLargeError,
    UnsupportedError,
    Vocabulary,
    Whitespace,
    compile_index,
)
from formwork_engine.testing import accepts


def refusal(vocabulary: Vocabulary, schema: object) -> UnsupportedError:
    with pytest.raises(UnsupportedError) as caught:
        compile_index(JsonSchema(json.dumps(schema)), vocabulary)
    return caught.value


@pytest.mark.parametrize(
    ("schema", "pointer", "keyword"),
    [
        ({"$dynamicRef": "#x"}, "", "$dynamicRef"),
        ({"$ref": "other.json"}, "", "$ref"),
        ({"$ref": "https://example.org/x"}, "", "$ref"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "/properties/a", "$ref"),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"pattern": r"(a)\1"}}}},
            "/$defs/a/items",
            "pattern",
        ),
        ({"patternProperties": {r"(a)\1": {}}}, "", "patternProperties"),
        (False, "", "schema"),
        ({"$ref": "#"}, "", "$ref"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "", "schema"),
    ],
)
def test_a_keyword_is_refused_by_name(
    vocabulary: Vocabulary, schema: object, pointer: str, keyword: str
) -> None:
    error = refusal(vocabulary, schema)
    assert (error.pointer, error.keyword) == (pointer, keyword)
    assert error.reason


def requiring(key: str, schema: object) -> dict[str, object]:
    return {"type": "object", "properties": {"other": False, key: schema}, "required": [key]}


@pytest.mark.parametrize(
    ("schema", "pointer", "keyword"),
    [
        (requiring("a", {"$ref": "#"}), "/properties/a", "$ref"),
        (
            requiring("a", {"allOf": [{"type": "string"}, {"type": "integer"}]}),
            "/properties/a",
            "allOf",
        ),
        (
            requiring("a/b", {"minLength": 3, "maxLength": 2, "type": "string"}),
            "/properties/a~1b",
            "",
        ),
        ({"allOf": [True, requiring("a", {"not": {}})]}, "/allOf/1/properties/a", "not"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"enum": []}}}, "/$defs/x", "enum"),
        ({"type": "array", "minItems": 2, "items": {"not": {}}}, "/items", "not"),
        (
            {"type": "array", "minItems": 2, "prefixItems": [{}, {"enum": []}]},
            "/prefixItems/1",
            "enum",
        ),
        ({"anyOf": [{"type": "string", "const": 1}, {"enum": []}]}, "", "anyOf"),
    ],
)
def test_a_schema_without_values_is_refused_where_it_contradicts_itself(
    vocabulary: Vocabulary, schema: object, pointer: str, keyword: str
) -> None:
    error = refusal(vocabulary, schema)
    assert (error.pointer, error.keyword) == (pointer, keyword or "schema")


@pytest.mark.parametrize(
    ("schema", "pointer", "keyword"),
    [
        ({"type": "strin"}, "", "type"),
        ({"type": []}, "", "type"),
        ({"properties": []}, "", "properties"),
        ({"properties": {"a": 5}}, "/properties/a", ""),
        ({"required": "a"}, "", "required"),
        ({"enum": 3}, "", "enum"),
        ({"anyOf": []}, "", "anyOf"),
        ({"minLength": -1}, "", "minLength"),
        ({"minLength": 1.5}, "", "minLength"),
        ({"maximum": "3"}, "", "maximum"),
        ({"multipleOf": 0}, "", "multipleOf"),
        ({"$ref": 3}, "", "$ref"),
    ],
)
def test_a_malformed_keyword_is_refused_by_name(
    vocabulary: Vocabulary, schema: object, pointer: str, keyword: str
) -> None:
    with pytest.raises(MalformedError) as caught:
        compile_index(JsonSchema(json.dumps(schema)), vocabulary)
    assert (caught.value.pointer, caught.value.keyword) == (pointer, keyword)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"a":1}{',
        '{"minimum": NaN}',
        '{"type": "string", "type": "null"}',
        '{"const": "\\ud800"}',
        '{"minimum": ' + "9" * 5000 + "}",
        "\ud800",
    ],
)
def test_what_is_no_schema_text_is_malformed(vocabulary: Vocabulary, text: str) -> None:
    with pytest.raises(MalformedError):
        compile_index(JsonSchema(text), vocabulary)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ('{"a":' * 300 + "1" + "}" * 300, "max_depth"),
        ("[" * 100_000 + "]" * 100_000, "max_depth"),
        ('{"enum":[' + "1," * 2000 + "1]}", "max_nodes"),
        ('"' + "x" * 20_000 + '"', "max_bytes"),
    ],
)
def test_a_text_that_is_too_large_is_refused_by_limit(
    vocabulary: Vocabulary, text: str, limit: str
) -> None:
    budget = Budget(max_bytes=10_000 if limit == "max_bytes" else 10**6, max_nodes=1000)
    with pytest.raises(TooLargeError) as caught:
        compile_index(JsonSchema(text), vocabulary, budget=budget)
    assert caught.value.limit == limit
    assert caught.value.value > caught.value.maximum


@pytest.mark.parametrize(
    ("options", "keyword"),
    [
        (IndexOptions(item_separator=";"), "item_separator"),
        (IndexOptions(key_separator=" "), "key_separator"),
        (IndexOptions(item_separator="," + " " * 9), "item_separator"),
    ],
)
def test_what_is_no_separator_is_refused(
    vocabulary: Vocabulary, options: IndexOptions, keyword: str
) -> None:
    with pytest.raises(UnsupportedError) as caught:
        compile_index(JsonSchema("{}"), vocabulary, options)
    assert caught.value.keyword == keyword


@pytest.mark.parametrize("size", [-1, 65])
def test_whitespace_is_bounded(vocabulary: Vocabulary, size: int) -> None:
    options = IndexOptions(whitespace=Whitespace.BOUNDED, max_whitespace=size)
    with pytest.raises(TooLargeError):
        compile_index(JsonSchema("{}"), vocabulary, options)


def test_separators_are_as_given(vocabulary: Vocabulary) -> None:
    schema = JsonSchema('{"properties":{"a":{},"b":{}},"type":"object"}')
    options = IndexOptions(item_separator=", ", key_separator=": ")
    index = compile_index(schema, vocabulary, options)
    assert accepts(index, '{"a": [1, 2], "b": {"c": 3}}')
    assert not accepts(index, '{"a":1,"b":2}')
    assert not accepts(index, '{ "a": 1}')


def test_bounded_whitespace_cannot_run_away(vocabulary: Vocabulary) -> None:
    options = IndexOptions(whitespace=Whitespace.BOUNDED, max_whitespace=2)
    index = compile_index(JsonSchema('{"type":"object"}'), vocabulary, options)
    assert accepts(index, '{ \n"a" :  [ 1 , 2 ]  , "b":{ } }')
    assert not accepts(index, '{"a":   1}')
    assert not accepts(index, " {}")


@pytest.mark.parametrize("pattern", ["(", "a**b)"])
def test_a_malformed_expression_is_refused(vocabulary: Vocabulary, pattern: str) -> None:
    with pytest.raises(MalformedError):
        compile_index(Regex(pattern), vocabulary)


@pytest.mark.parametrize(
    ("definition", "keyword"),
    [
        ('start: <|im_start|> "a"', "special tokens"),
        ("start: @other", "references to other grammars"),
        ("start: %json {}", "%json"),
        ('start: X\nX.2: "a"', "terminal priorities"),
    ],
)
def test_lark_beyond_the_dialect_is_refused_by_name(
    vocabulary: Vocabulary, definition: str, keyword: str
) -> None:
    with pytest.raises(UnsupportedError) as caught:
        compile_index(Lark(definition), vocabulary)
    assert caught.value.keyword == keyword


@pytest.mark.parametrize("definition", ["", "start", "start: foo", 'other: "a"', "start: /(/"])
def test_malformed_lark_is_refused(vocabulary: Vocabulary, definition: str) -> None:
    with pytest.raises(MalformedError):
        compile_index(Lark(definition), vocabulary)
