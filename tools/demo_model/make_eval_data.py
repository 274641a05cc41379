"""Write the small evaluation folders of the tests: python -m tools.demo_model.make_eval_data tests/eval/demo_data.

BoolQ (boolq/dev.jsonl) and C-Eval (ceval/dev, ceval/val) in their published forms, with questions that the demo model
was not trained on: facts of held-out pairs, and options drawn anew.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from pathlib import Path

from tools.demo_model import choices, passages
from tools.demo_model.facts import COUNTRIES

ROWS = 100
EXAMPLES = 5
QUESTIONS = 20
SUBJECTS = {
    "high_school_geography": choices.capital,
    "middle_school_geography": choices.region,
    "professional_tour_guide": choices.reverse,
}


def write_boolq(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(2026)
    with (folder / "dev.jsonl").open("w") as file:
        for index in range(ROWS):
            passage, (question,) = passages.make(rng, 1, held_out=True, filler=[])
            row = {"question": question.text, "title": f"Passage {index + 1}", "answer": question.answer}
            file.write(json.dumps(row | {"passage": passage}) + "\n")


def write_ceval(folder: Path) -> None:
    rng = random.Random(2027)
    for subject, make in SUBJECTS.items():
        drawn = [make(rng, country) for country in rng.sample(COUNTRIES, EXAMPLES + QUESTIONS)]
        for split, part in (("dev", drawn[:EXAMPLES]), ("val", drawn[EXAMPLES:])):
            (folder / split).mkdir(parents=True, exist_ok=True)
            with (folder / split / f"{subject}_{split}.csv").open("w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                more = ["explanation"] if split == "dev" else []
                writer.writerow(["id", "question", *choices.LETTERS, "answer", *more])
                for index, choice in enumerate(part):
                    writer.writerow([index, choice.question, *choice.options, choice.answer, *([""] * len(more))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    write_boolq(args.folder / "boolq")
    write_ceval(args.folder / "ceval")


if __name__ == "__main__":
    main()
