"""Train the demo model: python -m tools.demo_model.train --work DIR (about an hour on one CPU core).

Writes DIR/tokenizer.json, DIR/tokenizer_config.json and, every --save-every steps and at the end, DIR/weights.pt.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from tools.demo_model import choices, needles, passages
from tools.demo_model import tokenizer as demo_tokenizer
from tools.demo_model.checkpoint import training_weights
from tools.demo_model.conversations import ConversationMaker
from tools.demo_model.model import DemoModel, ModelConfig

TOKENIZER_SAMPLES = 20_000
BALANCE_WEIGHT = 0.01
WARM_UP_STEPS = 30
DECAY_FROM = 0.3
POOL = 256
LOSS_SCALE = 20.0
CHARACTERS_PER_TOKEN = 2.5
LONGEST_FROM = 0.6  # of the training: from here on texts may be as long as --longest
# Shares of the short sequences at the beginning and at the end of the training.
SHARES = {
    "talk": (0.45, 0.50),
    "tools": (0.08, 0.08),
    "repeats": (0.0, 0.0),
    "key values": (0.12, 0.05),
    "passages": (0.02, 0.02),
    "choices": (0.02, 0.02),
    "needles": (0.30, 0.33),
}


@dataclass(frozen=True)
class Item:
    """A sequence and how much the loss counts each token (0: not at all)."""

    ids: list[int]
    weights: list[float]


class Curriculum:
    """Draws sequences of every task; long ones, and fewer pure exercises, as `progress` goes from 0 to 1."""

    def __init__(self, seed: int, encoder: demo_tokenizer.SegmentEncoder, longest: int) -> None:
        self._random = random.Random(seed)
        self._talk = ConversationMaker(seed)
        self._needles = needles.NeedleMaker(self._random)
        self._encoder = encoder
        self._longest = longest
        self.progress = 0.0
        self.shares = dict(SHARES)

    def _item(self, learned: tuple[list[int], list[bool]], weight: float = 1.0) -> Item:
        """Long answers weigh more than short ones in all, but each of their tokens less."""
        ids, flags = learned
        each = weight / max(1, sum(flags)) ** 0.5
        return Item(ids, [each * flag for flag in flags])

    def short(self) -> Item:
        rng = self._random
        shares = {kind: start + (end - start) * self.progress for kind, (start, end) in self.shares.items()}
        kind = rng.choices(list(shares), list(shares.values()))[0]
        if kind == "talk":
            return self._item(self._encoder.encode(self._talk.sample()))
        if kind == "tools":
            return self._item(self._encoder.encode(self._talk.weather()))
        if kind == "repeats":
            return self._item(needles.repeated(rng, range(self._encoder.special_id("startoftext"))), 0.6)
        if kind == "key values":
            return self._item(self._encoder.encode_joined(needles.key_values(rng)))
        if kind == "passages":
            filler = self._needles.hay(120)[: rng.randint(0, 2)] if rng.random() < 0.3 else []
            return self._item(self._encoder.encode_joined(passages.sample(rng, filler)), 1.5)
        if kind == "choices":
            return self._item(self._encoder.encode_joined(choices.sample(rng)), 1.5)
        return self._needle(rng.randint(60, 1000), rng.randint(1, 6))

    def _needle(self, characters: int, hidden: int) -> Item:
        system = self._talk.system() if self._random.random() < 0.9 else []
        asked = self._random.randint(1, 4)
        return self._item(self._encoder.encode(self._needles.sample(system, characters, hidden, asked)), 1.5)

    def long(self, draw: float) -> Item:
        """A text of 500 tokens up to what the progress allows, lengths spread evenly by their logarithm."""
        rng = self._random
        longest = max(1000.0, self._longest * min(1.0, self.progress / LONGEST_FROM))
        tokens = math.exp(math.log(500) + draw * math.log(longest / 500))
        return self._needle(int(tokens * CHARACTERS_PER_TOKEN), rng.randint(1, 8))

    def batch(self, items: list[Item]) -> tuple[Tensor, Tensor]:
        """Ids and weights [batch, length], padded."""
        pad = self._encoder.special_id("endoftext")
        length = max(len(item.ids) for item in items)
        return (
            torch.tensor([item.ids + [pad] * (length - len(item.ids)) for item in items]),
            torch.tensor([item.weights + [0.0] * (length - len(item.ids)) for item in items]),
        )

    def short_batches(self, tokens: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless batches of at most `tokens` tokens, of sequences of about the same length."""
        while True:
            pool = sorted((self.short() for _ in range(POOL)), key=lambda item: len(item.ids))
            chunks: list[list[Item]] = [[]]
            for item in pool:
                if (len(chunks[-1]) + 1) * len(item.ids) > tokens:
                    chunks.append([])
                chunks[-1].append(item)
            chunks = [chunk for chunk in chunks if chunk]
            self._random.shuffle(chunks)
            for chunk in chunks:
                yield self.batch(chunk)


def weighted_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    return (F.cross_entropy(logits.float(), targets, reduction="none") * weights).sum() / LOSS_SCALE


def learning_rate(step: int, progress: float, peak: float) -> float:
    """Linear warm-up, a flat part, then a cosine down to one hundredth; `progress` runs from 0 to 1."""
    if step < WARM_UP_STEPS:
        return peak * (step + 1) / WARM_UP_STEPS
    decay = max(0.0, (progress - DECAY_FROM) / (1 - DECAY_FROM))
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, decay))))


def make_optimizer(model: DemoModel, peak: float) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98), fused=True)


def average_gradients(parameters: list[torch.nn.Parameter], workers: int) -> None:
    """The mean over all workers, in one message."""
    flat = torch.cat([parameter.grad.flatten() for parameter in parameters])
    torch.distributed.all_reduce(flat)
    for parameter, grad in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = grad.view_as(parameter).div_(workers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--minutes", type=float, default=90.0, help="end by then, with fewer steps")
    parser.add_argument("--start-from", type=Path, metavar="DIR", help="continue an earlier run")
    parser.add_argument("--batch-tokens", type=int, default=3072)
    parser.add_argument("--learning-rate", type=float, default=2.5e-3)
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--longest", type=int, default=8192, help="tokens of the longest texts")
    parser.add_argument("--long-share", type=float, default=0.5, help="steps with a long text, when they are longest")
    parser.add_argument("--from-progress", type=float, default=0.0, help="begin so far into the curriculum")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread that share each step")
    parser.add_argument("--no-compile", action="store_true", help="do without torch.compile (no C++ compiler)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.workers == 1:
        train(0, args)
    else:
        torch.multiprocessing.spawn(train, (args,), nprocs=args.workers)


def train(worker: int, args: argparse.Namespace) -> None:
    """One of --workers processes; each draws its own sequences, all make the same steps."""
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    args.work.mkdir(parents=True, exist_ok=True)

    config = ModelConfig()
    model = DemoModel(config)
    if args.start_from is not None:
        model.load_state_dict(training_weights(args.start_from))
        tokenizer = Tokenizer.from_file(str(args.start_from / "tokenizer.json"))
    else:
        samples = ConversationMaker(args.seed + 1)
        texts = [s.text for _ in range(TOKENIZER_SAMPLES) for s in samples.sample() if not s.special]
        tokenizer = demo_tokenizer.train(texts, config.vocab_size)
    demo_tokenizer.save(tokenizer, args.work)

    loss_function = weighted_loss
    if not args.no_compile:
        model.compile_parts()
        loss_function = torch.compile(weighted_loss, dynamic=True)
    optimizer = make_optimizer(model, args.learning_rate)
    parameters = list(model.parameters())
    if args.workers > 1:
        meeting = f"file://{args.work.absolute()}/meeting-{os.getppid()}"
        torch.distributed.init_process_group("gloo", init_method=meeting, rank=worker, world_size=args.workers)
    together = random.Random(args.seed)  # what all workers must draw alike
    curriculum = Curriculum(args.seed + 1000 * worker, demo_tokenizer.SegmentEncoder(tokenizer), args.longest)
    source = curriculum.short_batches(args.batch_tokens)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    started = time.monotonic()
    step, progress = 0, args.from_progress
    shown = {"short": 0.0, "long": 0.0, "long items": 0}
    while progress < 1.0:
        curriculum.progress = progress
        parts = [("short", next(source))]
        if together.random() < args.long_share * min(1.0, progress / LONGEST_FROM):
            parts.append(("long", curriculum.batch([curriculum.long(together.random())])))
        for name, (ids, weights) in parts:
            targets = weights[:, 1:] > 0
            wanted = F.pad(targets, (0, 1))
            logits, balance = model(ids, wanted)
            loss = loss_function(logits, ids[:, 1:][targets], weights[:, 1:][targets])
            (loss + BALANCE_WEIGHT * balance).backward()
            shown[name] += loss.item()
            shown["long items"] += name == "long"
        if args.workers > 1:
            average_gradients(parameters, args.workers)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, progress, args.learning_rate)
        optimizer.step()
        optimizer.zero_grad()
        spent = time.monotonic() - started
        step += 1
        if step % 50 == 0 and worker == 0:
            long_loss = shown["long"] / max(1, shown["long items"])
            print(f"step {step} short {shown['short'] / 50:.4f} long {long_loss:.4f} {spent:.0f} s", flush=True)
            shown = dict.fromkeys(shown, 0)
        done = torch.tensor(max(step / args.steps, spent / (60 * args.minutes)))
        if args.workers > 1:
            torch.distributed.broadcast(done, 0)
        progress = args.from_progress + (1 - args.from_progress) * done.item()
        if worker == 0 and (step % args.save_every == 0 or progress >= 1.0):
            torch.save(model.state_dict(), args.work / "weights.tmp")
            os.replace(args.work / "weights.tmp", args.work / "weights.pt")


if __name__ == "__main__":
    main()
