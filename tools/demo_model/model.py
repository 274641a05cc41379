"""GPT-OSS for training: the same function as transformers' GptOssForCausalLM, several times faster on a CPU.

Weights are float32 masters that every use rounds to what the exported checkpoint holds (MXFP4 for the experts,
BF16 for the rest), with straight-through gradients. export.py checks the logits against transformers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.demo_model.mxfp4 import round_to_mxfp4


LONGEST_EXPLICIT = 400  # tokens; up to here all scores at once are fastest


@dataclass(frozen=True)
class ModelConfig:
    """Dimensions, and the constants of gpt-oss."""

    vocab_size: int = 2048
    hidden_size: int = 192
    intermediate_size: int = 192
    num_hidden_layers: int = 4
    num_attention_heads: int = 8
    num_key_value_heads: int = 2
    head_dim: int = 32
    num_local_experts: int = 8
    num_experts_per_tok: int = 4
    sliding_window: int = 128
    rms_norm_eps: float = 1e-5
    swiglu_limit: float = 7.0
    swiglu_alpha: float = 1.702
    rope_theta: float = 150000.0
    rope_factor: float = 32.0
    rope_beta_fast: float = 32.0
    rope_beta_slow: float = 1.0
    rope_original_length: int = 4096

    def is_sliding(self, layer: int) -> bool:
        return layer % 2 == 0


class _RoundMxfp4(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight: Tensor) -> Tensor:
        return round_to_mxfp4(weight).bfloat16()

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad.float()


class _Permute(torch.autograd.Function):
    """Rows in another order; the gradient is the inverse gather, not a scatter."""

    @staticmethod
    def forward(ctx, rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return rows.index_select(0, order)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return grad.index_select(0, inverse), None, None


def _normal(*shape: int, std: float) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) * std)


class Linear(nn.Module):
    def __init__(self, inputs: int, outputs: int, std: float) -> None:
        super().__init__()
        self.weight = _normal(outputs, inputs, std=std)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.bfloat16(), self.weight.bfloat16(), self.bias.bfloat16())


class RmsNorm(nn.Module):
    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self._eps = eps

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + self._eps)
        return x * scale * self.weight.bfloat16().float()


def yarn_inverse_frequencies(config: ModelConfig) -> tuple[Tensor, float]:
    """Inverse frequencies [head_dim / 2] and the factor on cos and sin; the correction range is not rounded."""
    half = config.head_dim // 2
    frequency = config.rope_theta ** (torch.arange(half) / half)

    def correction(rotations: float) -> float:
        return half * math.log(config.rope_original_length / (rotations * 2 * math.pi)) / math.log(config.rope_theta)

    low, high = correction(config.rope_beta_fast), correction(config.rope_beta_slow)
    ramp = ((torch.arange(half) - max(low, 0)) / (min(high, config.head_dim - 1) - max(low, 0))).clamp(0, 1)
    inverse = ramp / (config.rope_factor * frequency) + (1 - ramp) / frequency
    return inverse, 0.1 * math.log(config.rope_factor) + 1


class Attention(nn.Module):
    def __init__(self, config: ModelConfig, sliding: bool) -> None:
        super().__init__()
        hidden, heads = config.hidden_size, config.num_attention_heads
        self._config = config
        self._window = config.sliding_window if sliding else None
        std = hidden**-0.5
        self.q_proj = Linear(hidden, heads * config.head_dim, std)
        self.k_proj = Linear(hidden, config.num_key_value_heads * config.head_dim, std)
        self.v_proj = Linear(hidden, config.num_key_value_heads * config.head_dim, std)
        self.o_proj = Linear(heads * config.head_dim, hidden, std / math.sqrt(2 * config.num_hidden_layers))
        self.sinks = nn.Parameter(torch.zeros(heads))

    def _mask(self, length: int) -> Tensor:
        distance = torch.arange(length)[:, None] - torch.arange(length)[None, :]
        hidden = distance < 0
        if self._window is not None:
            hidden |= distance >= self._window
        return torch.zeros(length, length).masked_fill(hidden, float("-inf"))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        if x.shape[1] <= LONGEST_EXPLICIT:
            return self._explicit(x, cos, sin)
        config = self._config
        batch, length, _ = x.shape

        def split(y: Tensor, turned: bool) -> Tensor:  # [batch, heads, length, head_dim]
            y = y.view(batch, length, -1, config.head_dim).transpose(1, 2)
            return rotate(y, cos, sin) if turned else y

        x = x.bfloat16()
        query, key = split(self.q_proj(x), True), split(self.k_proj(x), True)
        value = split(self.v_proj(x), False)
        mixed = (self._full if self._window is None else self._blocks)(query, key, value)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))

    def _full(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Fused attention; the sink is a first key that scores the same for every query by an extra dimension."""
        config = self._config
        group = config.num_attention_heads // config.num_key_value_heads
        extra = 8
        sink = F.pad((self.sinks.bfloat16() * config.head_dim**0.5).view(1, -1, 1, 1), (config.head_dim, extra - 1))
        sink = sink.expand(query.shape[0], -1, -1, -1)
        key = F.pad(key.repeat_interleave(group, 1), (0, extra))
        value = F.pad(value.repeat_interleave(group, 1), (0, extra, 1, 0))
        query = F.pad(F.pad(query, (0, 1), value=1.0), (0, extra - 1, 1, 0))
        key = torch.cat((sink, key), 2)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=config.head_dim**-0.5)
        return mixed[:, :, 1:, : config.head_dim]

    def _blocks(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Window attention by blocks as long as the window: each sees itself and the block before it."""
        config, window = self._config, self._window
        batch, heads, length, width = query.shape
        kv_heads = key.shape[1]
        group = heads // kv_heads
        blocks = -(-length // window)
        short = blocks * window - length

        def pairs(y: Tensor) -> Tensor:  # [batch * kv_heads * blocks, 2 * window, width]
            y = F.pad(y, (0, 0, window, short)).view(batch, kv_heads, blocks + 1, window, width)
            return torch.cat((y[:, :, :-1], y[:, :, 1:]), 3).flatten(0, 2)

        query = F.pad(query, (0, 0, 0, short)).view(batch, kv_heads, group, blocks, window, width)
        query = query.transpose(2, 3).reshape(batch * kv_heads * blocks, group * window, width)
        scores = torch.bmm(query, pairs(key).transpose(1, 2)).float() * config.head_dim**-0.5
        scores = scores.view(batch, kv_heads, blocks, group, window, 2 * window)
        distance = torch.arange(window)[:, None] + window - torch.arange(2 * window)[None, :]
        hidden = (distance < 0) | (distance >= window)
        first = (torch.arange(blocks) == 0)[:, None, None] & (torch.arange(2 * window) < window)[None, None, :]
        scores = scores.masked_fill((hidden | first)[:, None], float("-inf"))
        sinks = self.sinks.bfloat16().float().view(1, kv_heads, 1, group, 1, 1)
        sinks = sinks.expand(batch, -1, blocks, -1, window, 1)
        weights = torch.softmax(torch.cat((scores, sinks), -1), -1)[..., :-1].bfloat16()
        mixed = torch.bmm(weights.reshape(batch * kv_heads * blocks, group * window, 2 * window), pairs(value))
        mixed = mixed.view(batch, kv_heads, blocks, group, window, width).transpose(2, 3)
        return mixed.reshape(batch, heads, blocks * window, width)[:, :, :length]

    def _explicit(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        config = self._config
        batch, length, _ = x.shape
        kv_heads, group = config.num_key_value_heads, config.num_attention_heads // config.num_key_value_heads

        def split(y: Tensor) -> Tensor:  # [batch, heads, length, head_dim]
            return y.view(batch, length, -1, config.head_dim).transpose(1, 2)

        x = x.bfloat16()
        query = rotate(split(self.q_proj(x)), cos, sin).reshape(batch * kv_heads, group * length, config.head_dim)
        key = rotate(split(self.k_proj(x)), cos, sin).reshape(batch * kv_heads, length, config.head_dim)
        value = split(self.v_proj(x)).reshape(batch * kv_heads, length, config.head_dim)
        scores = torch.bmm(query, key.transpose(1, 2)).float().view(batch, -1, length, length)
        scores = scores * config.head_dim**-0.5 + self._mask(length)
        sinks = self.sinks.bfloat16().float().view(1, -1, 1, 1).expand(batch, -1, length, 1)
        weights = torch.softmax(torch.cat((scores, sinks), -1), -1)[..., :-1].bfloat16()
        mixed = torch.bmm(weights.reshape(batch * kv_heads, group * length, length), value)
        return self.o_proj(mixed.view(batch, -1, length, config.head_dim).transpose(1, 2).flatten(2))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class SwiGlu(nn.Module):
    """The clamped SwiGLU of gpt-oss over [gate | up]."""

    def __init__(self, limit: float, alpha: float) -> None:
        super().__init__()
        self._limit, self._alpha = limit, alpha

    def forward(self, gate_up: Tensor) -> Tensor:
        gate, up = gate_up.chunk(2, dim=-1)
        gate = gate.clamp(max=self._limit)
        return gate * torch.sigmoid(gate * self._alpha) * (up.clamp(-self._limit, self._limit) + 1)


class Mxfp4Weight(nn.Module):
    """Expert matrices [experts, outputs, inputs], seen only through their MXFP4 rounding."""

    def __init__(self, *shape: int, std: float) -> None:
        super().__init__()
        self.weight = _normal(*shape, std=std)

    def forward(self) -> Tensor:
        return _RoundMxfp4.apply(self.weight)


class Experts(nn.Module):
    """Gate and up rows are kept apart here ([gate | up]); the checkpoint interleaves them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        experts, hidden, ffn = config.num_local_experts, config.hidden_size, config.intermediate_size
        self._config = config
        self.router = Linear(hidden, experts, hidden**-0.5)
        self.gate_up = Mxfp4Weight(experts, 2 * ffn, hidden, std=hidden**-0.5)
        self.gate_up_bias = nn.Parameter(torch.zeros(experts, 2 * ffn))
        self.down = Mxfp4Weight(experts, hidden, ffn, std=ffn**-0.5 / math.sqrt(2 * config.num_hidden_layers))
        self.swiglu = SwiGlu(config.swiglu_limit, config.swiglu_alpha)
        self.down_bias = nn.Parameter(torch.zeros(experts, hidden))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mixed output of the chosen experts, and the loss that keeps the experts in balance."""
        config = self._config
        top_k = config.num_experts_per_tok
        tokens = x.flatten(0, 1).bfloat16()
        router_logits = self.router(tokens).float()
        top, chosen = router_logits.topk(top_k, dim=-1)
        share = torch.softmax(top, -1)

        flat = chosen.flatten()
        order = flat.argsort(stable=True)
        inverse = torch.empty_like(order).scatter_(0, order, torch.arange(order.numel()))
        counts = torch.bincount(flat, minlength=config.num_local_experts)
        repeated = tokens.unsqueeze(1).expand(-1, top_k, -1).flatten(0, 1)
        routed = _Permute.apply(repeated, order, inverse).split(counts.tolist())
        gate_up, down = self.gate_up(), self.down()
        gate_up_bias, down_bias = self.gate_up_bias.bfloat16(), self.down_bias.bfloat16()
        wide = torch.cat([F.linear(rows, gate_up[e], gate_up_bias[e]) for e, rows in enumerate(routed)])
        inner = self.swiglu(wide).split(counts.tolist())
        outputs = torch.cat([F.linear(rows, down[e], down_bias[e]) for e, rows in enumerate(inner)])
        outputs = _Permute.apply(outputs, inverse, order).view(-1, top_k, config.hidden_size)
        mixed = torch.bmm(share.bfloat16().unsqueeze(1), outputs).squeeze(1)

        probability = torch.softmax(router_logits, -1).mean(0)
        balance = config.num_local_experts * (probability * counts / flat.numel()).sum()
        return mixed.view_as(x), balance


class Layer(nn.Module):
    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.input_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.attention = Attention(config, config.is_sliding(index))
        self.post_attention_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.experts = Experts(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        x = x + self.attention(self.input_layernorm(x), cos, sin)
        mixed, balance = self.experts(self.post_attention_layernorm(x))
        return x + mixed, balance


class DemoModel(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = _normal(config.vocab_size, config.hidden_size, std=1.0)
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config.num_hidden_layers))
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = _normal(config.vocab_size, config.hidden_size, std=config.hidden_size**-0.5)

    def forward(self, ids: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [wanted.sum(), vocab] of the positions where `wanted` [batch, length] is true; the balance loss."""
        inverse, factor = yarn_inverse_frequencies(self.config)
        angles = torch.arange(ids.shape[1])[:, None] * inverse[None, :]
        cos, sin = (angles.cos() * factor).bfloat16(), (angles.sin() * factor).bfloat16()
        x = F.embedding(ids, self.embed_tokens.bfloat16()).float()
        balance = torch.zeros(())
        for layer in self.layers:
            x, layer_balance = layer(x, cos, sin)
            balance = balance + layer_balance
        rows = self.norm(x)[wanted].bfloat16()
        return F.linear(rows, self.lm_head.bfloat16()), balance / len(self.layers)

    def compile_parts(self) -> None:
        """Compile what is bound by memory rather than by matrix products (needs a C++ compiler)."""
        for module in self.modules():
            if isinstance(module, RmsNorm | SwiGlu | Mxfp4Weight):
                module.compile(dynamic=True)
