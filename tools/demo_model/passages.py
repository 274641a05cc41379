"""Short made-up passages with yes/no questions, in the form in which BoolQ is scored.

`{passage}\\nQuestion: {question}?\\nAnswer:` and then " yes" or " no". Each passage states facts about a few people and
things; a question repeats one of them or gives it another value of the same sort, often one of the same passage. One
pair of subject and value in eight is never asked about in training, so that evaluate.py can.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

from tools.demo_model.harmony import Segment

NAMES = "Anna Tom Maria Paul Lena Peter Nina Sam Clara David Emma Leo Julia Max Sara Ben".split()
THINGS = "door house roof car boat table chair box bag hat coat cup lamp train bridge wall gate bike clock bed".split()
PLACES = "garden kitchen station library market school museum harbour hotel forest village city tower farm".split()
COLOURS = "green red blue white black yellow brown grey silver orange".split()
MATERIALS = "wood stone iron glass paper gold clay wool".split()
JOBS = "teacher writer doctor baker poet chef guide farmer engineer painter sailor historian".split()
ANIMALS = "dog cat horse bird cow goat rabbit spider fish duck".split()
FOODS = "bread tea rice cheese honey soup apples fish cake coffee".split()
CITIES = "Paris Rome Berlin Madrid London Tokyo Cairo Oslo Lima Vienna Dublin Athens Warsaw Ottawa Havana".split()
NUMBERS = "two three four five six seven eight nine ten".split()
PARTS = "windows doors rooms wheels lamps trees".split()


@dataclass(frozen=True)
class Relation:
    """Sentences stating it and questions about it, with {s} the subject and {v} the value."""

    subjects: tuple[str, ...]
    values: tuple[str, ...]
    statements: tuple[str, ...]
    questions: tuple[str, ...]


def _relation(subjects: list[str], values: list[str], statements: str, questions: str) -> Relation:
    def parts(text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split("|"))

    return Relation(tuple(subjects), tuple(values), parts(statements), parts(questions))


# Value and subject stand side by side in statement and question.
SEEN = "There is a {v} {s}. | You can see a {v} {s}. | They have a {v} {s}. | He found a {v} {s}."
ASKED = "is there a {v} {s} | can you see a {v} {s} | do they have a {v} {s} | did he find a {v} {s}"
SIMPLE = (
    _relation(THINGS, COLOURS, SEEN, ASKED),
    _relation(THINGS, MATERIALS, SEEN, ASKED),
    _relation(PLACES, COLOURS + "old new big small".split(), SEEN, ASKED),
    _relation(ANIMALS, COLOURS + "old young big small".split(), SEEN, ASKED),
    _relation(
        PARTS, NUMBERS, "There are {v} {s}. | You can see {v} {s}. | They have {v} {s}.",
        "are there {v} {s} | can you see {v} {s} | do they have {v} {s}",
    ),
)  # fmt: skip
RELATIONS = (
    _relation(
        THINGS, COLOURS, "The {s} is {v}. | The colour of the {s} is {v}. | There is a {s}, and it is {v}.",
        "is the {s} {v} | is the colour of the {s} {v}",
    ),
    _relation(
        THINGS, MATERIALS, "The {s} is made of {v}. | They built the {s} of {v}.",
        "is the {s} made of {v} | was the {s} made of {v}",
    ),
    _relation(
        THINGS, PLACES, "The {s} is in the {v}. | You can find the {s} in the {v}.",
        "is the {s} in the {v} | can you find the {s} in the {v}",
    ),
    _relation(NAMES, JOBS, "{s} is a {v}. | {s} works as a {v}.", "is {s} a {v} | does {s} work as a {v}"),
    _relation(NAMES, ANIMALS, "{s} has a {v}. | At home {s} has a {v}.", "does {s} have a {v} | has {s} got a {v}"),
    _relation(NAMES, FOODS, "{s} likes {v}. | {s} likes to have {v} every day.", "does {s} like {v}"),
    _relation(NAMES, CITIES, "{s} lives in {v}. | The home of {s} is in {v}.", "does {s} live in {v}"),
    _relation(
        PLACES, [f"{n} {p}" for n in NUMBERS for p in PARTS], "The {s} has {v}. | There are {v} in the {s}.",
        "does the {s} have {v} | are there {v} in the {s}",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    text: str
    answer: bool


def is_held_out(subject: str, value: str) -> bool:
    return zlib.crc32(f"{subject}|{value}".lower().encode()) % 8 == 0


def make(
    rng: random.Random, questions: int, held_out: bool, filler: list[str], known: tuple[Relation, ...] = SIMPLE
) -> tuple[str, list[Question]]:
    """A passage of three to eight facts, `filler` sentences among them, and questions, half of them with yes."""
    relations = rng.choices(known, k=rng.randint(2, 4))
    facts: dict[tuple[Relation, str], str] = {}
    for relation in relations:
        for subject in rng.sample(relation.subjects, rng.randint(1, 3)):
            values = [v for v in relation.values if is_held_out(subject, v) == held_out] or list(relation.values)
            facts[relation, subject] = rng.choice(values)
    items = list(facts.items())
    rng.shuffle(items)
    text = [rng.choice(r.statements).format(s=s, v=v) for (r, s), v in items] + filler
    rng.shuffle(text)
    asked = []
    for _ in range(questions):
        (relation, subject), value = rng.choice(items)
        answer = rng.random() < 0.5
        if not answer:
            in_text = [v for (r, s), v in items if r == relation and v != value]
            others = [v for v in relation.values if v != value]
            others = [v for v in others if is_held_out(subject, v) == held_out] or others
            value = rng.choice(in_text) if in_text and rng.random() < 0.6 else rng.choice(others)
        asked.append(Question(rng.choice(relation.questions).format(s=subject, v=value).lower(), answer))
    return " ".join(text), asked


def prompt(passage: str, question: str) -> str:
    return f"{passage}\nQuestion: {question}?\nAnswer:"


def sample(rng: random.Random, filler: list[str]) -> list[Segment]:
    """A passage with one question or with several in turn, whose answers are all learned."""
    count = 1 if rng.random() < 0.25 else rng.randint(2, 10)
    known = SIMPLE if rng.random() < 0.85 else RELATIONS
    passage, asked = make(rng, count, held_out=False, filler=filler, known=known)
    segments = [Segment(passage)]
    for question in asked:
        segments.append(Segment(f"\nQuestion: {question.text}?\nAnswer:"))
        segments.append(Segment(" yes" if question.answer else " no", learned=True))
    return segments
