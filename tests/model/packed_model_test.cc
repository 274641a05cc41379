// Packed folders: the same logits to the bit, refusals in plain words, and damage that is found.
#include "model/packed_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/registry.h"
#include "checkpoint/bf16_checkpoint.h"
#include "tests/checkpoint/corruption.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/model/fixture.h"

namespace gossamer {
namespace {

using test::Corruptor;
using test::error_of;
using test::read_file;
using test::TestFolder;
using test::write_file;
using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

const fs::path kDemo = fs::path(GOSSAMER_SOURCE_DIR) / "models/demo";
const BackendOptions kCpu = {.name = "cpu", .num_threads = 2, .instruction_set = ""};

void pack(const fs::path& model, const fs::path& out, const PrecisionOptions& precision = {}) {
  const auto backend = create_backend(kCpu);
  pack_model(ModelFolder::open(model, precision), *backend,
             {.out = out, .source = "the original", .precision = precision, .num_threads = 2});
}

Scores scores(const fs::path& folder, const std::vector<int32_t>& ids, const PrecisionOptions& precision = {},
              const BackendOptions& backend = kCpu) {
  const EngineLimits limits{
      .max_model_len = std::ssize(ids), .max_num_seqs = 1, .max_batched_tokens = 320, .max_logit_rows = 320};
  return score(*make_engine(folder, backend, precision, limits).engine, ids);
}

void expect_same(const Scores& expected, const Scores& found, const std::string& what) {
  ASSERT_FALSE(expected.logits.empty());
  EXPECT_NE(expected.logits.front(), expected.logits.back());
  EXPECT_EQ(expected.logits, found.logits) << what;
  EXPECT_EQ(expected.hidden, found.hidden) << what;
}

// The error of opening and loading, or nothing.
std::string load_error(const fs::path& folder, const PrecisionOptions& precision = {},
                       const BackendOptions& options = kCpu) {
  try {
    const auto backend = create_backend(options);
    load_model(ModelFolder::open(folder, precision), *backend);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

struct Model {
  fs::path folder;
  std::vector<int32_t> ids;
};

Model model_named(const std::string& name) {
  if (name == "demo") return {kDemo, {2035, 389, 2037, 329, 327, 372, 361, 11, 306}};
  const Fixture fixture = load_fixture(name);
  Model model{.folder = fixture.folder, .ids = {}};
  for (const ExpectedPrompt& prompt : fixture.prompts) {
    if (prompt.ids.size() <= 150 && prompt.ids.size() > model.ids.size()) model.ids = prompt.ids;
  }
  return model;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names = fixture_names();
  names.emplace_back("demo");
  return names;
}

class PackedModel : public testing::TestWithParam<std::string> {};

TEST_P(PackedModel, ComputesTheSameBits) {
  const Model model = model_named(GetParam());
  const TestFolder folder;
  const std::vector<PrecisionOptions> choices = {
      {},
      {.dtype = "bf16"},
      {.dtype = "f32", .weights = "w8"},
      {.weights = "w4"},
      {.weights = "w8a8"},
      {.weights = "dense=int8g32,head=f16", .kv_cache_dtype = "f32"}};
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const fs::path out = folder / std::to_string(i);
    pack(model.folder, out, choices[i]);
    expect_same(scores(model.folder, model.ids, choices[i]),
                scores(out, model.ids, {.kv_cache_dtype = choices[i].kv_cache_dtype}),
                choices[i].dtype + " " + choices[i].weights);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PackedModel, testing::ValuesIn(model_names()),
                         [](const auto& info) { return info.param; });

TEST(PackedFolder, ComputesTheSameBitsOnEveryInstructionSet) {
  const Model model = model_named("gpt_oss_mxfp4");
  const TestFolder folder;
  pack(model.folder, folder / "packed");
  for (const std::string& level : available_instruction_sets()) {
    const BackendOptions backend = {.name = "cpu", .num_threads = 1, .instruction_set = level};
    expect_same(scores(model.folder, model.ids, {}, backend),
                scores(folder / "packed", model.ids, {}, backend), level);
  }
}

TEST(PackedFolder, IsTheSameWhoeverWroteIt) {
  const TestFolder folder;
  pack(kDemo, folder / "a", {.weights = "w4"});
  pack(kDemo, folder / "b", {.weights = "w4"});
  for (const char* name : {"packed.safetensors", "gossamer_pack.json"})
    EXPECT_EQ(read_file(folder / "a" / name), read_file(folder / "b" / name)) << name;
}

TEST(PackedFolder, IsMappedAndPlannedToTheByte) {
  const TestFolder folder;
  pack(kDemo, folder / "packed");
  const ModelFolder opened = ModelFolder::open(folder / "packed", {});
  const auto backend = create_backend(kCpu);
  std::size_t planned = 0;
  for (const ResolvedMatrix& matrix : opened.matrices) {
    const WeightImage& image = *opened.packed->find(matrix.source.name)->weight;
    planned += image.bytes.size();
    EXPECT_EQ(image.bytes.size(),
              backend->prepared_bytes(image.format, image.num_experts, image.rows, image.cols));
    const auto weight =
        backend->adopt(image, Buffer(const_cast<std::byte*>(image.bytes.data()), image.bytes.size(), {}));
    EXPECT_EQ(backend->image(*weight).bytes.data(), image.bytes.data()) << "copied";
  }
  EXPECT_GT(planned, 1'000'000U);
}

TEST(PackedFolder, RefusesOptionsThatContradict) {
  const TestFolder folder;
  pack(kDemo, folder / "packed", {.weights = "w8"});
  EXPECT_EQ(load_error(folder / "packed", {.weights = "w8"}), "");
  EXPECT_THAT(load_error(folder / "packed", {.weights = "w4"}),
              AllOf(HasSubstr("packed with --weights w8, found --weights w4"), HasSubstr("the original")));
  EXPECT_THAT(load_error(folder / "packed", {.activations = "int8"}),
              HasSubstr("packed with --activations auto, found --activations int8"));
  EXPECT_THAT(load_error(folder / "packed", {.dtype = "f32"}),
              HasSubstr("packed with --dtype auto, found --dtype f32"));
  EXPECT_THAT(load_error(folder / "packed", {}, {.name = "reference"}),
              AllOf(HasSubstr("packed for the backend cpu"), HasSubstr("found --backend reference"),
                    HasSubstr("use --backend cpu")));
}

TEST(PackedFolder, IsNotPackedTwiceAndNotForTheReference) {
  const TestFolder folder;
  pack(kDemo, folder / "packed");
  EXPECT_THAT(error_of([&] { pack(folder / "packed", folder / "again"); }), HasSubstr("that is packed"));
  const auto reference = create_backend({.name = "reference"});
  EXPECT_THAT(error_of([&] {
                pack_model(ModelFolder::open(kDemo, {}), *reference, {.out = folder / "r", .source = "demo"});
              }),
              HasSubstr("cannot be packed"));
  EXPECT_FALSE(fs::exists(folder / "r"));
}

TEST(PackedFolder, RefusesAnotherLayoutVersionOrBackend) {
  const TestFolder folder;
  pack(kDemo, folder / "packed");
  PackManifest manifest = *read_pack_manifest(*Checkpoint::open(folder / "packed"));
  const auto write = [&] {
    write_file(folder / "packed/gossamer_pack.json", json::serialize(to_json(manifest)));
  };
  manifest.layout += 1;
  write();
  EXPECT_THAT(load_error(folder / "packed"),
              AllOf(HasSubstr("expected version 1 of packed weights, found version 2"), HasSubstr("again")));
  manifest.layout -= 1;
  manifest.backend = "other";
  write();
  EXPECT_THAT(load_error(folder / "packed"), HasSubstr("packed for the backend other"));
  manifest.backend = "cpu";
  manifest.tensors.front().weight->flags = 64;
  write();
  EXPECT_THAT(load_error(folder / "packed"), HasSubstr("expected flags"));
  manifest.tensors.front().weight->flags = 0;
  manifest.tensors.front().weight->format = Format::kInt4;
  write();
  EXPECT_THAT(load_error(folder / "packed"), HasSubstr("as int4, found"));
  json::object later = to_json(manifest);
  later["gossamer_pack"] = 2;
  write_file(folder / "packed/gossamer_pack.json", json::serialize(later));
  EXPECT_THAT(load_error(folder / "packed"), HasSubstr("version 1 of packed folders"));
}

TEST(PackedFolder, NamesMissingFiles) {
  const TestFolder folder;
  pack(kDemo, folder / "packed");
  for (const char* name : {"gossamer_pack.json", "packed.safetensors", "config.json", "tokenizer.json"}) {
    fs::rename(folder / "packed" / name, folder / "away");
    EXPECT_THAT(load_error(folder / "packed"), HasSubstr(name));
    fs::rename(folder / "away", folder / "packed" / name);
  }
  EXPECT_EQ(load_error(folder / "packed"), "");
}

// Any damage, anywhere but in the spaces of the two JSON texts, is an Error.
TEST(PackedFolder, FindsEveryDamage) {
  const TestFolder folder;
  pack(load_fixture("gpt_oss_mxfp4").folder, folder / "packed");
  const std::string data = read_file(folder / "packed/packed.safetensors");
  const std::size_t step = data.size() / 60;
  for (std::size_t place = 0; place < data.size(); place += step) {
    std::string damaged = data;
    damaged[place] ^= 16;
    write_file(folder / "packed/packed.safetensors", damaged);
    EXPECT_NE(load_error(folder / "packed"), "") << "a bit flipped at " << place;
    write_file(folder / "packed/packed.safetensors", data.substr(0, place));
    EXPECT_NE(load_error(folder / "packed"), "") << "truncated to " << place;
  }
  write_file(folder / "packed/packed.safetensors", data + "x");
  EXPECT_NE(load_error(folder / "packed"), "");
  write_file(folder / "packed/packed.safetensors", data);
  EXPECT_EQ(load_error(folder / "packed"), "");

  for (const char* name : {"gossamer_pack.json", "config.json"}) {
    const std::string text = read_file(folder / "packed" / name);
    Corruptor corruptor(7);
    for (int trial = 0; trial < 100; ++trial) {
      std::string damaged = text;
      const std::string how = corruptor.corrupt(damaged, text.size());
      if (damaged == text) continue;
      write_file(folder / "packed" / name, damaged);
      const std::string error = load_error(folder / "packed");
      if (error.empty()) {  // only where the JSON still says the same
        EXPECT_STREQ(name, "gossamer_pack.json") << how;
        EXPECT_EQ(json::serialize(parse_json(damaged, "damaged")), json::serialize(parse_json(text, "text")))
            << how;
      }
    }
    write_file(folder / "packed" / name, text);
  }
}

TEST(PackedFolder, NamesTheDamagedTensor) {
  const TestFolder folder;
  pack(kDemo, folder / "packed");
  std::string data = read_file(folder / "packed/packed.safetensors");
  data.back() ^= 1;
  write_file(folder / "packed/packed.safetensors", data);
  const ModelFolder opened = ModelFolder::open(folder / "packed", {});
  EXPECT_THAT(load_error(folder / "packed"),
              AllOf(HasSubstr("packed.safetensors"), HasSubstr(opened.packed->tensors.back().name),
                    HasSubstr("expected checksum"), HasSubstr("pack the model again")));
}

TEST(PackedFolder, LeavesNothingWhenPackingEnds) {
  const TestFolder folder;
  const auto backend = create_backend(kCpu);
  int calls = 0;
  const auto stop = [&](std::size_t, std::size_t) {
    if (++calls == 3) throw Error("stopped");
  };
  EXPECT_EQ(error_of([&] {
              pack_model(ModelFolder::open(kDemo, {}), *backend,
                         {.out = folder / "out", .source = "demo", .progress = stop});
            }),
            "stopped");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

class Bf16Checkpoint : public testing::TestWithParam<std::string> {};

TEST_P(Bf16Checkpoint, HoldsTheSameNumbers) {
  const Model model = model_named(GetParam());
  const TestFolder folder;
  const fs::path out = folder / "bf16";
  write_bf16_checkpoint(*Checkpoint::open(model.folder),
                        {.out = out, .num_threads = 2, .shard_bytes = 200'000});
  const auto checkpoint = Checkpoint::open(out);
  EXPECT_FALSE(checkpoint->config().has({"quantization_config"}));
  EXPECT_TRUE(fs::exists(out / "model.safetensors.index.json"));
  EXPECT_FALSE(fs::exists(out / "model-00001-of-00001.safetensors")) << "one shard tests little";
  for (const auto& [name, stored] : checkpoint->tensors()) {
    EXPECT_FALSE(name.ends_with("_blocks") || name.ends_with("_scales")) << name;
    if (name.ends_with("experts.gate_up_proj")) {
      const ConfigReader& config = checkpoint->config();
      EXPECT_EQ(stored.tensor.dtype(), DType::kBf16);
      EXPECT_EQ(stored.tensor.shape(),
                Shape({config.get_int({"num_local_experts"}), config.get_int({"hidden_size"}),
                       2 * config.get_int({"intermediate_size"})}));
    }
  }
  // Sums in double precision, in the same order; and wherever both become the same numbers.
  const BackendOptions reference = {.name = "reference"};
  const std::vector<int32_t> few(model.ids.begin(),
                                 model.ids.begin() + std::min<std::ptrdiff_t>(12, std::ssize(model.ids)));
  expect_same(scores(model.folder, few, {}, reference), scores(out, few, {}, reference), "reference");
  for (const char* format : {"bf16", "int8", "int4"}) {
    const PrecisionOptions precision = {.weights = std::string("experts=") + format};
    expect_same(scores(model.folder, model.ids, precision), scores(out, model.ids, precision), format);
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Bf16Checkpoint,
                         testing::Values("gpt_oss_mxfp4", "gpt_oss_original", "gpt_oss_sharded"),
                         [](const auto& info) { return info.param; });

TEST(Bf16CheckpointErrors, NeedsMxfp4Experts) {
  const TestFolder folder;
  EXPECT_THAT(error_of([&] {
                write_bf16_checkpoint(*Checkpoint::open(load_fixture("gpt_oss_bf16").folder),
                                      {.out = folder / "out"});
              }),
              HasSubstr("expected a GPT-OSS checkpoint with MXFP4 experts"));
}

}  // namespace
}  // namespace gossamer
