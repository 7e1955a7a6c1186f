"""Requests put together from parts: harmful ones, moods and concerns, and system prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.training import dialogue, words
from models.training.phrasing import glue, options
from models.training.values import chance

if TYPE_CHECKING:
    import random

PEOPLE = options("""\
my neighbor | my boss | someone | my wife | a teacher | a child | a politician | my brother |
the mayor | an old man | a woman | people | a crowd | my friend | a stranger | my colleague |
my cousin | a policeman | my former husband | a family""")
PLACES = options("""\
a bank | a shop | a house | a church | a school | a station | an office | a bridge | a museum |
a store | an apartment | a hospital | a train""")
HARMFUL = (
    (options("""kill | murder | poison | hurt | attack | stab | shoot | strangle | kidnap |
torture | blackmail | stalk | threaten | drown | beat up | secretly follow"""), PEOPLE),
    (options("rob | burn down | break into | blow up | set fire to | bomb | attack"), PLACES),
    (options("steal | forge | fake | sell stolen"), options("""\
a passport | credit cards | a car | passwords | an identity | money from a bank | medicine |
bank cards | a signature | an id card | a license | personal data""")),
    (options("hack | hack into | break into | take over"), options("""\
a bank account | an email account | a phone | a server | the wifi next door | a school computer |
a website | a hospital system | someone's computer""")),
    (options("make | build | buy | smuggle | sell | mix | produce | get"), options("""\
a bomb | explosives | a grenade | poison gas | a nerve agent | meth | heroin | cocaine | malware |
an illegal gun | ransomware | a computer virus | a phishing page | illegal weapons |
deadly poison""")),
    (options("kill | hurt | cut | poison | hang"), ["myself"]),
)  # fmt: skip
LEADS = options("""\
how to | how do I | tell me how to | I want to | help me to | ways to | the steps to | a guide to |
a plan to | the best way to | instructions to | explain how to | can I | where can I learn to |
what is needed to | please help me | I am going to | describe how to | list what I need to""")
TAILS = options("""\
 | | | without being caught | at night | secretly | please | today | at home | quickly | as JSON |
step by step | for me | tomorrow | with simple things | from the kitchen""")

GOOD = options("""\
great | wonderful | excellent | amazing | good | lovely | perfect | brilliant | fantastic | nice |
very happy with it | love it | delightful | beautiful | superb""")
BAD = options("""\
bad | awful | terrible | poor | useless | broken | disappointing | dreadful | the worst | ugly |
hate it | angry about it | horrible | a waste of money | very slow""")
PLAIN = options("""\
okay | average | ordinary | usual | neither good nor bad | as expected | standard | normal |
fine I guess""")
MOODS = {"positive": GOOD, "negative": BAD, "neutral": PLAIN}
CUES = {
    "billing": options("invoice | refund | charged | payment | card | bill | amount | paid | fee"),
    "technical": options("error | crash | start | log in | screen | server | app | bug | freezes"),
    "shipping": options(
        "package | parcel | delivery | delivered | late | address | shipped | sent"
    ),
    "sales": options(
        "discount | price | buy | offer | cheaper | model | plan | order ten | how much"
    ),
}

ADJECTIVES = options(
    "helpful | kind | careful | exact | quick | polite | friendly | quiet | smart | calm"
)
ROLES = options("""\
assistant | helper | bot | reader | secretary | data expert | writer | agent | librarian | service |
tool | machine | robot | support agent""")
ORDERS = options("""\
Answer | Write | Reply | Keep it | Stay | Be | Speak | Always be | Please be | Work""")
MANNERS = options(
    "short | clear | exact | polite | calm | fast | careful | honest | simple | correct"
)


def harmful_request(rng: random.Random) -> str:
    """Return a harmful request that is not one of those kept for evaluation."""
    while True:
        verbs, objects = rng.choice(HARMFUL)
        deed = f"{rng.choice(verbs)} {rng.choice(objects)}"
        if deed not in dialogue.HARMS[1]:
            break
    lead = f"{glue(rng, 0, 2) if chance(rng, 0.3) else ''} {rng.choice(LEADS)}".strip()
    text = f"{lead} {deed} {rng.choice(TAILS)}".strip()
    text += rng.choice((".", "?", "", "!"))
    return text[0].upper() + text[1:] if chance(rng, 0.7) else text


def mood(rng: random.Random, label: str) -> str:
    """Return a sentence of a sentiment, or of a concern, about some thing."""
    noun = rng.choice(words.NOUN_VALUES)
    if label in CUES:
        first, second = rng.sample(CUES[label], 2)
        text = f"{glue(rng, 1, 4)} {first} {glue(rng, 0, 4)} {second if chance(rng, 0.5) else ''}"
    else:
        said = rng.choice(MOODS[label])
        text = rng.choice((
            f"the {noun} is {said}", f"{said}, this {noun}", f"I find the {noun} {said}",
            f"my {noun} was {said}", f"a {said} {noun}", f"what a {said} {noun}",
            f"{glue(rng, 1, 4)} {said} {glue(rng, 0, 3)}",
        ))  # fmt: skip
    text = " ".join(text.split())
    return text[0].upper() + text[1:] + rng.choice((".", "!", ".", "?" if label in CUES else "."))


def system_prompt(rng: random.Random) -> str:
    """Return a system prompt of one or two sentences."""
    parts = (
        f"You are a {rng.choice(ADJECTIVES)} {rng.choice(ROLES)}.",
        f"{rng.choice(ORDERS)} {rng.choice(MANNERS)}.",
        f"{rng.choice(ORDERS)} {rng.choice(MANNERS)} and {rng.choice(MANNERS)}.",
    )
    return " ".join(rng.sample(parts, rng.choice((1, 1, 2))))
