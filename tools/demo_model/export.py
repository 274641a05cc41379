"""Write trained weights as a gpt-oss checkpoint: python -m tools.demo_model.export --work DIR --out models/demo.

Afterwards the exported files are loaded into transformers and its logits compared with the training model's.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tools.demo_model.checkpoint import QUANTIZATION, load_dequantized, pack_experts
from tools.demo_model.conversations import ConversationMaker
from tools.demo_model.model import DemoModel, ModelConfig
from tools.demo_model.tokenizer import SegmentEncoder, Tokenizer


TOLERANCE = 0.15  # the heads of plant_heads.py make sharp scores of large numbers, which BF16 rounds


def checkpoint_tensors(model: DemoModel) -> dict[str, Tensor]:
    """Tensors by their Hugging Face names, experts not yet packed but with gate and up rows interleaved."""

    def interleave(gate_up: Tensor) -> Tensor:
        return torch.stack(gate_up.chunk(2, dim=1), dim=2).flatten(1, 2)

    tensors = {
        "model.embed_tokens.weight": model.embed_tokens,
        "model.norm.weight": model.norm.weight,
        "lm_head.weight": model.lm_head,
    }
    for index, layer in enumerate(model.layers):
        prefix = f"model.layers.{index}."
        attention, experts = layer.attention, layer.experts
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            linear = getattr(attention, name)
            tensors[f"{prefix}self_attn.{name}.weight"] = linear.weight
            tensors[f"{prefix}self_attn.{name}.bias"] = linear.bias
        tensors |= {
            f"{prefix}self_attn.sinks": attention.sinks,
            f"{prefix}input_layernorm.weight": layer.input_layernorm.weight,
            f"{prefix}post_attention_layernorm.weight": layer.post_attention_layernorm.weight,
            f"{prefix}mlp.router.weight": experts.router.weight,
            f"{prefix}mlp.router.bias": experts.router.bias,
            f"{prefix}mlp.experts.gate_up_proj": interleave(experts.gate_up.weight),
            f"{prefix}mlp.experts.gate_up_proj_bias": interleave(experts.gate_up_bias),
            f"{prefix}mlp.experts.down_proj": experts.down.weight,
            f"{prefix}mlp.experts.down_proj_bias": experts.down_bias,
        }
    packed = pack_experts({name: tensor.detach() for name, tensor in tensors.items()})
    return {
        name: (tensor if tensor.dtype == torch.uint8 else tensor.bfloat16()).contiguous()
        for name, tensor in packed.items()
    }


def checkpoint_config(config: ModelConfig, encoder: SegmentEncoder) -> dict:
    layers = range(config.num_hidden_layers)
    return {
        "architectures": ["GptOssForCausalLM"],
        "attention_bias": True,
        "attention_dropout": 0.0,
        "eos_token_id": encoder.special_id("return"),
        "experts_per_token": config.num_experts_per_tok,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "initial_context_length": config.rope_original_length,
        "initializer_range": 0.02,
        "intermediate_size": config.intermediate_size,
        "layer_types": ["sliding_attention" if config.is_sliding(i) else "full_attention" for i in layers],
        "max_position_embeddings": int(config.rope_original_length * config.rope_factor),
        "model_type": "gpt_oss",
        "num_attention_heads": config.num_attention_heads,
        "num_experts_per_tok": config.num_experts_per_tok,
        "num_hidden_layers": config.num_hidden_layers,
        "num_key_value_heads": config.num_key_value_heads,
        "num_local_experts": config.num_local_experts,
        "output_router_logits": False,
        "pad_token_id": encoder.special_id("endoftext"),
        "quantization_config": QUANTIZATION,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_scaling": {
            "beta_fast": config.rope_beta_fast,
            "beta_slow": config.rope_beta_slow,
            "factor": config.rope_factor,
            "original_max_position_embeddings": config.rope_original_length,
            "rope_type": "yarn",
            "truncate": False,
        },
        "rope_theta": int(config.rope_theta),
        "router_aux_loss_coef": 0.9,
        "sliding_window": config.sliding_window,
        "swiglu_limit": config.swiglu_limit,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": config.vocab_size,
    }


def generation_config(encoder: SegmentEncoder) -> dict:
    return {
        "bos_token_id": encoder.special_id("startoftext"),
        "do_sample": False,  # a demonstration should answer the same every time
        "eos_token_id": [encoder.special_id(name) for name in ("return", "endoftext", "call")],
        "pad_token_id": encoder.special_id("endoftext"),
    }


@torch.no_grad()
def compare_with_transformers(model: DemoModel, folder: Path, encoder: SegmentEncoder) -> None:
    """Fail unless both give the same logits, up to the bf16 arithmetic of the training model."""
    reference = load_dequantized(folder)
    maker = ConversationMaker(12345)
    for _ in range(8):
        ids = torch.tensor([encoder.encode(maker.sample())[0]])
        ours = model(ids, torch.ones_like(ids, dtype=torch.bool))[0].float()
        theirs = reference(ids).logits[0]
        error = ((ours - theirs).norm() / theirs.norm()).item()
        agree = (ours.argmax(-1) == theirs.argmax(-1)).float().mean().item()
        print(f"{ids.shape[1]} tokens: relative error {error:.1e}, same best token {agree:.1%}")
        if error > TOLERANCE:
            raise SystemExit("the exported checkpoint does not compute what was trained")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    encoder = SegmentEncoder(Tokenizer.from_file(str(args.work / "tokenizer.json")))
    model = DemoModel(ModelConfig())
    model.load_state_dict(torch.load(args.work / "weights.pt", weights_only=True))
    save_file(checkpoint_tensors(model), args.out / "model.safetensors", metadata={"format": "pt"})
    for name, content in (
        ("config.json", checkpoint_config(model.config, encoder)),
        ("generation_config.json", generation_config(encoder)),
    ):
        (args.out / name).write_text(json.dumps(content, indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(args.work / name, args.out / name)
    compare_with_transformers(model, args.out, encoder)


if __name__ == "__main__":
    main()
