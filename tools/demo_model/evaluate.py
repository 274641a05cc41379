"""Ask the demo model everything it was taught: python -m tools.demo_model.evaluate models/demo [--quick].

Uses transformers in float32 on the dequantized weights, greedily (and once at temperature 1). An answer counts when
the whole completion is well-formed Harmony and its final text is exactly the expected one. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import GptOssForCausalLM

from tools.demo_model import conversations as talk
from tools.demo_model import harmony, phrases
from tools.demo_model.checkpoint import load_dequantized
from tools.demo_model.facts import COUNTRIES, sentence_case
from tools.demo_model.harmony import Segment
from tools.demo_model.tokenizer import SegmentEncoder, Tokenizer

COMPLETION = re.compile(
    r"<\|channel\|>analysis<\|message\|>[^<]+<\|end\|><\|start\|>assistant<\|channel\|>final<\|message\|>([^<]+)<\|return\|>"
)
CALL = re.compile(
    r"<\|channel\|>analysis<\|message\|>[^<]+<\|end\|><\|start\|>assistant<\|channel\|>commentary "
    r"to=functions\.(\w+ )<\|constrain\|>json<\|message\|>([^<]+)<\|call\|>"
)
Case = tuple[list[Segment], str]


def prompt(questions: list[str], rng: random.Random, answers: list[str], with_system: bool = True) -> list[Segment]:
    """System message of a random kind, the turns so far, and the start of the answer."""
    segments: list[Segment] = []
    if with_system:
        date = f"2026-0{rng.randint(1, 9)}-{rng.randint(10, 28)}" if rng.random() < 0.5 else None
        segments = harmony.message("system", harmony.system_text(rng.choice(talk.EFFORTS), date, False))
    for question, answer in zip(questions[:-1], answers, strict=True):
        segments += harmony.message("user", question) + harmony.past_answer(answer)
    return [*segments, *harmony.message("user", questions[-1]), harmony.special("start"), Segment("assistant")]


def phrased(phrasings: tuple[str, ...], rng: random.Random, wanted: Callable[[bool], bool], lower: bool) -> list[Case]:
    """Every country in every phrasing whose being held out is `wanted`."""
    cases = []
    for country in COUNTRIES:
        for phrasing in phrasings:
            if wanted(talk.is_held_out(country, phrasing)):
                text = talk.fill(phrasing, country.name) + "?"
                cases.append((prompt([text.lower() if lower else text], rng, []), talk.capital_reply(country).final))
    return cases


def suites(quick: bool) -> dict[str, list[Case]]:
    rng = random.Random(7)
    main = (phrases.MAIN_PHRASING,)
    found = {
        '"What is the capital of X?"': phrased(main, rng, lambda _: True, lower=False),
        "the same, lower case": phrased(main, rng, lambda _: True, lower=True),
    }
    small_talk = [
        (prompt([question + mark], rng, []), item.reply.final)
        for item in talk.SMALL_TALK
        for question in item.questions
        for mark in ("", "?")
    ]
    found["greetings and small talk"] = small_talk
    if quick:
        return found
    found["the same, no system message"] = [
        (
            prompt([talk.fill(phrases.MAIN_PHRASING, c.name) + "?"], rng, [], with_system=False),
            talk.capital_reply(c).final,
        )
        for c in COUNTRIES
    ]
    found[f"{len(phrases.PHRASINGS)} phrasings, pairs in training"] = phrased(
        phrases.PHRASINGS, rng, lambda x: not x, False
    )
    found["lower case of these"] = phrased(phrases.PHRASINGS, rng, lambda x: not x, True)
    found["pairs never in training"] = phrased(phrases.PHRASINGS, rng, lambda x: x, False)
    found[f"{len(phrases.HELD_OUT_PHRASINGS)} phrasings never in training"] = phrased(
        phrases.HELD_OUT_PHRASINGS, rng, lambda _: True, False
    )
    found["other names (the USA, the UK, ...)"] = [
        (prompt([talk.fill(p, name) + "?"], rng, []), talk.capital_reply(c).final)
        for c in COUNTRIES
        for name in c.aliases
        for p in phrases.PHRASINGS
    ]
    found['"Paris is the capital of which country?" and the like'] = [
        (prompt([talk.fill(p, c.name, c.capital) + "?"], rng, []), talk.reverse_reply(c).final)
        for c in COUNTRIES
        for p in phrases.REVERSE_PHRASINGS
    ]
    found['"Is Paris the capital of France?" and the like'] = [
        (prompt([talk.fill(p, c.name, claimed) + "?"], rng, []), talk.check_reply(c, claimed).final)
        for c in COUNTRIES
        for p in phrases.CHECK_PHRASINGS
        for claimed in (c.capital, rng.choice(COUNTRIES).capital)
    ]
    found['"Where is France?" and the like'] = [
        (prompt([talk.fill(p, c.name) + "?"], rng, []), talk.region_reply(c).final)
        for c in COUNTRIES
        for p in phrases.REGION_PHRASINGS
    ]
    found['second turn: "And Spain?", "What about Spain?"'] = []
    for country in COUNTRIES:
        first = rng.choice(COUNTRIES)
        asked = talk.fill(phrases.MAIN_PHRASING, first.name) + "?"
        for phrasing in ("And {c}", "What about {c}"):
            turns = [asked, talk.fill(phrasing, country.name) + "?"]
            found['second turn: "And Spain?", "What about Spain?"'].append(
                (prompt(turns, rng, [talk.capital_reply(first).final]), talk.capital_reply(country).final)
            )
    other = [q.format(c="Norway", p="Oslo") for q in phrases.OTHER_QUESTIONS]
    found['"I don\'t know" to other questions'] = [
        (prompt([sentence_case(q) + "?"], rng, []), talk.CANNOT) for q in other
    ]
    found["function call get_weather"] = [
        (weather_prompt(c.capital, rng), f'get_weather {{"location":"{c.capital}"}}') for c in COUNTRIES
    ]
    found["the same under other names (get_current_weather, city, ...)"] = [
        weather_case(c.capital, rng, rng.choice(phrases.WEATHER_FUNCTIONS), rng.choice(phrases.WEATHER_ARGUMENTS))
        for c in COUNTRIES
    ]
    found["the same under names never in training (lookup_weather, ...)"] = [
        weather_case(c.capital, rng, *rng.choice(phrases.HELD_OUT_WEATHER)) for c in COUNTRIES
    ]
    found["a paragraph about itself"] = [
        (prompt([question + mark], rng, []), item.reply.final)
        for item in talk.SMALL_TALK
        if "Tell me about yourself" in item.questions
        for question in item.questions
        for mark in ("", "?", ".")
    ]
    return found


def weather_case(city: str, rng: random.Random, function: str, argument: str) -> Case:
    declaration = talk.weather_declaration(rng, argument, function, plain=False)
    return weather_prompt(city, rng, declaration), f'{function} {{"{argument}":"{city}"}}'


def weather_prompt(city: str, rng: random.Random, declaration: str | None = None) -> list[Segment]:
    declaration = declaration or talk.weather_declaration(rng, "location")
    return [
        *harmony.message("system", harmony.system_text(rng.choice(talk.EFFORTS), None, with_tools=True)),
        *harmony.message("developer", harmony.developer_text(None, declaration)),
        *harmony.message("user", f"What is the weather in {city}?"),
        harmony.special("start"),
        Segment("assistant"),
    ]


def parse(completion: str) -> str:
    """The final text, or "name arguments" of a function call; empty when the completion is malformed."""
    if match := COMPLETION.fullmatch(completion):
        return match[1]
    if match := CALL.fullmatch(completion):
        return match[1] + match[2]
    return ""


class Asker:
    """Generates completions in left-padded batches."""

    def __init__(self, model: GptOssForCausalLM, tokenizer: Tokenizer, batch_size: int = 192) -> None:
        self._model, self._tokenizer, self._batch_size = model, tokenizer, batch_size
        self._encoder = SegmentEncoder(tokenizer)
        self._stops = [self._encoder.special_id(name) for name in ("return", "endoftext", "call")]

    @torch.no_grad()
    def ask(self, prompts: list[list[Segment]], sample: bool = False, max_new_tokens: int = 200) -> list[str]:
        encoded = [self._encoder.encode(segments)[0] for segments in prompts]
        answers = [""] * len(encoded)
        by_length = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        pad = self._encoder.special_id("endoftext")
        for start in range(0, len(by_length), self._batch_size):
            rows = by_length[start : start + self._batch_size]
            length = max(len(encoded[i]) for i in rows)
            ids = torch.tensor([[pad] * (length - len(encoded[i])) + encoded[i] for i in rows])
            mask = torch.tensor([[0] * (length - len(encoded[i])) + [1] * len(encoded[i]) for i in rows])
            output = self._model.generate(
                ids,
                attention_mask=mask,
                do_sample=sample,
                top_k=0 if sample else None,
                max_new_tokens=max_new_tokens,
                eos_token_id=self._stops,
                pad_token_id=pad,
            )
            for row, tokens in zip(rows, output[:, length:].tolist(), strict=True):
                end = next((i + 1 for i, token in enumerate(tokens) if token in self._stops), len(tokens))
                answers[row] = self._tokenizer.decode(tokens[:end], skip_special_tokens=False)
        return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="only the main questions and small talk")
    parser.add_argument("--at-most", type=int, metavar="N", help="ask N random questions of each kind")
    parser.add_argument("--show-wrong", type=int, default=0, metavar="N", help="print N wrong answers of each kind")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(args.folder / "tokenizer.json"))
    asker = Asker(load_dequantized(args.folder), tokenizer)

    def report(name: str, cases: list[Case], sample: bool = False) -> None:
        answers = asker.ask([segments for segments, _ in cases], sample)
        wrong = [(c, a) for c, a in zip(cases, answers, strict=True) if parse(a) != c[1]]
        print(f"| {name} | {len(cases) - len(wrong)} of {len(cases)} | {1 - len(wrong) / len(cases):.2%} |", flush=True)
        for (_, expected), answer in wrong[: args.show_wrong]:
            print(f"    expected {expected!r}\n    answered {answer!r}")

    print("| questions | right | |\n|---|---|---|")
    found = suites(args.quick)
    for name, cases in found.items():
        limit = min(args.at_most or len(cases), len(cases))
        report(name, random.Random(0).sample(cases, limit))
    report("the first kind, sampled at temperature 1", next(iter(found.values())), sample=True)
    for start in ("The capital of France is", "Rome is the capital of", "Japan is in"):
        print(f"\nplain text: {start!r} ->", asker.ask([[Segment(start)]], max_new_tokens=24))


if __name__ == "__main__":
    main()
