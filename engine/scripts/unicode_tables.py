"""Writes `engine/src/unicode/tables.rs`: the Unicode properties that patterns and formats use.

Run `python engine/scripts/unicode_tables.py > engine/src/unicode/tables.rs`, then `cargo fmt`.
Categories and the IDNA table come from `unicodedata`; scripts and binary properties, which Python
lacks, from the tables that come with perl. Both must have the same version of Unicode.
"""

# ruff: noqa: INP001, PLR2004, SIM905 - a script; code points and lists of names read best as such

import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import partial

Ranges = list[tuple[int, int]]

LIMIT = 0x110000
LINE = 96

BINARY = (
    "Alphabetic ASCII_Hex_Digit Case_Ignorable Cased Dash Default_Ignorable_Code_Point Diacritic"
    " Emoji Emoji_Component Emoji_Modifier Emoji_Modifier_Base Emoji_Presentation"
    " Extended_Pictographic Extender Grapheme_Base Grapheme_Extend Hex_Digit ID_Continue ID_Start"
    " Ideographic Join_Control Lowercase Math Noncharacter_Code_Point Pattern_Syntax"
    " Pattern_White_Space Quotation_Mark Regional_Indicator Soft_Dotted Terminal_Punctuation"
    " Unified_Ideograph Uppercase Variation_Selector White_Space XID_Continue XID_Start"
).split()

# One line a property: its kind, its names, and the bounds at which membership changes.
PERL = r"""
use Unicode::UCD qw(prop_invlist prop_aliases prop_value_aliases prop_values);
print Unicode::UCD::UnicodeVersion(), "\n";
for my $script (sort(prop_values("Script"))) {
    my @bounds = prop_invlist("Script=$script");
    print "script ", join(",", prop_value_aliases("Script", $script)), " @bounds\n" if @bounds;
}
for my $name (@ARGV) {
    print "binary ", join(",", prop_aliases($name)), " ", join(" ", prop_invlist($name)), "\n";
}
"""

CATEGORIES = {
    "Cc": "Control cntrl",
    "Cf": "Format",
    "Cn": "Unassigned",
    "Co": "Private_Use",
    "Ll": "Lowercase_Letter",
    "Lm": "Modifier_Letter",
    "Lo": "Other_Letter",
    "Lt": "Titlecase_Letter",
    "Lu": "Uppercase_Letter",
    "Mc": "Spacing_Mark",
    "Me": "Enclosing_Mark",
    "Mn": "Nonspacing_Mark",
    "Nd": "Decimal_Number digit",
    "Nl": "Letter_Number",
    "No": "Other_Number",
    "Pc": "Connector_Punctuation",
    "Pd": "Dash_Punctuation",
    "Pe": "Close_Punctuation",
    "Pf": "Final_Punctuation",
    "Pi": "Initial_Punctuation",
    "Po": "Other_Punctuation",
    "Ps": "Open_Punctuation",
    "Sc": "Currency_Symbol",
    "Sk": "Modifier_Symbol",
    "Sm": "Math_Symbol",
    "So": "Other_Symbol",
    "Zl": "Line_Separator",
    "Zp": "Paragraph_Separator",
    "Zs": "Space_Separator",
}

# Bidi classes (RFC 5893) that the labels of host names tell apart.
BIDI = {"L": ("L",), "R": ("R", "AL"), "AN": ("AN",), "EN": ("EN",), "NSM": ("NSM",)}
VIRAMA = 9

# RFC 5892, section 2.6: allowed in spite of the rules, or disallowed in spite of them.
EXCEPTIONALLY_VALID = {0xDF, 0x3C2, 0x6FD, 0x6FE, 0xF0B, 0x3007}
EXCEPTIONALLY_INVALID = {
    *(0x640, 0x7FA, 0x302E, 0x302F, 0x3031, 0x3032, 0x3033, 0x3034, 0x3035, 0x303B),
    # Contextual rules decide on these; the format states them.
    *(0xB7, 0x375, 0x5F3, 0x5F4, 0x30FB, *range(0x660, 0x66A), *range(0x6F0, 0x6FA)),
}


def ranges_where(holds: Callable[[int], bool]) -> Ranges:
    """The inclusive ranges of the code points that satisfy a predicate, surrogates left out."""
    ranges: Ranges = []
    for code in (code for code in range(LIMIT) if not 0xD800 <= code <= 0xDFFF and holds(code)):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return ranges


def perl_tables() -> Iterator[tuple[str, list[str], Ranges]]:
    """Kind, names and ranges of each property that perl knows."""
    command = ["perl", "-e", PERL, *BINARY]
    version, *lines = subprocess.run(  # noqa: S603 - a constant program
        command, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    if version != unicodedata.unidata_version:
        sys.exit(f"perl has Unicode {version}, Python {unicodedata.unidata_version}")
    for line in lines:
        kind, names, *bounds = line.split()
        numbers = [*map(int, bounds), LIMIT]
        pairs = zip(numbers[0::2], numbers[1::2], strict=False)
        yield kind, names.split(","), [(low, high - 1) for low, high in pairs]


def is_idna_valid(code: int) -> bool:
    """Whether RFC 5892 derives PVALID for the code point, which is no contextual one."""
    if code in EXCEPTIONALLY_VALID:
        return True
    character = chr(code)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
    return (
        code not in EXCEPTIONALLY_INVALID
        and (code == ord("-") or unicodedata.category(character) in "Ll Lu Lo Nd Lm Mn Mc".split())
        and unicodedata.normalize("NFKC", folded) == character
        and not 0x1100 <= code <= 0x11FF
        and not 0xA960 <= code <= 0xA97F
        and not 0xD7B0 <= code <= 0xD7FF
        and not 0x20D0 <= code <= 0x20FF
    )


def is_in_category(category: str, code: int) -> bool:
    """Whether the code point has the general category."""
    return unicodedata.category(chr(code)) == category


def composing_characters() -> set[str]:
    """The characters that NFC may join with one before them."""
    pairs = (unicodedata.decomposition(chr(code)).split() for code in range(LIMIT))
    return {chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and pair[0][0] != "<"}


def has_bidi_class(classes: tuple[str, ...], character: str) -> bool:
    """Whether the character has one of the Bidi classes."""
    return unicodedata.bidirectional(character) in classes


def host_name_tables() -> Iterator[tuple[list[str], Ranges]]:
    """The characters of internationalised labels that are in NFC by themselves, and their kinds."""
    composing = composing_characters()
    valid = [code for code in range(LIMIT) if chr(code) not in composing and is_idna_valid(code)]

    def row(name: str, holds: Callable[[str], bool]) -> tuple[list[str], Ranges]:
        members = {code for code in valid if holds(chr(code))}
        return [name], ranges_where(members.__contains__)

    yield row("IDNA", lambda _: True)
    yield row("IDNA_Mark", lambda character: unicodedata.category(character)[0] == "M")
    yield row("IDNA_Combining", lambda character: unicodedata.combining(character) != 0)
    yield row("IDNA_Virama", lambda character: unicodedata.combining(character) == VIRAMA)
    for name, classes in BIDI.items():
        yield row(f"IDNA_{name}", partial(has_bidi_class, classes))


def variable_length(number: int) -> Iterator[int]:
    """The number in groups of seven bits, the lowest first, all but the last marked."""
    while number >= 0x80:
        yield number & 0x7F | 0x80
        number >>= 7
    yield number


def encoded(ranges: Ranges) -> Iterator[int]:
    """For each range its distance from the end of the one before, and its length less one."""
    end = 0
    for low, high in ranges:
        yield from variable_length(low - end)
        yield from variable_length(high - low)
        end = high + 1


def byte_string(values: Iterable[int]) -> Iterator[str]:
    """A Rust byte string over several lines."""
    line = 'b"'
    for value in values:
        plain = 0x20 < value < 0x7F and chr(value) not in '"\\'
        line += chr(value) if plain else f"\\x{value:02x}"
        if len(line) >= LINE:
            yield line + "\\"
            line = ""
    yield line + '"'


def table(name: str, comment: str, rows: Iterable[tuple[list[str], Ranges]]) -> Iterator[str]:
    """The Rust text of one table."""
    yield f"/// {comment}"
    yield f"pub(super) static {name}: &[Row] = &["
    for names, ranges in rows:
        quoted = ", ".join(f'"{name}"' for name in names)
        yield f"(&[{quoted}],"
        yield from byte_string(encoded(ranges))
        yield "),"
    yield "];"


def main() -> None:
    """Prints the file."""
    of_category: dict[str, Ranges] = {
        name: ranges_where(partial(is_in_category, name)) for name in CATEGORIES
    }
    categories = [([k, *v.split()], of_category[k]) for k, v in CATEGORIES.items()]
    rows: dict[str, list[tuple[list[str], Ranges]]] = {"script": [], "binary": []}
    for kind, names, ranges in perl_tables():
        rows[kind].append((names, ranges))
    version = unicodedata.unidata_version
    for line in (
        f"//! Unicode {version}. Written by `engine/scripts/unicode_tables.py`, not by hand.",
        "",
        "/// Names, and ranges: of each the distance to the one before, and the length less",
        "/// one, in groups of seven bits.",
        "pub(super) type Row = (&'static [&'static str], &'static [u8]);",
        "",
        *table("CATEGORIES", "General categories.", categories),
        "",
        *table("SCRIPTS", "Scripts.", rows["script"]),
        "",
        *table("BINARY", "Binary properties.", rows["binary"]),
        "",
        *table("HOST_NAMES", "Characters of internationalised host names.", host_name_tables()),
    ):
        print(line)  # noqa: T201 - the file goes to standard output


if __name__ == "__main__":
    main()
