#!/usr/bin/env python3
"""Makes the fixtures of tests/text: small tokenizers of every shape that the loader supports, what the HF tokenizers
give with them, and what the openai-harmony package renders.

needs: pip install tokenizers openai-harmony, and for Harmony o200k_base.tiktoken (rebuilt from GPT-OSS's tokenizer.json)
in the folder that TIKTOKEN_ENCODINGS_BASE names.
usage: make_vectors.py, in this folder
"""
import json
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
HARMONY_TOKENS = ["<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>",
                  "<|message|>", "<|call|>"]
CORPUS = """The weather in Paris is fine today, isn't it? We'll see what the others say; they're not here and they've been
told that I'd be late. Numbers such as 123, 4567 and 2024-06 are there too. THE END of it all, and then the rest of the
    indented lines, which were written in the morning. é ü ñ ß 日本語 한국어 😀😀 naïve café déjà vu // { "key": "value" }
""".splitlines(keepends=True) * 4


def train(pre_tokenizer, normalizer=None, vocab_size=380, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return tokenizer


def tiny_gpt2():
    tokenizer = train(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", normalized=True, special=True)])
    return tokenizer


def tiny_neox():
    tokenizer = train(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.NFC())
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", normalized=False, special=True)])
    tokenizer.add_tokens([AddedToken(" " * n, normalized=True) for n in range(8, 1, -1)])
    return tokenizer


def tiny_oss():
    tokenizer = train(pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(O200K), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]), ignore_merges=True)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in HARMONY_TOKENS])
    return tokenizer


def tiny_odd():
    """Everything that the families do not use: flags of added tokens, a prefix space, an unknown token, bytes without a
    token, merges that disagree with the order of the ids, a merge into a token of another spelling order."""
    vocab = {c: i for i, c in enumerate(["<unk>", "Ġ", "a", "b", "c", "d", "e", "Ã", "©", "abc", "ab", "bc", "Ġa", "cd", "de", "abcd", "Ġab"])}
    merges = [("b", "c"), ("a", "b"), ("c", "d"), ("d", "e"), ("a", "bc"), ("ab", "c"), ("abc", "d"), ("Ġ", "a"), ("Ġ", "ab")]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens([AddedToken("<s>", lstrip=True), AddedToken("</s>", rstrip=True), AddedToken("<x", normalized=False)])
    tokenizer.add_tokens([AddedToken("word", single_word=True), AddedToken("wordy"), AddedToken("e\u0301e", normalized=True),
                          AddedToken("<s>ab", normalized=False), AddedToken("both", lstrip=True, rstrip=True)])
    return tokenizer


def tiny_dropping():
    """No unknown token: bytes without a token are dropped, and their neighbours merge. ignore_merges on top."""
    vocab = {c: i for i, c in enumerate(["a", "b", "c", "abc", "bc", "ab", "cab"])}
    tokenizer = Tokenizer(models.BPE(vocab, [("b", "c"), ("a", "b")], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def tiny_regex():
    """Split patterns without a scanner of their own, one after the other."""
    return train(pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\d"), "isolated"), pre_tokenizers.Split(Regex(r"_+|\s*\n"), "removed"),
        pre_tokenizers.Split(".", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]),
        vocab_size=320)


PIECES = ["the", " the", "They're", "WE'LL", "it\u017f", "a'\u017f", " ", "  ", "   ", "        ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u200b", "123", "45678",
          "e\u0301", "\u00e9", "e\u0301e", "a\u0316\u0301", "a\u0301\u0316", "\u1112\u1161\u11ab", "\ud55c", "\uac00\u11a8", "\u212b", "\u0344", "\u0958", "日本語", "😀", "👩‍👩‍👧", "ÀÉ", "Ǆǅǆ",
          "ʰx", "عربي", "हिन्दी", "...", "//", "!?", "{\"k\": 1}", "_", "__x", "3.14", "<|endoftext|>", "<|start|>", "<|end|>", "<|", "<s>", "</s>", "<x",
          "<s>ab", "word", "wordy", "both", "abc", "abcd", "bcd", "cab", "dea", "z", "\u0000", "\ufffd", "don't", "I'D", "'s", "déjà", "Paris", "\u11935\u11930", "\u0898\u0301"]


def tokenizer_vectors(rng):
    for make in (tiny_gpt2, tiny_neox, tiny_oss, tiny_odd, tiny_dropping, tiny_regex):
        tokenizer = make()
        name = make.__name__ + ".json"
        with open(name, "w", encoding="utf-8") as file:
            json.dump(json.loads(tokenizer.to_str()), file, ensure_ascii=False, separators=(",", ":"))
            file.write("\n")
        tokenizer = Tokenizer.from_file(name)
        texts = PIECES + ["".join(rng.choice(PIECES) for _ in range(rng.randint(2, 9))) for _ in range(120)]
        texts += ["a" * 70, "abc" * 40, "ab cd" * 30, "é" * 45, " " * 90, "x" + " " * 30 + "y", "THE" * 30]
        for text in texts:
            line = {"tokenizer": name, "text": text}
            tokenizer.encode_special_tokens = False
            line["ids"] = tokenizer.encode(text).ids
            tokenizer.encode_special_tokens = True
            ordinary = tokenizer.encode(text).ids
            if ordinary != line["ids"]:
                line["ordinary"] = ordinary
            decoded = tokenizer.decode(line["ids"], skip_special_tokens=False)
            if decoded != text:
                line["decoded"] = decoded
            yield line


def schema(rng, depth=0):
    words = ["the city", "two\nlines", "", "naïve", "\"quoted\""]
    values = ["x", 1, 1.0, 0.5, -0.25, 1e21, 1.5e-7, 123456789012345680.0, True, None, [1, "é\n"], {"z": 1, "a": [2.0]}, {}, []]
    out = [("type", rng.choice(["object", "object", "string", "number", "integer", "boolean", "array", "null",
                                ["string", "null"], ["integer", "string"], []]))]
    chance = lambda p: rng.random() < p
    if chance(.5): out.append(("description", rng.choice(words)))
    if chance(.2): out.append(("title", rng.choice(words)))
    if chance(.4): out.append(("default", rng.choice(values)))
    if chance(.3): out.append(("enum", rng.choice([["a", "x"], [], [1, 2]])))
    if chance(.2): out.append(("nullable", True))
    if chance(.2): out.append(("examples", rng.choice([["a", 1], [], [""]])))
    if depth < 3:
        if chance(.7): out.append(("properties", {k: schema(rng, depth + 1) for k in rng.sample(["z", "loc", "a b", "é"], rng.randint(0, 3))}))
        if chance(.4): out.append(("items", schema(rng, depth + 1)))
        if chance(.25): out.append(("oneOf", [schema(rng, depth + 1) for _ in range(rng.randint(0, 3))]))
    if chance(.4): out.append(("required", ["z", "loc", "zz"]))
    rng.shuffle(out)
    return dict(out)


def harmony_vectors(rng):
    """Conversations with the text that the reference renders; the vocabulary of the tests is too small for the ids."""
    import openai_harmony

    encoding = openai_harmony.load_harmony_encoding(openai_harmony.HarmonyEncodingName.HARMONY_GPT_OSS)
    reference = encoding._inner
    words = ["hello", "<|end|>", "two\nlines", "日本語", "it's", ""]

    def tools():
        spaces = {}
        for key in rng.sample(["functions", "browser", "python", "é"], rng.randint(1, 2)):
            space = {"name": key, "tools": [{"name": "f", "description": rng.choice(["does it", "a\r\nb\n", ""])} | (
                {"parameters": schema(rng)} if rng.random() < .8 else {}) for _ in range(rng.randint(0, 2))]}
            if rng.random() < .5:
                space["description"] = rng.choice(words + ["a\r\nb\n"])
            spaces[key] = space
        return spaces

    def message():
        role = rng.choice(["user", "assistant", "assistant", "system", "developer", "tool"])
        out = {"role": role, "content": rng.choice(words)}
        if role == "system":
            content = {"type": "system_content", "model_identity": rng.choice([None, "You are it."]),
                       "reasoning_effort": rng.choice([None, "Low", "Medium", "High"]), "knowledge_cutoff": rng.choice([None, "2024-06"]),
                       "channel_config": rng.choice([None, {"valid_channels": ["analysis", "final"], "channel_required": rng.random() < .5}])}
            if rng.random() < .3: content["conversation_start_date"] = "2025-06-28"
            if rng.random() < .4: content["tools"] = tools()
            out["content"] = [content]
        if role == "developer":
            content = {"type": "developer_content"}
            if rng.random() < .7: content["instructions"] = rng.choice(words)
            if rng.random() < .7: content["tools"] = tools()
            out["content"] = [content, {"type": "text", "text": rng.choice(words)}][:rng.randint(1, 2)]
        if role == "tool" and rng.random() < .9 or rng.random() < .1: out["name"] = "functions.f"
        if rng.random() < .6: out["channel"] = rng.choice(["analysis", "analysis", "final", "commentary"])
        if rng.random() < .3: out["recipient"] = rng.choice(["all", "functions.f", "assistant"])
        if rng.random() < .3: out["content_type"] = rng.choice(["json", "<|constrain|>json", "<|constrain|>"])
        return out

    for _ in range(60):
        line = {"mode": rng.choice(["completion", "conversation", "training"]), "auto_drop_analysis": rng.random() < .6,
                "messages": [message() for _ in range(rng.randint(0, 5))]}
        conversation = json.dumps({"messages": line["messages"]})
        config = {"auto_drop_analysis": line["auto_drop_analysis"]}
        try:
            if line["mode"] == "completion":
                ids = reference.render_conversation_for_completion(conversation, "assistant", config)
            elif line["mode"] == "conversation":
                ids = reference.render_conversation(conversation, config)
            else:
                ids = reference.render_conversation_for_training(conversation, config)
            line["text"] = encoding.decode_utf8(ids)
        except Exception as error:  # noqa: BLE001 - the reference raises several kinds
            line["error"] = str(error)
        yield line


def write(name, lines):
    with open(name, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    write("tokenizer_vectors.jsonl", tokenizer_vectors(random.Random(1)))
    write("harmony_vectors.jsonl", harmony_vectors(random.Random(2)))
