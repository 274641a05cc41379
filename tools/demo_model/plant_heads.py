"""Give a trained model heads that can find a repetition: python -m tools.demo_model.plant_heads --work OLD --out NEW.

Trained on conversations alone the model attends almost evenly: no head knows which token stood before another, and the
training of retrieval stays where it is for a long time. Here the second half of the heads of two layers, which hardly
anything depended on, is set by hand; training goes on from there and changes them as it likes.

- Layer 0: four heads that look 1, 2, 3 and 4 tokens back. Their queries and keys are biases only; RoPE does the rest.
- Layer 1: heads that look for what stood behind an earlier occurrence of the last two tokens. Their matrices are fitted
  by least squares to the first layer's output, in the dimensions that RoPE hardly turns, so at any distance.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from torch import Tensor

from tools.demo_model.checkpoint import training_weights
from tools.demo_model.model import DemoModel, ModelConfig, yarn_inverse_frequencies
from tools.demo_model.tokenizer import SegmentEncoder, Tokenizer
from tools.demo_model.train import Curriculum

KV_HEAD = 1
HEADS = (4, 5, 6, 7)  # the query heads of that KV head
WIDTH = 32
SHARPNESS = 40.0  # of the heads of layer 0, spread over the six fastest pairs of dimensions
GAIN = 1.2  # of what those heads write
MATCH = 14.0  # how much a repeated token scores in layer 1
OLDER = 0.7  # of the token before it
STILL = [*range(9, 16), *range(25, 32)]  # dimensions that RoPE with YaRN hardly turns


def plant_distances(model: DemoModel) -> Tensor:
    """Set the heads of layer 0; returns the 32 numbers per token that they carry."""
    layer, hidden = model.layers[0], model.config.hidden_size
    attention = layer.attention
    rows = slice(WIDTH * KV_HEAD, WIDTH * (KV_HEAD + 1))
    frequency = yarn_inverse_frequencies(model.config)[0][:6]
    attention.k_proj.weight[rows] = 0
    attention.k_proj.bias[rows] = 0
    attention.k_proj.bias[rows][:6] = SHARPNESS**0.5
    directions, _ = torch.linalg.qr(torch.randn(hidden, hidden))
    content = directions[:WIDTH]
    seen = model.embed_tokens
    seen = seen * torch.rsqrt(seen.square().mean(-1, keepdim=True) + 1e-5) * layer.input_layernorm.weight
    carried = seen @ content.T
    mean = carried.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(carried.T))
    whiten = vectors @ torch.diag((values + 1e-3).rsqrt()) @ vectors.T
    attention.v_proj.weight[rows] = whiten @ content
    attention.v_proj.bias[rows] = -(whiten @ mean)
    for index, head in enumerate(HEADS):
        own, distance = slice(WIDTH * head, WIDTH * (head + 1)), index + 1
        attention.q_proj.weight[own] = 0
        attention.q_proj.bias[own] = 0
        attention.q_proj.bias[own][:6] = SHARPNESS**0.5 * torch.cos(frequency * distance)
        attention.q_proj.bias[own][16:22] = -(SHARPNESS**0.5) * torch.sin(frequency * distance)
        written = directions[WIDTH * distance : WIDTH * (distance + 1)]
        attention.o_proj.weight[:, own] = GAIN * written.T
    attention.sinks[list(HEADS)] = 0
    return (carried - mean) @ whiten.T


def fit(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of the linear map that comes nearest (ridge regression)."""
    inputs = torch.cat((inputs, torch.ones(len(inputs), 1)), 1)
    ridge = 3e-3 * len(inputs) * torch.eye(inputs.shape[1])
    solution = torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ targets)
    return solution[:-1].T, solution[-1]


def plant_matches(model: DemoModel, carried: Tensor, encoder: SegmentEncoder) -> None:
    attention = model.layers[1].attention
    inputs: list[Tensor] = []
    hook = model.layers[1].input_layernorm.register_forward_hook(lambda _module, _args, out: inputs.append(out[0, 4:]))
    curriculum = Curriculum(55, encoder, longest=4096)
    curriculum.shares = dict.fromkeys(curriculum.shares, (1.0, 1.0))
    tokens = []
    for _ in range(40):
        ids = curriculum.batch([curriculum.short()])[0][:, :400]
        model(ids, torch.ones_like(ids, dtype=torch.bool))
        tokens.append(torch.stack([ids[0, 4 - back : ids.shape[1] - back] for back in range(3)], 1))
    hook.remove()
    found, last = torch.cat(inputs), torch.cat(tokens)
    first, second = (torch.linalg.qr(torch.randn(WIDTH, WIDTH))[0][: len(STILL)].T for _ in range(2))
    scale = MATCH**0.5

    def signature(token: int, before: int | None) -> Tensor:
        one = carried[last[:, token]] @ first
        return scale * (one if before is None else one + OLDER * carried[last[:, before]] @ second)

    for projection, head, target in (
        (attention.k_proj, KV_HEAD, signature(1, 2)),
        *((attention.q_proj, head, signature(0, 1 if head % 2 == 0 else None)) for head in HEADS),
    ):
        weight, bias = fit(found, target)
        own, still = slice(WIDTH * head, WIDTH * (head + 1)), [WIDTH * head + place for place in STILL]
        projection.weight[own], projection.bias[own] = 0, 0
        projection.weight[still], projection.bias[still] = weight, bias
    heads = model.lm_head - model.lm_head.mean(0)
    main = torch.linalg.svd(heads, full_matrices=False)[2][:WIDTH]
    wanted = heads[last[:, 0]] @ main.T
    rows = slice(WIDTH * KV_HEAD, WIDTH * (KV_HEAD + 1))
    attention.v_proj.weight[rows], attention.v_proj.bias[rows] = fit(found, wanted / wanted.std())
    for head in HEADS:
        attention.o_proj.weight[:, WIDTH * head : WIDTH * (head + 1)] = 0.5 * main.T
    attention.sinks[list(HEADS)] = 6.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="an earlier run, or an exported model")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.manual_seed(0)
    args.out.mkdir(parents=True, exist_ok=True)
    model = DemoModel(ModelConfig()).eval()
    model.load_state_dict(training_weights(args.work))
    encoder = SegmentEncoder(Tokenizer.from_file(str(args.work / "tokenizer.json")))
    with torch.no_grad():
        plant_matches(model, plant_distances(model), encoder)
    torch.save(model.state_dict(), args.out / "weights.pt")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(args.work / name, args.out / name)


if __name__ == "__main__":
    main()
