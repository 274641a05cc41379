"""The demo model's tokenizer: byte-level BPE of gpt-oss's kind over a small vocabulary.

Like gpt-oss's tokenizer.json it has the o200k split, ignore_merges, and as merges every way to split a token
into two tokens, ordered by rank: rank-based BPE over the vocabulary alone gives the same result.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tools.demo_model.harmony import Segment

O200K_SPLIT = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
# The 21 added tokens of gpt-oss, in its order.
SPECIAL_TOKENS = tuple(
    f"<|{name}|>"
    for name in (
        "startoftext", "endoftext", "reserved_200000", "reserved_200001", "return", "constrain", "reserved_200004",
        "channel", "start", "end", "message", "reserved_200009", "reserved_200010", "reserved_200011", "call",
        "reserved_200013", "reserved_200014", "reserved_200015", "reserved_200016", "reserved_200017", "endofprompt",
    )
)  # fmt: skip


def _merges(vocab: dict[str, int]) -> list[tuple[str, str]]:
    merges = []
    for token, _ in sorted(vocab.items(), key=lambda item: item[1]):
        splits = [(token[:i], token[i:]) for i in range(1, len(token))]
        known = [(left, right) for left, right in splits if left in vocab and right in vocab]
        merges += sorted(known, key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
    return merges


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(O200K_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def train(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train so that text tokens and the special tokens together number `vocab_size`."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = _pre_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    vocab = learner.get_vocab()
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=_merges(vocab), ignore_merges=True))
    tokenizer.pre_tokenizer = _pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json."""
    content = json.loads(tokenizer.to_str())
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    content["post_processor"] = byte_level
    content["decoder"] = byte_level | {"trim_offsets": True}
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")
    added = {
        str(token["id"]): {key: value for key, value in token.items() if key != "id"}
        for token in content["added_tokens"]
    }
    config = {
        "added_tokens_decoder": added,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|return|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 131072,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


class SegmentEncoder:
    """Encodes segments the way Harmony does: each text by itself and never as special tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._special = {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
        self._ordinary = Tokenizer.from_str(tokenizer.to_str())
        self._ordinary.encode_special_tokens = True
        self._encode_text = lru_cache(maxsize=100_000)(
            lambda text: tuple(self._ordinary.encode(text, add_special_tokens=False).ids)
        )

    def special_id(self, name: str) -> int:
        return self._special[f"<|{name}|>"]

    def encode(self, segments: Iterable[Segment]) -> tuple[list[int], list[bool]]:
        """Token ids, and for each whether the loss counts it."""
        ids: list[int] = []
        learned: list[bool] = []
        for segment in segments:
            piece = [self._special[segment.text]] if segment.special else self._encode_text(segment.text)
            ids += piece
            learned += [segment.learned] * len(piece)
        return ids, learned

    def encode_joined(self, segments: Iterable[Segment]) -> tuple[list[int], list[bool]]:
        """The same for plain text, tokenized as a whole: no token ends where a segment does, unless text does."""
        parts = list(segments)
        encoding = self._ordinary.encode("".join(part.text for part in parts), add_special_tokens=False)
        counted = [part.learned for part in parts for _ in part.text]
        return encoding.ids, [counted[start] for start, _ in encoding.offsets]
