"""MXFP4 as gpt-oss stores it: groups of 32 along the inner dimension, 4-bit e2m1 values, one power-of-two scale."""

from __future__ import annotations

import torch
from torch import Tensor

GROUP = 32
_LARGEST = 6.0
_VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_SCALE_BIAS = 127


def _scaled(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights in groups divided by their scale and rounded to e2m1 [..., groups, 32]; exponents [..., groups, 1].

    The scale puts the largest magnitude of a group between 3.5 and 7; up to 7 the nearest value is the largest, 6.
    """
    groups = weight.unflatten(-1, (-1, GROUP))
    largest = groups.abs().amax(-1, keepdim=True).clamp_min(2.0**-100)
    exponent = torch.ceil(torch.log2(largest / 7.0))
    scaled = groups * torch.exp2(-exponent)
    magnitude = scaled.abs()
    step = 0.5 + 0.5 * (magnitude >= 2.0) + (magnitude >= 4.0)
    rounded = torch.clamp(torch.round(scaled / step) * step, -_LARGEST, _LARGEST)
    return rounded, exponent


def round_to_mxfp4(weight: Tensor) -> Tensor:
    """The nearest weights that MXFP4 can hold, in the same shape and type."""
    rounded, exponent = _scaled(weight)
    return (rounded * torch.exp2(exponent)).flatten(-2)


def pack(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Blocks [..., groups, 16] and scales [..., groups], both U8; the low nibble holds the even index."""
    rounded, exponent = _scaled(weight.float())
    magnitude = torch.bucketize(rounded.abs().contiguous(), torch.tensor(_VALUES))
    codes = (magnitude + 8 * (rounded < 0)).to(torch.uint8)
    scales = (exponent.squeeze(-1) + _SCALE_BIAS).to(torch.uint8)
    return codes[..., 0::2] | (codes[..., 1::2] << 4), scales


def unpack(blocks: Tensor, scales: Tensor) -> Tensor:
    """The weights [..., groups * 32] in float32; exact."""
    values = torch.tensor([*_VALUES, *(-value for value in _VALUES)])
    codes = torch.stack((blocks & 15, blocks >> 4), dim=-1).flatten(-2)
    return (values[codes.long()] * torch.exp2(scales.float() - _SCALE_BIAS).unsqueeze(-1)).flatten(-2)
