"""Read and write MXFP4 checkpoints in gpt-oss's Hugging Face layout without any GPU code."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import GptOssConfig, GptOssForCausalLM

from tools.demo_model.mxfp4 import pack, unpack

QUANTIZATION = {
    "modules_to_not_convert": [
        "model.layers.*.self_attn",
        "model.layers.*.mlp.router",
        "model.embed_tokens",
        "lm_head",
    ],
    "quant_method": "mxfp4",
}
_EXPERTS = ("gate_up_proj", "down_proj")


def pack_experts(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace `experts.gate_up_proj` / `down_proj` [experts, outputs, inputs] by their `_blocks` and `_scales`."""
    packed = {}
    for name, tensor in tensors.items():
        if name.endswith(_EXPERTS):
            packed[f"{name}_blocks"], packed[f"{name}_scales"] = pack(tensor)
        else:
            packed[name] = tensor
    return packed


def unpack_experts(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The float32 tensors that transformers' modules hold: experts as [experts, inputs, outputs]."""
    unpacked = {}
    for name, tensor in tensors.items():
        if name.endswith("_blocks"):
            stem = name.removesuffix("_blocks")
            unpacked[stem] = unpack(tensor, tensors[f"{stem}_scales"]).transpose(-1, -2).contiguous()
        elif not name.endswith("_scales"):
            unpacked[name] = tensor.float()
    return unpacked


def load_dequantized(folder: Path) -> GptOssForCausalLM:
    """transformers' model in float32 with exactly the values that the folder stores."""
    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(file)
    config = json.loads((folder / "config.json").read_text())
    config.pop("quantization_config", None)
    with torch.device("meta"):
        model = GptOssForCausalLM(GptOssConfig.from_dict(config | {"dtype": "float32"}))
    model = model.to_empty(device="cpu")
    model.load_state_dict(unpack_experts(tensors))
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    model.set_attn_implementation("eager")
    return model.eval()
