// Damaged model folders must give an Error or open; they must never crash, hang, or allocate without measure.
#include "tests/checkpoint/corruption.h"

#include <sys/resource.h>

#include <chrono>

#include "checkpoint/checkpoint.h"
#include "checkpoint/params.h"
#include "model/registry.h"

namespace gossamer {
namespace {

using test::TestFolder;
using test::write_file;
using test::write_tensors;
using test::fs::path;

constexpr const char* kGpt2Config =
    R"({"model_type": "gpt2", "n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 16, "n_ctx": 16,
        "vocab_size": 50, "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new"})";
constexpr const char* kGptNeoxConfig =
    R"({"model_type": "gpt_neox", "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2,
        "intermediate_size": 64, "vocab_size": 50, "max_position_embeddings": 16, "rotary_pct": 0.25,
        "rotary_emb_base": 10000, "hidden_act": "gelu", "layer_norm_eps": 1e-05})";
constexpr const char* kGptOssConfig =
    R"({"model_type": "gpt_oss", "hidden_size": 64, "intermediate_size": 32, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "num_hidden_layers": 2, "num_local_experts": 4,
        "num_experts_per_tok": 2, "vocab_size": 50, "max_position_embeddings": 4096, "sliding_window": 8,
        "layer_types": ["sliding_attention", "full_attention"], "rms_norm_eps": 1e-05,
        "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0,
                         "original_max_position_embeddings": 128, "truncate": false},
        "rope_theta": 150000, "swiglu_limit": 7.0})";
constexpr const char* kOriginalConfig =
    R"({"num_hidden_layers": 1, "num_experts": 4, "experts_per_token": 2, "vocab_size": 50, "hidden_size": 64,
        "intermediate_size": 32, "swiglu_limit": 7.0, "head_dim": 16, "num_attention_heads": 4,
        "num_key_value_heads": 2, "sliding_window": 8, "initial_context_length": 128, "rope_theta": 150000,
        "rope_scaling_factor": 32.0, "rope_ntk_alpha": 1, "rope_ntk_beta": 32})";

// The tensors that the model of this config declares.
std::vector<TensorSpec> declared_tensors(const char* config, bool with_mxfp4) {
  const auto model = create_model(ConfigReader(parse_json(config, "config").get_object(), "config"));
  const ParamList params = model->declare_params();
  std::vector<TensorSpec> specs;
  for (const MatrixParam& param : params.matrices) {
    for (const ParamPart& part : param.parts) {
      if (param.num_experts > 0 && with_mxfp4) {
        specs.push_back(
            {part.name + "_blocks", DType::kU8, {param.num_experts, part.rows, param.cols / 32, 16}});
        specs.push_back({part.name + "_scales", DType::kU8, {param.num_experts, part.rows, param.cols / 32}});
      } else if (param.num_experts > 0) {
        specs.push_back({part.name, DType::kBf16, {param.num_experts, param.cols, part.rows}});
      } else if (param.transposed) {
        specs.push_back({part.name, DType::kBf16, {param.cols, part.rows}});
      } else {
        specs.push_back({part.name, DType::kBf16, {part.rows, param.cols}});
      }
    }
  }
  for (const VectorParam& param : params.vectors) {
    for (const ParamPart& part : param.parts) {
      const Shape shape = param.num_experts > 0 ? Shape{param.num_experts, part.rows} : Shape{part.rows};
      specs.push_back({part.name, DType::kF32, shape});
    }
  }
  return specs;
}

void write_sharded(const path& folder, const std::vector<TensorSpec>& specs) {
  const auto half = static_cast<std::ptrdiff_t>(specs.size() / 2);
  write_tensors(folder / "model-0.safetensors", {specs.begin(), specs.begin() + half});
  write_tensors(folder / "model-1.safetensors", {specs.begin() + half, specs.end()});
  json::object weight_map;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    weight_map[specs[i].name] =
        static_cast<std::ptrdiff_t>(i) < half ? "model-0.safetensors" : "model-1.safetensors";
  }
  write_file(folder / "model.safetensors.index.json",
             json::serialize(json::object{{"weight_map", weight_map}}));
}

std::vector<TensorSpec> original_tensors() {
  const auto bf16 = DType::kBf16;
  return {{"embedding.weight", bf16, {50, 64}},
          {"block.0.attn.norm.scale", bf16, {64}},
          {"block.0.attn.qkv.weight", bf16, {128, 64}},
          {"block.0.attn.qkv.bias", bf16, {128}},
          {"block.0.attn.sinks", bf16, {4}},
          {"block.0.attn.out.weight", bf16, {64, 64}},
          {"block.0.attn.out.bias", bf16, {64}},
          {"block.0.mlp.norm.scale", bf16, {64}},
          {"block.0.mlp.gate.weight", bf16, {4, 64}},
          {"block.0.mlp.gate.bias", bf16, {4}},
          {"block.0.mlp.mlp1_weight.blocks", DType::kU8, {4, 64, 2, 16}},
          {"block.0.mlp.mlp1_weight.scales", DType::kU8, {4, 64, 2}},
          {"block.0.mlp.mlp1_bias", bf16, {4, 64}},
          {"block.0.mlp.mlp2_weight.blocks", DType::kU8, {4, 64, 1, 16}},
          {"block.0.mlp.mlp2_weight.scales", DType::kU8, {4, 64, 1}},
          {"block.0.mlp.mlp2_bias", bf16, {4, 64}},
          {"norm.scale", bf16, {64}},
          {"unembedding.weight", bf16, {50, 64}}};
}

// One small folder of each layout, and the repository's fixtures.
std::vector<path> make_sources(const TestFolder& folder) {
  const path gpt2 = folder / "gpt2";
  write_file(gpt2 / "config.json", kGpt2Config);
  write_tensors(gpt2 / "model.safetensors", declared_tensors(kGpt2Config, true));
  const path gpt_neox = folder / "gpt_neox";
  write_file(gpt_neox / "config.json", kGptNeoxConfig);
  write_file(gpt_neox / "generation_config.json", R"({"eos_token_id": [0, 1], "bos_token_id": 0})");
  write_sharded(gpt_neox, declared_tensors(kGptNeoxConfig, true));
  const path gpt_oss = folder / "gpt_oss";
  write_file(gpt_oss / "config.json", kGptOssConfig);
  write_sharded(gpt_oss, declared_tensors(kGptOssConfig, true));
  const path dense = folder / "gpt_oss_dense";
  write_file(dense / "config.json", kGptOssConfig);
  write_tensors(dense / "some.safetensors", declared_tensors(kGptOssConfig, false));
  const path original = folder / "gpt_oss_original";
  write_file(original / "config.json", kOriginalConfig);
  write_tensors(original / "model.safetensors", original_tensors());

  std::vector<path> sources = {gpt2, gpt_neox, gpt_oss, dense, original};
  const path fixtures = path(GOSSAMER_SOURCE_DIR) / "tests/fixtures";
  if (test::fs::is_directory(fixtures)) {
    for (const auto& entry : test::fs::directory_iterator(fixtures)) {
      if (test::fs::exists(entry.path() / "config.json")) sources.push_back(entry.path());
    }
  }
  return sources;
}

void open_and_resolve(const path& folder) {
  const auto checkpoint = Checkpoint::open(folder);
  const auto model = create_model(checkpoint->config());
  const ParamList params = model->declare_params();
  for (const ResolvedMatrix& matrix : resolve_matrices(*checkpoint, params)) {
    std::vector<float> row(static_cast<std::size_t>(matrix.source.cols));
    matrix.source.decode_row(matrix.source.num_experts - 1, matrix.source.rows - 1, row.data());
  }
  (void)checkpoint->generation_config().get_ids({"eos_token_id"});
}

long peak_resident_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

TEST(Corruption, UndamagedSourcesOpen) {
  const TestFolder folder;
  for (const path& source : make_sources(folder)) EXPECT_NO_THROW(open_and_resolve(source)) << source;
}

TEST(Corruption, DamagedFoldersGiveAnErrorOrOpen) {
  const TestFolder folder;
  const std::vector<path> sources = make_sources(folder);
  const uint64_t cases_per_source = 1000 / sources.size() + 1;
  const long resident_before = peak_resident_mib();
  int refused = 0;
  int opened = 0;
  for (const path& source : sources) {
    for (uint64_t seed = 0; seed < cases_per_source; ++seed) {
      const std::string description = test::make_damaged_copy(source, folder / "damaged", seed);
      const auto begin = std::chrono::steady_clock::now();
      try {
        open_and_resolve(folder / "damaged");
        ++opened;
      } catch (const Error& error) {
        ++refused;
        EXPECT_GT(std::string(error.what()).size(), 20U) << description;
        EXPECT_LT(std::string(error.what()).size(), 2000U) << description;
      } catch (const std::exception& other) {
        ADD_FAILURE() << description << ": not an Error: " << other.what();
      }
      EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5)) << description;
      ASSERT_LT(peak_resident_mib() - resident_before, 512) << description;
    }
  }
  // Most damage is seen; damaged numbers in the middle of a tensor cannot be.
  EXPECT_GE(refused + opened, 1000);
  EXPECT_GT(refused, opened);
  EXPECT_GT(opened, 0);
  RecordProperty("refused", refused);
  RecordProperty("opened", opened);
}

}  // namespace
}  // namespace gossamer
