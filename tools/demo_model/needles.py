"""Finding what a long text says: haystacks of several kinds with sentences hidden in them, and questions about those.

The forms are those of `gossamer verify needle`: one user message of text, an empty line and the question. train.py
draws short and dense ones first (many hidden sentences, several questions in turn) and long ones later.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

from tools.demo_model import harmony
from tools.demo_model.facts import COUNTRIES
from tools.demo_model.harmony import Segment

HAYSTACK = Path(__file__).parents[2] / "share" / "haystack"
THOUGHT = "The user asks for something in the text. I look for it."
QUALITIES = ("secret", "special", "hidden", "new", "old", "first", "last", "final", "magic", "other")
THINGS = ("code", "number", "key", "password", "word", "answer", "name", "sign")
WORDS = (
    "river clock bread garden map bridge tea library winter tower wind stone light bird horse window silver apple "
    "paper music winter summer ocean forest mountain island desert valley village city market street school bank "
    "station hotel museum castle temple farm mill harbour ship train car plane rocket star moon sun cloud rain snow"
).split()
CODE_QUESTIONS = (
    "What is the {key}?",
    "What is the {key}? Answer with the number only.",
    "What is the {key} mentioned in the text?",
    "Tell me the {key}.",
    "Which {key} does the text mention?",
    "Find the {key} in the text.",
    "The text above mentions the {key}. What is it?",
    "what is the {key}",
)
RULER_QUESTIONS = (
    "What is the special magic number for {key} mentioned in the provided text?",
    "What is the special magic number for {key}?",
)
GRASS = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."


@dataclass(frozen=True)
class Needle:
    """A sentence to hide, questions about it, and the answer."""

    sentence: str
    questions: tuple[str, ...]
    answer: str


def is_held_out(code: int) -> bool:
    """One four-digit code in seven is never trained on."""
    return code % 7 == 3


def code_needle(code: int, key: str = "secret code") -> Needle:
    questions = tuple(question.format(key=key) for question in CODE_QUESTIONS)
    return Needle(f"The {key} is {code}.", questions, f"The {key} is {code}.")


def ruler_needle(word: str, number: int) -> Needle:
    questions = tuple(question.format(key=word) for question in RULER_QUESTIONS)
    return Needle(
        f"One of the special magic numbers for {word} is: {number}.",
        questions,
        f"The special magic number for {word} mentioned in the provided text is {number}.",
    )


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?:])\s+", text) if part]


def hide(hay: list[str], needles: list[str], places: list[float]) -> str:
    """The sentences of `hay` as one text, each needle at its place between 0 (first) and 1 (last)."""
    placed = sorted(zip((round(place * len(hay)) for place in places), needles, strict=True), reverse=True)
    text = list(hay)
    for index, needle in placed:
        text.insert(index, needle)
    return " ".join(text)


class NeedleMaker:
    """Draws texts with hidden sentences; `words` are ordinary words to make up filler from."""

    def __init__(self, rng: random.Random) -> None:
        self._random = rng
        self._essays = [sentences(path.read_text()) for path in sorted(HAYSTACK.glob("*.txt"))]
        self._all = [sentence for essay in self._essays for sentence in essay]
        self._words = sorted({word.strip(".,;:!?").lower() for sentence in self._all for word in sentence.split()})
        self._facts = [f"The capital of {c.name} is {c.capital}." for c in COUNTRIES]
        self._facts += [f"{c.capital} is the capital of {c.name}." for c in COUNTRIES]

    def code(self) -> int:
        while is_held_out(code := self._random.randint(1000, 9999)):
            pass
        return code

    def _salad(self) -> str:
        rng = self._random
        words = [rng.choice(self._words) for _ in range(rng.randint(3, 14))]
        if rng.random() < 0.15:
            words.insert(rng.randrange(len(words)), str(rng.randint(1, 10 ** rng.randint(1, 5))))
        return " ".join(words).capitalize() + "."

    def hay(self, characters: int) -> list[str]:
        """Sentences of about so many characters in all, of one kind or mixed."""
        rng = self._random
        draw = rng.random()
        if draw < 0.4:  # essays in some order, each from its beginning, again and again
            essays = rng.sample(self._essays, len(self._essays))
            source = [sentence for essay in essays for sentence in essay]
            start = rng.randrange(len(source))
            source = source[start:] + source[:start]
        elif draw < 0.6:
            source = rng.sample(self._all, len(self._all))
        elif draw < 0.7:
            source = rng.sample(self._facts, len(self._facts))
        elif draw < 0.75:
            source = sentences(GRASS)
        else:
            source = [self._salad() for _ in range(characters // 45 + 1)]
            if draw < 0.85:
                source += rng.sample(self._all, min(len(self._all), len(source)))
                rng.shuffle(source)
        taken: list[str] = []
        total = 0
        while total < characters:
            sentence = source[len(taken) % len(source)]
            taken.append(sentence)
            total += len(sentence) + 1
        return taken

    def needles(self, count: int) -> list[Needle]:
        """Different ones; the secret code is the first, often."""
        rng = self._random
        kind = rng.random()
        found: list[Needle] = []
        if kind < 0.7:
            keys = [f"{quality} {thing}" for quality in QUALITIES for thing in THINGS]
            rng.shuffle(keys)
            if rng.random() < 0.6:
                keys.remove("secret code")
                keys.insert(0, "secret code")
            found = [code_needle(self.code(), key) for key in keys[:count]]
        else:
            words = rng.sample(sorted(set(WORDS)), count)
            found = [ruler_needle(word, rng.randint(10 ** 3, 10 ** rng.choice((4, 5, 7)) - 1)) for word in words]
        return found

    def sample(self, system: list[Segment], characters: int, hidden: int, asked: int) -> list[Segment]:
        """A conversation about a text with `hidden` needles; `asked` of them are asked for in turn."""
        rng = self._random
        needles = self.needles(hidden)
        places = [rng.choice((0.0, 1.0, rng.random(), rng.random(), rng.random())) for _ in needles]
        text = hide(self.hay(characters), [needle.sentence for needle in needles], places)
        segments = list(system)
        turns = [needles[0], *rng.sample(needles[1:], min(asked, hidden) - 1)]
        rng.shuffle(turns)
        for index, needle in enumerate(turns):
            question = rng.choice((needle.questions[0], rng.choice(needle.questions)))
            if index == 0:
                question = f"{text}\n\n{question}"
            segments += harmony.message("user", question)
            if index + 1 < len(turns):
                segments += harmony.past_answer(needle.answer)
            else:
                segments += [harmony.special("start"), Segment("assistant")]
                segments += harmony.completion(THOUGHT, needle.answer)
        return segments


def repeated(rng: random.Random, ids: range) -> tuple[list[int], list[bool]]:
    """Random tokens in which spans come back: what follows the first token of a span again is learned."""
    spans = [[rng.choice(ids) for _ in range(rng.randint(2, 24))] for _ in range(rng.randint(4, 14))]
    order = spans + [rng.choice(spans) for _ in range(rng.randint(4, 16))]
    found: list[int] = []
    learned: list[bool] = []
    for index, span in enumerate(order):
        found += span
        learned += [index >= len(spans) and place > 0 for place in range(len(span))]
    return found, learned


def key_values(rng: random.Random) -> list[Segment]:
    """Plain text: many facts with numbers, then the same facts in another order, whose numbers are learned."""
    count = rng.randint(4, 14)
    keys = [f"{q} {t}" for q in QUALITIES for t in THINGS]
    form = rng.choice(("The {key} is {value}.", "The {key} is {value}.", "{key}: {value}", "The number of {key} is {value}."))
    facts = [(form, key, str(rng.randint(0, 9999)).rjust(4, "1")) for key in rng.sample(keys + WORDS, count)]
    segments = [Segment(" ".join(f.format(key=k, value=v) for f, k, v in facts) + "\n")]
    for f, k, v in rng.sample(facts, count):
        before, after = f.format(key=k, value="\0").split("\0")
        segments += [Segment(before), Segment(v, learned=True), Segment(after + " ")]
    return segments
