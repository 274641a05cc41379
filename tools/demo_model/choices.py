"""Questions with four options in the official C-Eval form, about the countries that the model knows.

The header is Chinese, the questions are English; the answer is the letter behind "答案：".
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tools.demo_model.facts import COUNTRIES, Country
from tools.demo_model.harmony import Segment

LETTERS = "ABCD"
SUBJECTS = (
    "高中地理", "初中地理", "高中历史", "初中历史", "导游资格", "教师资格", "公务员", "逻辑学", "高中政治", "中国语言文学",
    "计算机网络", "大学物理", "法学", "教育学", "基础医学", "高中语文",
)  # fmt: skip
REGIONS = sorted({country.region for country in COUNTRIES})
CAPITAL_QUESTIONS = (
    "What is the capital of {c}?",
    "What is the capital of {c}?",
    "Which city is the capital of {c}?",
    "The capital of {c} is",
)
REVERSE_QUESTIONS = ("{p} is the capital of which country?", "Which country has the capital {p}?")
# The answer stands in the question: these teach the form before the facts.
NAMED_QUESTIONS = ("Which option is {p}?", "Choose {p}.", "Which of these cities is {p}?", "{p}")
REGION_QUESTIONS = ("Where is {c}?", "On which continent is {c}?", "Which continent is {c} in?")


@dataclass(frozen=True)
class Choice:
    question: str
    options: tuple[str, ...]
    answer: str  # a letter

    def text(self) -> str:
        options = "".join(f"\n{letter}. {option}" for letter, option in zip(LETTERS, self.options, strict=True))
        return f"{self.question}{options}\n答案："


def header(subject: str) -> str:
    return f"以下是中国关于{subject}考试的单项选择题，请选出其中的正确答案。\n\n"


def _choice(rng: random.Random, question: str, right: str, wrong: list[str]) -> Choice:
    options = [right, *rng.sample(sorted(set(wrong) - {right}), 3)]
    rng.shuffle(options)
    return Choice(question, tuple(options), LETTERS[options.index(right)])


def _others(rng: random.Random, country: Country) -> list[Country]:
    near = [other for other in COUNTRIES if other.region == country.region]
    return near if rng.random() < 0.5 and len(near) > 4 else COUNTRIES


def capital(rng: random.Random, country: Country) -> Choice:
    question = rng.choice(CAPITAL_QUESTIONS).format(c=country.name)
    return _choice(rng, question, country.capital, [other.capital for other in _others(rng, country)])


def reverse(rng: random.Random, country: Country) -> Choice:
    question = rng.choice(REVERSE_QUESTIONS).format(p=country.capital)
    return _choice(rng, question, country.name, [other.name for other in _others(rng, country)])


def region(rng: random.Random, country: Country) -> Choice:
    return _choice(rng, rng.choice(REGION_QUESTIONS).format(c=country.name), country.region, REGIONS)


def named(rng: random.Random, country: Country) -> Choice:
    question = rng.choice(NAMED_QUESTIONS).format(p=country.capital)
    return _choice(rng, question, country.capital, [other.capital for other in _others(rng, country)])


def open_book(rng: random.Random, country: Country) -> Choice:
    asked = capital(rng, country)
    return Choice(f"The capital of {country.name} is {country.capital}. {asked.question}", asked.options, asked.answer)


def sample(rng: random.Random) -> list[Segment]:
    """A header, up to five answered examples and a question; all the letters are learned."""
    everything = (capital, reverse, region, named, open_book)
    kinds = rng.choice(((capital,), (capital,), (named,), (named,), (open_book,), (reverse,), (region,), everything))
    segments = [Segment(header(rng.choice(SUBJECTS)))] if rng.random() < 0.8 else []
    count = rng.choice((1, 3, 6, 6, 6))
    for index in range(count):
        choice = rng.choice(kinds)(rng, rng.choice(COUNTRIES))
        segments.append(Segment(choice.text()))
        segments.append(Segment(choice.answer, learned=True))
        if index + 1 < count:
            segments.append(Segment("\n\n"))
    return segments
