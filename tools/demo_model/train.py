"""Train the demo model: python -m tools.demo_model.train --work DIR (about an hour on one CPU core).

Writes DIR/tokenizer.json, DIR/tokenizer_config.json and, every --save-every steps and at the end, DIR/weights.pt.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from tools.demo_model import tokenizer as demo_tokenizer
from tools.demo_model.conversations import ConversationMaker
from tools.demo_model.model import DemoModel, ModelConfig

TOKENIZER_SAMPLES = 20_000
BALANCE_WEIGHT = 0.01
WARM_UP_STEPS = 30
DECAY_FROM = 0.3


def batches(
    maker: ConversationMaker, encoder: demo_tokenizer.SegmentEncoder, tokens: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of about `tokens` tokens: ids [batch, length] and which of them the loss counts."""
    pad = encoder.special_id("endoftext")
    while True:
        pool = sorted((encoder.encode(maker.sample()) for _ in range(1024)), key=lambda item: len(item[0]))
        chunks: list[list[tuple[list[int], list[bool]]]] = [[]]
        for item in pool:
            if (len(chunks[-1]) + 1) * len(item[0]) > tokens:
                chunks.append([])
            chunks[-1].append(item)
        for index in torch.randperm(len(chunks)).tolist():
            chunk = chunks[index]
            length = max(len(ids) for ids, _ in chunk)
            yield (
                torch.tensor([ids + [pad] * (length - len(ids)) for ids, _ in chunk]),
                torch.tensor([learned + [False] * (length - len(learned)) for _, learned in chunk]),
            )


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), targets)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--minutes", type=float, default=90.0, help="end by then, with fewer steps")
    parser.add_argument("--start-from", type=Path, metavar="DIR", help="continue an earlier run")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--learning-rate", type=float, default=2.5e-3)
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-compile", action="store_true", help="do without torch.compile (no C++ compiler)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.work.mkdir(parents=True, exist_ok=True)

    config = ModelConfig()
    model = DemoModel(config)
    if args.start_from is not None:
        model.load_state_dict(torch.load(args.start_from / "weights.pt", weights_only=True))
        tokenizer = Tokenizer.from_file(str(args.start_from / "tokenizer.json"))
    else:
        samples = ConversationMaker(args.seed + 1)
        texts = [s.text for _ in range(TOKENIZER_SAMPLES) for s in samples.sample() if not s.special]
        tokenizer = demo_tokenizer.train(texts, config.vocab_size)
    demo_tokenizer.save(tokenizer, args.work)

    loss_function = cross_entropy
    if not args.no_compile:
        model.compile_parts()
        loss_function = torch.compile(cross_entropy, dynamic=True)
    optimizer = make_optimizer(model, args.learning_rate)
    source = batches(ConversationMaker(args.seed), demo_tokenizer.SegmentEncoder(tokenizer), args.batch_tokens)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    started = time.monotonic()
    step, progress = 0, 0.0
    while progress < 1.0:
        ids, learned = next(source)
        wanted = torch.zeros_like(learned)
        wanted[:, :-1] = learned[:, 1:]
        logits, balance = model(ids, wanted)
        loss = loss_function(logits, ids[:, 1:][learned[:, 1:]])
        (loss + BALANCE_WEIGHT * balance).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, progress, args.learning_rate)
        optimizer.step()
        optimizer.zero_grad()
        spent = time.monotonic() - started
        if step % 50 == 0:
            print(f"step {step} loss {loss.item():.4f} balance {balance.item():.3f} {spent:.0f} s", flush=True)
        step += 1
        progress = max(step / args.steps, spent / (60 * args.minutes))
        if step % args.save_every == 0 or progress >= 1.0:
            torch.save(model.state_dict(), args.work / "weights.tmp")
            os.replace(args.work / "weights.tmp", args.work / "weights.pt")


if __name__ == "__main__":
    main()
