"""Test what the demo model reads: python -m tools.demo_model.evaluate_reading models/demo [--lengths 256 1024 ...].

Needles at every length and depth, passages with yes/no questions, and questions with four options, all drawn anew and
with codes and facts that training never asked about. Prints Markdown tables. One forward pass of the training model
(BF16) over prompt and expected answer decides whether the greedy answer is the expected one, to the letter.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from tools.demo_model import choices, harmony, needles, passages
from tools.demo_model.checkpoint import training_weights
from tools.demo_model.facts import COUNTRIES
from tools.demo_model.harmony import Segment
from tools.demo_model.model import DemoModel, ModelConfig
from tools.demo_model.tokenizer import SegmentEncoder, Tokenizer

DEPTHS = (0, 25, 50, 75, 100)


class Reader:
    """The model, asked by likelihood."""

    def __init__(self, folder: Path) -> None:
        self._model = DemoModel(ModelConfig()).eval()
        self._model.load_state_dict(training_weights(folder))
        self.encoder = SegmentEncoder(Tokenizer.from_file(str(folder / "tokenizer.json")))

    @torch.no_grad()
    def _log_probabilities(self, ids: list[int], wanted: list[bool]) -> torch.Tensor:
        logits, _ = self._model(torch.tensor([ids]), torch.tensor([wanted]))
        return F.log_softmax(logits.float(), -1)

    def says(self, segments: list[Segment]) -> bool:
        """Whether every learned token is the likeliest one at its place."""
        ids, learned = self.encoder.encode(segments)
        targets = torch.tensor(ids)[1:][torch.tensor(learned)[1:]]
        found = self._log_probabilities(ids, [*learned[1:], False])
        return bool((found.argmax(-1) == targets).all())

    def likeliest(self, prompt: str, continuations: tuple[str, ...]) -> str:
        def score(text: str) -> float:
            before, _ = self.encoder.encode([Segment(prompt)])
            after, _ = self.encoder.encode([Segment(text)])
            ids = before + after
            wanted = [len(before) - 1 <= i < len(ids) - 1 for i in range(len(ids))]
            found = self._log_probabilities(ids, wanted)
            return found[torch.arange(len(after)), torch.tensor(after)].sum().item()

        return max(continuations, key=score)


def needle_conversation(text: str, needle: needles.Needle, question: str) -> list[Segment]:
    return [
        *harmony.message("system", harmony.system_text("medium", None, with_tools=False)),
        *harmony.message("user", f"{text}\n\n{question}"),
        harmony.special("start"),
        Segment("assistant"),
        *harmony.completion(needles.THOUGHT, needle.answer),
    ]


def held_out_code(rng: random.Random) -> int:
    while not needles.is_held_out(code := rng.randint(1000, 9999)):
        pass
    return code


def essays(reader: Reader, tokens: int) -> list[str]:
    """share/haystack, file by file and again from the first, so many tokens of it in whole sentences."""
    source = [s for path in sorted(needles.HAYSTACK.glob("*.txt")) for s in needles.sentences(path.read_text())]
    taken: list[str] = []
    total = 0
    while total < tokens:
        taken.append(source[len(taken) % len(source)])
        total += len(reader.encoder.encode([Segment(" " + taken[-1])])[0])
    return taken


def needle_table(reader: Reader, lengths: list[int], codes: int, make: Callable[[random.Random], needles.Needle]) -> None:
    print(f"| tokens of text | {' | '.join(f'depth {depth} %' for depth in DEPTHS)} |")
    print("|---" * (len(DEPTHS) + 1) + "|")
    rng = random.Random(5)
    for length in lengths:
        hay = essays(reader, length)
        cells = []
        for depth in DEPTHS:
            right = 0
            for _ in range(codes):
                needle = make(rng)
                text = needles.hide(hay, [needle.sentence], [depth / 100])
                right += reader.says(needle_conversation(text, needle, needle.questions[0]))
            cells.append(f"{right} of {codes}")
        print(f"| {length:,} | {' | '.join(cells)} |", flush=True)


def passages_right(reader: Reader, count: int, filler: int) -> int:
    rng = random.Random(6)
    hay = needles.NeedleMaker(rng)
    right = 0
    for _ in range(count):
        passage, (question,) = passages.make(rng, 1, held_out=True, filler=hay.hay(120)[:filler])
        answer = reader.likeliest(passages.prompt(passage, question.text), (" yes", " no"))
        right += answer == (" yes" if question.answer else " no")
    return right


def choices_right(reader: Reader, make: Callable[[random.Random, object], choices.Choice], count: int) -> int:
    rng = random.Random(8)
    right = 0
    for country in rng.sample(COUNTRIES, count):
        shots = [make(rng, other) for other in rng.sample(COUNTRIES, 5)]
        asked = make(rng, country)
        text = choices.header("高中地理") + "".join(f"{shot.text()}{shot.answer}\n\n" for shot in shots) + asked.text()
        right += reader.likeliest(text, tuple(choices.LETTERS)) == asked.answer
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lengths", type=int, nargs="*", default=[256, 512, 1024, 2048, 4096, 8192])
    parser.add_argument("--codes", type=int, default=5, help="different numbers for each cell")
    parser.add_argument("--questions", type=int, default=145, help="of every other kind")
    args = parser.parse_args()
    torch.set_num_threads(1)
    reader = Reader(args.folder)

    print("| questions | right | |\n|---|---|---|")
    count = args.questions
    rows = {
        "a passage, yes or no": passages_right(reader, count, filler=0),
        "the same with two sentences of an essay": passages_right(reader, count, filler=2),
        "A to D: the capital of a country": choices_right(reader, choices.capital, count),
        "A to D: the country of a capital": choices_right(reader, choices.reverse, count),
        "A to D: the part of the world": choices_right(reader, choices.region, count),
    }
    for name, right in rows.items():
        print(f"| {name} | {right} of {count} | {right / count:.2%} |", flush=True)
    print('\n"The secret code is NNNN.":\n')
    needle_table(reader, args.lengths, args.codes, lambda rng: needles.code_needle(held_out_code(rng)))
    print('\n"One of the special magic numbers for WORD is: NNNNNNN.":\n')
    needle_table(
        reader,
        args.lengths[:4],
        args.codes,
        lambda rng: needles.ruler_needle(rng.choice(needles.WORDS), rng.randint(10**6, 10**7 - 1)),
    )


if __name__ == "__main__":
    main()
