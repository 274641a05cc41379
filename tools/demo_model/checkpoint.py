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


def training_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of an earlier run (weights.pt), or of an exported checkpoint, as the training model names them."""
    if (folder / "weights.pt").exists():
        return torch.load(folder / "weights.pt", weights_only=True)
    stored = load_file(folder / "model.safetensors")

    def apart(rows: Tensor) -> Tensor:  # interleaved gate and up rows -> [gate | up]
        return torch.cat((rows[:, 0::2], rows[:, 1::2]), 1)

    found = {"embed_tokens": stored["model.embed_tokens.weight"], "lm_head": stored["lm_head.weight"]}
    found["norm.weight"] = stored["model.norm.weight"]
    for index in range(sum(name.endswith(".sinks") for name in stored)):
        old, new = f"model.layers.{index}.", f"layers.{index}."
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            for part in ("weight", "bias"):
                found[f"{new}attention.{name}.{part}"] = stored[f"{old}self_attn.{name}.{part}"]
        found[f"{new}attention.sinks"] = stored[f"{old}self_attn.sinks"]
        for name in ("input_layernorm", "post_attention_layernorm"):
            found[f"{new}{name}.weight"] = stored[f"{old}{name}.weight"]
        for part in ("weight", "bias"):
            found[f"{new}experts.router.{part}"] = stored[f"{old}mlp.router.{part}"]
        experts = f"{old}mlp.experts."
        wide, narrow = f"{experts}gate_up_proj", f"{experts}down_proj"
        found[f"{new}experts.gate_up.weight"] = apart(unpack(stored[f"{wide}_blocks"], stored[f"{wide}_scales"]))
        found[f"{new}experts.gate_up_bias"] = apart(stored[f"{wide}_bias"])
        found[f"{new}experts.down.weight"] = unpack(stored[f"{narrow}_blocks"], stored[f"{narrow}_scales"])
        found[f"{new}experts.down_bias"] = stored[f"{narrow}_bias"]
    return {name: tensor.float() for name, tensor in found.items()}
