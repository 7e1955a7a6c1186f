"""Numbers between bounds, as regular expressions of their one spelling.

Integers have no point and no exponent and at most 17 digits, other numbers at most 15 significant
ones and no trailing zeros, unless the bounds ask for more. A decimal of 15 digits is the shortest
spelling of its double, so that rounding never carries a number across a bound.
"""

from fractions import Fraction
from typing import Final

from formwork_engine.schema.characters import re_literal
from formwork_engine.schema.shapes import NumberShape

INTEGER_DIGITS: Final = 17
DECIMAL_DIGITS: Final = 15
_MAX_DIGITS: Final = 400

_FRACTION = r"\.[0-9]*[1-9]"


class BoundError(ValueError):
    """A bound that cannot be enforced; the message says why."""


def spell_number(shape: NumberShape) -> str:
    """Return a Lark terminal's definition of the numbers of a shape, `multiple_of` left aside.

    Raises:
        BoundError: A bound has too many digits.
    """
    if shape.literals is not None:
        return f"/{'|'.join(re_literal(spell_value(value)) for value in shape.literals)}/"
    cases = [_case(shape, is_negative=False), _case(shape, is_negative=True)]
    return " | ".join(case for case in cases if case) or "/[^\\x{0}-\\x{10ffff}]/"


def spell_value(value: Fraction) -> str:
    """Return the one spelling of a number."""
    return str(value.numerator) if value.denominator == 1 else repr(float(value))


def is_empty(shape: NumberShape) -> bool:
    """Return whether no number has the shape, as far as arithmetic alone tells."""
    if shape.literals is not None:
        return not shape.literals
    if shape.lower is None or shape.upper is None:
        return False
    if shape.lower > shape.upper:
        return True
    if shape.lower == shape.upper and (shape.excludes_lower or shape.excludes_upper):
        return True
    step = shape.multiple_of or (Fraction(1) if shape.is_integer else None)
    return step is not None and not _holds_multiple(shape, step)


def _holds_multiple(shape: NumberShape, step: Fraction) -> bool:
    first = -((-shape.lower) // step) * step if shape.lower is not None else Fraction(0)
    if shape.excludes_lower and first == shape.lower:
        first += step
    return shape.admits(first)


def _case(shape: NumberShape, *, is_negative: bool) -> str:
    """Return the definition of the numbers of one sign; empty where there are none."""
    lower, upper = shape.lower, shape.upper
    excludes_lower, excludes_upper = shape.excludes_lower, shape.excludes_upper
    if is_negative:
        lower, upper = _negated(upper), _negated(lower)
        excludes_lower, excludes_upper = excludes_upper, excludes_lower
    if upper is not None and (upper < 0 or (upper == 0 and (excludes_upper or is_negative))):
        return ""
    parts = [_form(shape, lower, upper, is_negative=is_negative)]
    sign = "-" if is_negative else ""
    if lower is not None and (lower > 0 or (lower == 0 and excludes_lower and not is_negative)):
        parts.append(f"/{sign}(?:{_at_least(lower, is_strict=excludes_lower)})/")
    if upper is not None:
        parts.append(f"/{sign}(?:{_at_most(upper, is_strict=excludes_upper)})/")
    return " & ".join(parts)


def _negated(value: Fraction | None) -> Fraction | None:
    return None if value is None else -value


def _form(
    shape: NumberShape, lower: Fraction | None, upper: Fraction | None, *, is_negative: bool
) -> str:
    """Return what every number of a sign looks like, whatever the bounds."""
    bounds = [bound for bound in (lower, upper) if bound is not None and bound > 0]
    integer_digits = max([INTEGER_DIGITS, *(len(str(int(bound))) + 1 for bound in bounds)])
    whole = f"[1-9][0-9]{{0,{integer_digits - 1}}}"
    if shape.is_integer:
        return f"/-{whole}/" if is_negative else f"/0|{whole}/"
    decimals = max([DECIMAL_DIGITS, *(len("".join(_digits(bound))) for bound in bounds)])
    if is_negative:
        number = f"-(?:0{_FRACTION}|{whole}(?:{_FRACTION})?)"
    else:
        number = f"(?:0|{whole})(?:{_FRACTION})?"
    length = f"/-?(?:[0-9]+|[0-9.]{{1,{decimals + 1}}})/"
    return f"/{number}/ & {length}"


def _digits(value: Fraction) -> tuple[str, str]:
    """Return the digits before and after the point of a non-negative decimal."""
    whole, rest = divmod(value, 1)
    digits = ""
    while rest:
        digit, rest = divmod(rest * 10, 1)
        digits += str(digit)
        if len(digits) > _MAX_DIGITS:
            raise BoundError("has too many digits")
    if len(str(whole)) > _MAX_DIGITS:
        raise BoundError("has too many digits")
    return str(whole), digits


def _at_least(bound: Fraction, *, is_strict: bool) -> str:
    whole, fraction = _digits(bound)
    return (
        f"(?:{_integer_above(whole)})(?:\\.[0-9]+)?"
        f"|{whole}(?:{_fraction_at_least(fraction, is_strict=is_strict)})"
    )


def _at_most(bound: Fraction, *, is_strict: bool) -> str:
    whole, fraction = _digits(bound)
    branches = []
    below = _integer_below(whole)
    if below:
        branches.append(f"(?:{below})(?:\\.[0-9]+)?")
    equal = _fraction_at_most(fraction, is_strict=is_strict)
    if equal is not None:
        branches.append(f"{whole}(?:{equal})")
    return "|".join(branches) or "[^\\x{0}-\\x{10ffff}]"


def _integer_above(digits: str) -> str:
    """Return the expression of the integers above one, without leading zeros."""
    branches = [f"[1-9][0-9]{{{len(digits)},}}"]
    for place, digit in enumerate(digits):
        if digit != "9":
            rest = len(digits) - place - 1
            branches.append(f"{digits[:place]}[{int(digit) + 1}-9][0-9]{{{rest}}}")
    return "|".join(branches)


def _integer_below(digits: str) -> str:
    """Return the expression of the non-negative integers below one; empty where there are none."""
    branches = []
    if len(digits) > 1:
        branches.append(f"0|[1-9][0-9]{{0,{len(digits) - 2}}}")
    for place, digit in enumerate(digits):
        lowest = 1 if place == 0 and len(digits) > 1 else 0
        if int(digit) > lowest:
            rest = len(digits) - place - 1
            branches.append(f"{digits[:place]}[{lowest}-{int(digit) - 1}][0-9]{{{rest}}}")
    return "|".join(branches)


def _fraction_at_least(digits: str, *, is_strict: bool) -> str:
    """Return the expression of the fractions, point included, at or above some digits."""
    if not digits:
        return r"\.[0-9]+" if is_strict else r"(?:\.[0-9]+)?"
    branches = [f"\\.{digits}[0-9]{'+' if is_strict else '*'}"]
    for place, digit in enumerate(digits):
        if digit != "9":
            branches.append(f"\\.{digits[:place]}[{int(digit) + 1}-9][0-9]*")
    return "|".join(branches)


def _fraction_at_most(digits: str, *, is_strict: bool) -> str | None:
    """Return the expression of the fractions at or below some digits; None: there are none."""
    if not digits:
        return None if is_strict else ""
    branches = [""]
    for place, digit in enumerate(digits):
        if digit != "0":
            branches.append(f"\\.{digits[:place]}[0-{int(digit) - 1}][0-9]*")
        if place < len(digits) - 1 or not is_strict:
            branches.append(f"\\.{digits[: place + 1]}")
    return "|".join(branches)
