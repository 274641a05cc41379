#include "checkpoint/checkpoint.h"

#include "tests/checkpoint/test_folder.h"

namespace gossamer {
namespace {

using test::error_of;
using test::raw_safetensors;
using test::TestFolder;
using test::write_file;
using test::write_tensors;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

const std::vector<TensorSpec> kOne = {{"a", DType::kF32, {2, 3}}};
const std::vector<TensorSpec> kTwo = {{"b", DType::kBf16, {4}}};

std::string open_error(const test::fs::path& path) {
  return error_of([&] { Checkpoint::open(path); });
}

float first_number(const Checkpoint& checkpoint, const std::string& name) {
  float number = 0;
  std::memcpy(&number, checkpoint.find(name)->tensor.bytes(), 4);
  return number;
}

TEST(Checkpoint, ReadsASingleFile) {
  const TestFolder folder;
  write_file(folder / "config.json", R"({"model_type": "gpt2"})");
  write_file(folder / "generation_config.json", R"({"eos_token_id": 7})");
  write_tensors(folder / "model.safetensors", kOne);
  write_tensors(folder / "other.safetensors", kTwo);  // not part of it: there is a model.safetensors
  const auto checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint->config().get_string({"model_type"}), "gpt2");
  EXPECT_THAT(checkpoint->generation_config().get_ids({"eos_token_id"}), ElementsAre(7));
  ASSERT_NE(checkpoint->find("a"), nullptr);
  EXPECT_EQ(checkpoint->find("b"), nullptr);
  const StoredTensor& stored = *checkpoint->find("a");
  EXPECT_EQ(stored.tensor.shape(), Shape({2, 3}));
  EXPECT_EQ(stored.tensor.dtype(), DType::kF32);
  EXPECT_EQ(stored.file->path(), folder / "model.safetensors");
  EXPECT_EQ(std::memcmp(stored.tensor.bytes(), test::tensor_bytes(kOne[0], 0).data(), 24), 0);
  EXPECT_EQ(checkpoint->stored_bytes(), 24U);
  // Released pages come back with the same numbers.
  checkpoint->release({stored.tensor.bytes(), 24});
  checkpoint->prefetch({stored.tensor.bytes(), 24});
  EXPECT_EQ(std::memcmp(stored.tensor.bytes(), test::tensor_bytes(kOne[0], 0).data(), 24), 0);
}

TEST(Checkpoint, ReadsEveryFileOfAFolderWithoutAnIndex) {
  const TestFolder folder;
  write_file(folder / "config.json", "{}");
  write_tensors(folder / "x-2.safetensors", kTwo);
  write_tensors(folder / "x-1.safetensors", kOne);
  const auto checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint->tensors().size(), 2U);
  EXPECT_TRUE(checkpoint->generation_config().object().empty());
}

TEST(Checkpoint, WithoutAnIndexFilesCalledModelAreTheModel) {
  const TestFolder folder;
  write_file(folder / "config.json", "{}");
  write_tensors(folder / "model--00001-of-00002.safetensors", kOne);
  write_tensors(folder / "model--00002-of-00002.safetensors", kTwo);
  write_tensors(folder / "logits.safetensors", kOne);
  EXPECT_EQ(Checkpoint::open(folder.path())->tensors().size(), 2U);
}

TEST(Checkpoint, ReadsTheShardsOfAnIndex) {
  const TestFolder folder;
  write_file(folder / "config.json", "{}");
  write_file(
      folder / "model.safetensors.index.json",
      R"({"metadata": {"total_size": 32}, "weight_map": {"a": "s-0.safetensors", "b": "s-1.safetensors"}})");
  write_tensors(folder / "s-0.safetensors", kOne);
  write_tensors(folder / "s-1.safetensors", kTwo);
  write_tensors(folder / "stray.safetensors", kTwo);
  const auto checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint->tensors().size(), 2U);
  EXPECT_EQ(checkpoint->find("b")->file->path(), folder / "s-1.safetensors");
}

TEST(Checkpoint, NamesWhatIsWrongWithAnIndex) {
  const TestFolder folder;
  write_file(folder / "config.json", "{}");
  write_tensors(folder / "s-0.safetensors", kOne);
  write_tensors(folder / "s-1.safetensors", kTwo);
  const std::pair<const char*, const char*> cases[] = {
      {"", "not valid JSON"},
      {"[]", "weight_map: expected an object"},
      {R"({"weight_map": {}})", "weight_map: expected an object"},
      {R"({"weight_map": {"a": 3}})", "a: expected a file name"},
      {R"({"weight_map": {"a": "../s-0.safetensors"}})", "a: expected the name of a file in the same folder"},
      {R"({"weight_map": {"a": "/etc/passwd"}})", "expected the name of a file in the same folder"},
      {R"({"weight_map": {"a": ".."}})", "expected the name of a file in the same folder"},
      {R"({"weight_map": {"a": "s-0.safetensors\u0000"}})", "expected the name of a file in the same folder"},
      {R"({"weight_map": {"a": "s-9.safetensors"}})", "expected the shard s-9.safetensors in the folder"},
      {R"({"weight_map": {"a": "s-0.safetensors", "z": "s-1.safetensors"}})",
       "z: expected it in s-1.safetensors, found it in none of the shards"},
      {R"({"weight_map": {"a": "s-1.safetensors", "b": "s-0.safetensors"}})",
       "a: expected it in s-1.safetensors, found it in s-0.safetensors"},
  };
  for (const auto& [index, message] : cases) {
    write_file(folder / "model.safetensors.index.json", index);
    EXPECT_THAT(open_error(folder.path()),
                AllOf(HasSubstr(message), HasSubstr("model.safetensors.index.json")));
  }
}

TEST(Checkpoint, RefusesATensorInTwoFiles) {
  const TestFolder folder;
  write_file(folder / "config.json", "{}");
  write_tensors(folder / "x-1.safetensors", kOne);
  write_tensors(folder / "x-2.safetensors", kOne);
  EXPECT_THAT(
      open_error(folder.path()),
      AllOf(HasSubstr("x-2.safetensors: a: expected each tensor in one file"), HasSubstr("x-1.safetensors")));
}

TEST(Checkpoint, SaysWhatAFolderLacks) {
  const TestFolder folder;
  EXPECT_THAT(open_error(folder / "nowhere"), HasSubstr("found nothing"));
  write_file(folder / "file", "");
  EXPECT_THAT(open_error(folder / "file"), HasSubstr("found a file"));
  EXPECT_THAT(open_error(folder.path()), HasSubstr("expected model.safetensors.index.json or *.safetensors"));
  write_file(folder / "pytorch_model.bin", "");
  EXPECT_THAT(open_error(folder.path()), HasSubstr("found pytorch_model.bin: PyTorch's pickled weights"));
  write_file(folder / "a.gguf", "");
  EXPECT_THAT(open_error(folder.path()), HasSubstr("GGUF is another format"));
  write_tensors(folder / "model.safetensors", kOne);
  EXPECT_THAT(open_error(folder.path()), HasSubstr("expected a config.json, found none"));
  write_file(folder / "config.json", "[1]");
  EXPECT_THAT(open_error(folder.path()), HasSubstr("config.json: expected a JSON object"));
  write_file(folder / "config.json", "{} x");
  EXPECT_THAT(open_error(folder.path()), HasSubstr("config.json: not valid JSON"));
  write_file(folder / "config.json", "{}");
  EXPECT_EQ(first_number(*Checkpoint::open(folder.path()), "a"), test::number_at(0, 0));
}

TEST(Checkpoint, TakesTheTransformerPrefixOff) {
  const TestFolder folder;
  write_file(folder / "config.json", R"({"model_type": "gpt2"})");
  write_tensors(folder / "model.safetensors", {{"lm_head.weight", DType::kF32, {4, 2}},
                                               {"transformer.h.0.ln_1.weight", DType::kF32, {2}},
                                               {"transformer.wte.weight", DType::kF32, {4, 2}}});
  const auto checkpoint = Checkpoint::open(folder.path());
  EXPECT_NE(checkpoint->find("wte.weight"), nullptr);
  EXPECT_NE(checkpoint->find("h.0.ln_1.weight"), nullptr);
  EXPECT_NE(checkpoint->find("lm_head.weight"), nullptr);
  EXPECT_EQ(checkpoint->find("wte.weight")->stored_name, "transformer.wte.weight");

  write_tensors(folder / "model.safetensors",
                {{"wte.weight", DType::kF32, {4, 2}}, {"transformer.wte.weight", DType::kF32, {4, 2}}});
  EXPECT_THAT(
      open_error(folder.path()),
      HasSubstr("wte.weight: expected one tensor that stands for wte.weight, found transformer.wte.weight"));
}

TEST(Checkpoint, KnowsBothNamesOfGptNeoxHead) {
  const TestFolder folder;
  write_file(folder / "config.json", R"({"model_type": "gpt_neox"})");
  const TensorSpec embedding = {"gpt_neox.embed_in.weight", DType::kF32, {4, 2}};
  write_tensors(folder / "model.safetensors", {embedding, {"lm_head.weight", DType::kF32, {4, 2}}});
  EXPECT_EQ(Checkpoint::open(folder.path())->find("embed_out.weight")->stored_name, "lm_head.weight");
  write_tensors(
      folder / "model.safetensors",
      {embedding, {"embed_out.weight", DType::kF32, {4, 2}}, {"lm_head.weight", DType::kF32, {4, 2}}});
  EXPECT_THAT(open_error(folder.path()), HasSubstr("lm_head.weight: expected one tensor that stands for"));
}

// --- GPT-OSS's original/ layout: 2 layers, 2 experts, 4 heads and 1 kv head of 8, hidden 64.

constexpr const char* kOriginalConfig =
    R"({"num_hidden_layers": 3, "num_experts": 2, "experts_per_token": 1, "vocab_size": 10, "hidden_size": 64,
        "intermediate_size": 32, "swiglu_limit": 7.0, "head_dim": 8, "num_attention_heads": 4,
        "num_key_value_heads": 1, "sliding_window": 128, "initial_context_length": 4096, "rope_theta": 150000,
        "rope_scaling_factor": 32.0, "rope_ntk_alpha": 1, "rope_ntk_beta": 32})";

std::vector<TensorSpec> original_layer() {
  const auto bf16 = DType::kBf16;
  return {{"embedding.weight", bf16, {10, 64}},
          {"block.2.attn.norm.scale", bf16, {64}},
          {"block.2.attn.qkv.weight", bf16, {48, 64}},
          {"block.2.attn.qkv.bias", bf16, {48}},
          {"block.2.attn.sinks", bf16, {4}},
          {"block.2.attn.out.weight", bf16, {64, 32}},
          {"block.2.attn.out.bias", bf16, {64}},
          {"block.2.mlp.norm.scale", bf16, {64}},
          {"block.2.mlp.gate.weight", bf16, {2, 64}},
          {"block.2.mlp.gate.bias", bf16, {2}},
          {"block.2.mlp.mlp1_weight.blocks", DType::kU8, {2, 64, 2, 16}},
          {"block.2.mlp.mlp1_weight.scales", DType::kU8, {2, 64, 2}},
          {"block.2.mlp.mlp1_bias", bf16, {2, 64}},
          {"block.2.mlp.mlp2_weight.blocks", DType::kU8, {2, 64, 1, 16}},
          {"block.2.mlp.mlp2_weight.scales", DType::kU8, {2, 64, 1}},
          {"block.2.mlp.mlp2_bias", bf16, {2, 64}},
          {"norm.scale", bf16, {64}},
          {"unembedding.weight", bf16, {10, 64}}};
}

TEST(GptOssOriginal, LooksLikeTheHuggingFaceLayout) {
  const TestFolder folder;
  write_file(folder / "original/config.json", kOriginalConfig);
  write_file(folder / "original/dtypes.json", "{}");
  write_tensors(folder / "original/model.safetensors", original_layer());
  write_file(folder / "tokenizer.json", "{}");
  for (const test::fs::path& path : {folder / "original", folder.path(), folder / "original/"}) {
    const auto checkpoint = Checkpoint::open(path);
    std::map<std::string, std::string> names;
    for (const auto& [name, stored] : checkpoint->tensors()) names[name] = stored.tensor.shape().to_string();
    const std::string layer = "model.layers.2.";
    EXPECT_THAT(
        names,
        UnorderedElementsAre(
            Pair("model.embed_tokens.weight", "[10, 64]"), Pair("lm_head.weight", "[10, 64]"),
            Pair("model.norm.weight", "[64]"), Pair(layer + "input_layernorm.weight", "[64]"),
            Pair(layer + "post_attention_layernorm.weight", "[64]"),
            Pair(layer + "self_attn.q_proj.weight", "[32, 64]"),
            Pair(layer + "self_attn.k_proj.weight", "[8, 64]"),
            Pair(layer + "self_attn.v_proj.weight", "[8, 64]"), Pair(layer + "self_attn.q_proj.bias", "[32]"),
            Pair(layer + "self_attn.k_proj.bias", "[8]"), Pair(layer + "self_attn.v_proj.bias", "[8]"),
            Pair(layer + "self_attn.o_proj.weight", "[64, 32]"),
            Pair(layer + "self_attn.o_proj.bias", "[64]"), Pair(layer + "self_attn.sinks", "[4]"),
            Pair(layer + "mlp.router.weight", "[2, 64]"), Pair(layer + "mlp.router.bias", "[2]"),
            Pair(layer + "mlp.experts.gate_up_proj_blocks", "[2, 64, 2, 16]"),
            Pair(layer + "mlp.experts.gate_up_proj_scales", "[2, 64, 2]"),
            Pair(layer + "mlp.experts.gate_up_proj_bias", "[2, 64]"),
            Pair(layer + "mlp.experts.down_proj_blocks", "[2, 64, 1, 16]"),
            Pair(layer + "mlp.experts.down_proj_scales", "[2, 64, 1]"),
            Pair(layer + "mlp.experts.down_proj_bias", "[2, 64]")));
    // k's rows follow q's: row 0 of k is row 32 of the fused weight.
    const StoredTensor& k = *checkpoint->find(layer + "self_attn.k_proj.weight");
    const auto fused = test::tensor_bytes(original_layer()[2], 2);
    EXPECT_EQ(std::memcmp(k.tensor.bytes(), fused.data() + 32 * 64 * 2, 8 * 64 * 2), 0);
    EXPECT_EQ(k.stored_name, "block.2.attn.qkv.weight");
    EXPECT_TRUE(checkpoint->find_file("tokenizer.json").has_value());
    EXPECT_FALSE(checkpoint->find_file("vocab.json").has_value());
  }
}

TEST(GptOssOriginal, ConfigBecomesTheHuggingFaceOne) {
  const TestFolder folder;
  write_file(folder / "config.json", kOriginalConfig);
  write_tensors(folder / "model.safetensors", original_layer());
  const auto checkpoint = Checkpoint::open(folder.path());
  const ConfigReader& config = checkpoint->config();
  EXPECT_EQ(config.get_string({"model_type"}), "gpt_oss");
  EXPECT_THAT(config.get_strings({"architectures"}), ElementsAre("GptOssForCausalLM"));
  EXPECT_THAT(config.get_strings({"layer_types"}),
              ElementsAre("sliding_attention", "full_attention", "sliding_attention"));
  EXPECT_EQ(config.get_int({"num_local_experts"}), 2);
  EXPECT_EQ(config.get_int({"num_experts_per_tok"}), 1);
  EXPECT_EQ(config.get_int({"max_position_embeddings"}), 131072);
  EXPECT_EQ(config.get_number({"rope_theta"}), 150000.0);
  EXPECT_EQ(config.get_string({"rope_scaling.rope_type"}), "yarn");
  EXPECT_EQ(config.get_number({"rope_scaling.factor"}), 32.0);
  EXPECT_EQ(config.get_number({"rope_scaling.beta_fast"}), 32.0);
  EXPECT_EQ(config.get_number({"rope_scaling.beta_slow"}), 1.0);
  EXPECT_EQ(config.get_int({"rope_scaling.original_max_position_embeddings"}), 4096);
  EXPECT_FALSE(config.get_bool({"rope_scaling.truncate"}, true));
  EXPECT_EQ(config.get_number({"rms_norm_eps"}), 1e-5);
  EXPECT_THAT(config.get_ids({"eos_token_id"}), ElementsAre(200002));
  EXPECT_THAT(checkpoint->generation_config().get_ids({"eos_token_id"}), ElementsAre(200002, 199999, 200012));
}

TEST(GptOssOriginal, TheWeightsOfTheFolderItselfComeFirst) {
  const TestFolder folder;
  write_file(folder / "original/config.json", kOriginalConfig);
  write_tensors(folder / "original/model.safetensors", original_layer());
  write_file(folder / "config.json", R"({"model_type": "gpt_oss"})");
  write_tensors(folder / "model.safetensors", kOne);
  EXPECT_EQ(Checkpoint::open(folder.path())->folder(), folder.path());
}

TEST(GptOssOriginal, NamesAFusedWeightOfAnotherSize) {
  const TestFolder folder;
  write_file(folder / "config.json", kOriginalConfig);
  write_tensors(folder / "model.safetensors", {{"block.0.attn.qkv.weight", DType::kBf16, {40, 64}}});
  EXPECT_THAT(open_error(folder.path()),
              HasSubstr("block.0.attn.qkv.weight: expected 48 rows (q, k and v heads), found BF16 [40, 64]"));
  write_file(folder / "model.safetensors",
             raw_safetensors(
                 R"({"block.0.attn.qkv.weight":{"dtype":"F8_E4M3","shape":[48,1],"data_offsets":[0,48]}})",
                 std::string(48, 'x')));
  EXPECT_THAT(open_error(folder.path()), HasSubstr("found F8_E4M3"));
}

}  // namespace
}  // namespace gossamer
