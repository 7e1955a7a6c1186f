"""Random values: words, names, numbers, dates and ids, split into seen and held out."""

from __future__ import annotations

import string
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from models.training import words
from models.training.words import split

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

ONSETS = split("""b c d f g h j k l m n p r s t v w z
br cr dr fr gr pr tr bl cl fl gl pl sl st sk sp sh ch th qu""")
VOWELS = split("a a e e i i o o u ai ea ee ie oa oo ou")
CODAS = ["", "", "", "", *split("n r s l t m k d x nd nt rk st sk lm rn ck")]
HELD_OUT_SHARE = 8
LISTED_SHARE = 0.6
ISO_SHARE = 0.96
FIRST_NAMES, LAST_NAMES = tuple(words.FIRST_NAMES), tuple(words.LAST_NAMES)
CITIES, COUNTRIES = tuple(words.CITIES), tuple(words.COUNTRIES)
NOUNS, ADJECTIVES = tuple(words.NOUN_VALUES), tuple(words.ADJECTIVE_VALUES)
# Names and things are mostly two syllables long, some one, some three.
USUAL_SYLLABLES = (1, 1, 2, 2, 2, 2, 2, 2, 3, 3)


def chance(rng: random.Random, share: float) -> bool:
    """Tell whether an event of this probability (0 to 1) happens."""
    return rng.random() < share


def is_held_out(word: str) -> bool:
    """Tell whether a random or key word belongs to evaluation only (one in eight, by hash)."""
    return zlib.crc32(word.lower().encode()) % HELD_OUT_SHARE == 0


@cache
def split_part(listed: tuple[str, ...], *, held_out: bool) -> tuple[str, ...]:
    """Return the listed words that belong to evaluation, or those that belong to training."""
    return tuple(word for word in listed if is_held_out(word) == held_out)


def capital(word: str) -> str:
    """Write a word with a capital letter."""
    return word[:1].upper() + word[1:]


@dataclass(frozen=True)
class Date:
    """A calendar date and the ways a text may write it."""

    year: int
    month: int
    day: int

    @property
    def iso(self) -> str:
        """YYYY-MM-DD, as the schema's date format wants it."""
        return f"{self.year:04d}-{self.month:02d}-{self.day:02d}"

    def written(self, rng: random.Random) -> str:
        """Write the date as a text would: mostly ISO, sometimes with the month's name."""
        month = words.MONTHS[self.month - 1]
        forms = (f"{self.day} {month} {self.year}", f"{month} {self.day}, {self.year}")
        return self.iso if chance(rng, ISO_SHARE) else rng.choice(forms)


def weighted(rng: random.Random, weights: Mapping[str, float]) -> str:
    """Draw a name by its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


class Values:
    """Draws values; with held_out, every word is one that training never shows as a value.

    With new_wordings, what stands around the values is held out as well.
    """

    def __init__(
        self, rng: random.Random, *, held_out: bool = False, new_wordings: bool = False
    ) -> None:
        self.rng = rng
        self.held_out = held_out
        self.new_wordings = new_wordings

    def made_up(self, syllables: Sequence[int] = USUAL_SYLLABLES) -> str:
        """Return a lower-case pronounceable word, of this split, its length drawn from a list."""
        rng = self.rng
        while True:
            count = rng.choice(syllables)
            parts = [rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(count)]
            word = "".join(parts) + rng.choice(CODAS)
            if is_held_out(word) == self.held_out:
                return word

    def word_of(self, listed: tuple[str, ...], share: float = LISTED_SHARE) -> str:
        """Return a listed word of this split with the given probability, else a made-up one."""
        if chance(self.rng, share):
            return self.rng.choice(split_part(listed, held_out=self.held_out))
        return self.made_up()

    def adjectives(self) -> tuple[str, ...]:
        """All adjectives of this split."""
        return split_part(ADJECTIVES, held_out=self.held_out)

    def first_name(self) -> str:
        """A given name."""
        return capital(self.word_of(FIRST_NAMES))

    def person(self) -> str:
        """A full name of two, rarely three, words."""
        names = [self.first_name(), capital(self.word_of(LAST_NAMES))]
        if chance(self.rng, 0.1):
            names.insert(1, self.made_up((1, 2)).capitalize())
        return " ".join(names)

    def city(self) -> str:
        """A town's name."""
        return capital(self.word_of(CITIES))

    def country(self) -> str:
        """A country's name."""
        return capital(self.word_of(COUNTRIES))

    def company(self) -> str:
        """A company's name."""
        tail = self.rng.choice(split("Ltd Inc Group Labs Works Foods Media Systems & Co"))
        name = capital(self.word_of(self.rng.choice((NOUNS, ADJECTIVES)), 0.4))
        return name if chance(self.rng, 0.4) else f"{name} {tail}".replace(" &", " & Co")

    def noun(self) -> str:
        """A common thing, or a made-up one."""
        return self.word_of(NOUNS)

    def phrase(self) -> str:
        """One to three words, in a random casing."""
        rng = self.rng
        count = rng.choice((1, 1, 1, 2, 2, 3))
        words_ = [self.word_of(ADJECTIVES) for _ in range(count - 1)] + [self.word_of(NOUNS)]
        text = " ".join(words_)
        return rng.choice((text, text.title(), text.capitalize()))

    def integer(self) -> int:
        """An integer of one to five digits, small ones more often."""
        return self.rng.randrange(10 ** self.rng.choice((1, 2, 2, 3, 3, 4, 5)))

    def decimal(self) -> float:
        """A number with one or two decimals."""
        places = self.rng.choice((1, 2, 2))
        return round(self.rng.uniform(0, 10 ** self.rng.choice((1, 2, 3))), places)

    def date(self) -> Date:
        """A date between 1950 and 2039."""
        rng = self.rng
        return Date(rng.randint(1950, 2039), rng.randint(1, 12), rng.randint(1, 28))

    def time(self) -> str:
        """A time of day, HH:MM."""
        return f"{self.rng.randrange(24):02d}:{self.rng.randrange(60):02d}"

    def email(self) -> str:
        """An address at a made-up domain."""
        local = self.first_name().lower()
        if chance(self.rng, 0.3):
            local += self.rng.choice("._") + self.made_up()
        return f"{local}@{self.made_up((1, 2))}.{self.rng.choice(('com', 'org', 'net', 'example'))}"

    def url(self) -> str:
        """A web address at a made-up domain."""
        tail = self.rng.choice(("", f"/{self.made_up()}", f"/{self.made_up()}/{self.integer()}"))
        return f"https://{self.made_up((1, 2))}.{self.rng.choice(('com', 'org', 'example'))}{tail}"

    def code(self) -> str:
        """An identifier such as AB-1234 or X77."""
        rng = self.rng
        letters = "".join(rng.choices(string.ascii_uppercase, k=rng.randint(1, 3)))
        digits = "".join(rng.choices(string.digits, k=rng.randint(2, 5)))
        return rng.choice((f"{letters}-{digits}", letters + digits))

    def uuid(self) -> str:
        """A version 4 UUID."""
        digits = f"{self.rng.getrandbits(128):032x}"
        lead = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}"
        return f"{lead}-{self.rng.choice('89ab')}{digits[17:20]}-{digits[20:]}"

    def phone(self) -> str:
        """A phone number in one of three layouts."""
        rng = self.rng
        digits = "".join(rng.choices(string.digits, k=10))
        return rng.choice((f"+{digits[:2]} {digits[2:]}", f"555-{digits[:4]}", f"0{digits[:9]}"))
