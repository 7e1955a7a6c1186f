"""Hostile inputs about arrays, numbers, strings and texts; see `hostile_shapes`."""

import random

from formwork_engine import GrammarInput, JsonSchema, Lark, Regex

from bench.hostile_shapes import SHAPES, Schema, leaf, schema, text

# Arrays and values.


@schema
def large_constant(_dice: random.Random, size: int) -> Schema:
    return {"const": {f"k{number}": number for number in range(1000 * size)}}


@schema
def counted_matches(dice: random.Random, size: int) -> Schema:
    def one() -> Schema:
        least, most = dice.randrange(1 + size), size + dice.randrange(size)
        return {"contains": leaf(dice, size), "minContains": least, "maxContains": most}

    return {"type": "array", "allOf": [one() for _ in range(max(2, size // 2))]}


@schema
def different_items(dice: random.Random, size: int) -> Schema:
    items = {"enum": [dice.choice((number, str(number), [number])) for number in range(10 * size)]}
    return {
        "type": "array",
        "uniqueItems": True,
        "minItems": dice.randrange(10 * size),
        "items": items,
    }


@schema
def counted_alternatives(dice: random.Random, size: int) -> Schema:
    def one() -> Schema:
        most = 100 * size
        return {
            "minItems": dice.randrange(most),
            "maxItems": dice.randrange(most),
            "items": leaf(dice, size),
        }

    return {"type": "array", "anyOf": [one() for _ in range(2 * size)]}


# Numbers.


@schema
def other_numbers(_dice: random.Random, size: int) -> Schema:
    return {"type": "integer", "minimum": 0, "not": {"enum": list(range(500 * size))}}


@text
def no_multiples(_dice: random.Random, size: int) -> GrammarInput:
    barred = ",".join(f'{{"not":{{"multipleOf":{number + 2}}}}}' for number in range(8 * size))
    zeros = "0" * 1000
    bounds = f'"minimum":1{zeros},"maximum":2{zeros}'
    return JsonSchema(f'{{"type":"integer",{bounds},"allOf":[{barred}]}}')


@schema
def either_numbers(dice: random.Random, size: int) -> Schema:
    def one() -> Schema:
        bounds = {"minimum": dice.randrange(1000), "maximum": 1000 + dice.randrange(1000)}
        return {
            "anyOf": [bounds, {"multipleOf": 7}, {"not": {"multipleOf": dice.choice((2, 3, 13))}}]
        }

    return {"type": "number", "allOf": [one() for _ in range(size)]}


# Strings.


@schema
def class_texts(dice: random.Random, size: int) -> Schema:
    name = dice.choice((r"\p{L}", r"\P{L}", r"[^\p{L}a]", r"[\p{L}\p{N}]", r"[^\W]"))
    return {"type": "string", "pattern": name * (25000 * size // len(name))}


@schema
def class_schemas(_dice: random.Random, size: int) -> Schema:
    return {"anyOf": [{"pattern": f"^[\\p{{L}}{chr(0x4E00 + n)}]+$"} for n in range(500 * size)]}


@schema
def open_braces(_dice: random.Random, size: int) -> Schema:
    return {"type": "string", "pattern": "{" * (25000 * size)}


@schema
def nested_counts(dice: random.Random, size: int) -> Schema:
    pattern = dice.choice(("a", "[a-z]", r"\p{L}"))
    for _ in range(dice.randint(2, 6)):
        pattern = f"(?:{pattern}{{{dice.randrange(size)},{size + dice.randrange(1000)}}}|b)"
    return {"type": "string", "pattern": pattern}


@schema
def apart_counts(dice: random.Random, size: int) -> Schema:
    def pattern() -> Schema:
        return {
            "pattern": f"{dice.choice('abc')}.{{{dice.randint(1, 4 * size)}}}{dice.choice('xyz')}"
        }

    return {"type": "string", "allOf": [pattern() for _ in range(size)]}


@schema
def starred_words(dice: random.Random, size: int) -> Schema:
    words = ["".join(dice.choices("abcdef", k=10)) + dice.choice("*+?") for _ in range(200 * size)]
    return {"type": "string", "pattern": f"^(?:{'|'.join(words)})*$"}


# Expressions and grammars.


@text
def folded_letters(_dice: random.Random, size: int) -> GrammarInput:
    return Regex("(?i)" + "[k-z]x" * (5000 * size))


@text
def subset(_dice: random.Random, size: int) -> GrammarInput:
    return Regex(f"(?:[a-f]|[c-k]x?)*(?:ab|[a-k]c)[a-k]{{{size}}}(x|y)*x(x|y){{{size}}}")


@text
def ambiguous(_dice: random.Random, size: int) -> GrammarInput:
    more = "".join(f'\n | e "{chr(97 + number % 26)}" e' for number in range(size))
    return Lark(f'start: e\ne: e e | "a" | "(" e ")"{more}')


@text
def nullable_rules(dice: random.Random, size: int) -> GrammarInput:
    count = 4 * size
    rules = [f'r{number}: r{dice.randrange(count)}* "x{number}"?' for number in range(count)]
    return Lark(f"start: {' '.join(f'r{number}?' for number in range(count))}\n" + "\n".join(rules))


@text
def optional_terminals(_dice: random.Random, size: int) -> GrammarInput:
    terminals = "\n".join(f"A{number}: /{chr(97 + number)}+/" for number in range(26))
    return Lark(
        f"start: {' '.join(f'A{number % 26}?' for number in range(2000 * size))}\n{terminals}"
    )


ALL = SHAPES  # those of both modules
