// gossamer score and inspect.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "checkpoint/synth_architecture.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// A file of f32 and i32 tensors, whose rows are numbers.
struct Rows {
  int64_t row_size = 1;
  std::vector<float> numbers;

  std::span<const float> row(int64_t index) const {
    return std::span(numbers).subspan(static_cast<std::size_t>(index * row_size),
                                      static_cast<std::size_t>(row_size));
  }
};
using Tensors = std::map<std::string, Rows>;

Tensors read_tensors(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  Tensors tensors;
  for (const SafetensorsEntry& entry : parse_safetensors(std::as_bytes(std::span(bytes)), path.string())) {
    Rows& rows = tensors[entry.name];
    rows.row_size = entry.shape.rank() == 2 ? entry.shape.row_size() : 1;
    for (uint64_t at = entry.begin; at < entry.end; at += 4) {
      float number = 0;
      std::memcpy(&number, bytes.data() + at, 4);
      rows.numbers.push_back(entry.dtype == "I32" ? static_cast<float>(std::bit_cast<int32_t>(number))
                                                  : number);
    }
  }
  return tensors;
}

ProgramRun score(const std::filesystem::path& model, const std::filesystem::path& ids,
                 const std::filesystem::path& output, const Arguments& more = {}) {
  Arguments arguments = {"score", model, "--token-ids-file", ids, "--output", output};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments);
}

TEST(Score, WritesTheReferencesLogitsAndHiddenStates) {
  for (const char* name : {"gpt2_f32", "gpt_neox_sequential_f32"}) {
    const TestFolder folder;
    const ProgramRun run = score(fixture(name), fixture(name) / "prompts.json", folder / "out.safetensors");
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const Tensors found = read_tensors(folder / "out.safetensors");
    const Tensors expected = read_tensors(fixture(name) / "expected.safetensors");
    int num_compared = 0;
    for (int list = 0; expected.contains(fmt::format("positions.{}", list)); ++list) {
      const Rows& positions = expected.at(fmt::format("positions.{}", list));
      for (const char* kind : {"logits", "hidden"}) {
        const Rows& wanted = expected.at(fmt::format("{}.{}", kind, list));
        const Rows& had = found.at(fmt::format("{}.{}", kind, list));
        ASSERT_EQ(had.row_size, wanted.row_size);
        double difference = 0;
        double norm = 0;
        for (std::size_t row = 0; row < positions.numbers.size(); ++row) {
          const auto a = had.row(static_cast<int64_t>(positions.numbers[row]));
          const auto b = wanted.row(static_cast<int64_t>(row));
          for (std::size_t i = 0; i < b.size(); ++i) {
            difference += std::pow(double{a[i]} - b[i], 2);
            norm += std::pow(double{b[i]}, 2);
          }
        }
        EXPECT_GT(norm, 0.0);
        // The bound of docs/architecture.md for f32 activations.
        EXPECT_LT(std::sqrt(difference / norm), 2e-5) << name << ", " << kind << " of list " << list;
        ++num_compared;
      }
    }
    EXPECT_GT(num_compared, 3);
  }
}

TEST(Score, WritesTheSameBytesHoweverItIsComputed) {
  for (const std::string name : {"gpt2_f32", "gpt_oss_mxfp4"}) {
    const std::string longest = name == "gpt2_f32" ? "304" : "8000";
    const TestFolder folder;
    const auto bytes = [&](const Arguments& more) {
      const ProgramRun run =
          score(fixture(name), fixture(name) / "prompts.json", folder / "out.safetensors", more);
      EXPECT_EQ(run.exit_code, 0) << run.err;
      return read_file(folder / "out.safetensors");
    };
    const std::string alone = bytes({"--threads", "1"});
    EXPECT_EQ(bytes({"--chunk-tokens", "1"}), alone) << name;
    EXPECT_EQ(bytes({"--chunk-tokens", "7", "--threads", "3"}), alone) << name;
    EXPECT_EQ(bytes({"--max-num-seqs", "17", "--threads", "2"}), alone) << name;
    EXPECT_EQ(bytes({"--max-model-len", longest}), alone) << name;
  }
}

TEST(Score, ChecksEverythingBeforeItComputes) {
  const TestFolder folder;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "ids.json"},
      {"{}", "list of lists"},
      {"[]", "list of lists"},
      {"[[1], []]", "list 1"},
      {"[[1], 2]", "list 1"},
      {"[[1, 256]]", "found 256"},
      {"[[1, -1]]", "found -1"},
      {"[[1, 2.5]]", "list 0, position 1"},
      {"[[1, \"a\"]]", "list 0, position 1"},
      {"[[1, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9]]", "9 tokens, but at most 8"},
  };
  for (const auto& [ids, error] : cases) {
    write_file(folder / "ids.json", ids);
    const ProgramRun run =
        score(fixture("gpt2_f32"), folder / "ids.json", folder / "out.safetensors", {"--max-model-len", "8"});
    EXPECT_EQ(run.exit_code, 1) << ids;
    EXPECT_THAT(run.err, HasSubstr(error)) << ids;
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1)
        << "nothing but ids.json";
  }
  write_file(folder / "ids.json", "[[1]]");
  EXPECT_EQ(score(fixture("gpt2_f32"), folder / "ids.json", "/no/such/folder/out").exit_code, 1);
  EXPECT_EQ(score(fixture("gpt2_f32"), folder / "none.json", folder / "out").exit_code, 1);
}

// The folder of an architecture at its real size, without its numbers: files full of holes.
void write_hollow_checkpoint(const std::filesystem::path& folder, const std::string& name) {
  const SynthArchitecture architecture = describe_synth_architecture(name, {});
  write_file(folder / "config.json", json::serialize(architecture.config));
  json::object header;
  std::size_t begin = 0;
  for (const SynthTensor& tensor : architecture.tensors) {
    json::array shape;
    for (const int64_t dim : tensor.spec.shape.dims()) shape.emplace_back(dim);
    const std::size_t end = begin + tensor.spec.size_bytes();
    header[tensor.spec.name] = {
        {"dtype", dtype_name(tensor.spec.dtype)}, {"shape", shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  const std::string bytes = raw_safetensors(json::serialize(header), "");
  write_file(folder / "model.safetensors", bytes);
  std::filesystem::resize_file(folder / "model.safetensors", bytes.size() + begin);
}

TEST(Inspect, CountsParametersAndBytesOfGptOss20b) {
  const TestFolder folder;
  write_hollow_checkpoint(folder.path(), "gpt-oss-20b");
  const ProgramRun run = run_program({"inspect", folder.path(), "--json", "--max-model-len", "131072"});
  const json::object report = parse_json(run.out, "report").as_object();
  const auto number = [](const json::value& value) { return value.to_number<int64_t>(); };
  // The model card says 20.9 billion, 3.6 of them active.
  EXPECT_EQ(number(report.at("parameters")), 20914757184);
  EXPECT_NEAR(report.at("active_parameters").to_number<double>(), 3.61e9, 0.01e9);
  const json::object& plan = report.at("plan").as_object();
  EXPECT_EQ(number(plan.at("kv_bytes_per_token")), 12 * 2 * 8 * 64 * 2);
  EXPECT_GE(number(plan.at("kv_bytes")), int64_t{131072} * 24576);
  EXPECT_LT(number(plan.at("kv_bytes")), int64_t{131072} * 24576 + (64 << 20))
      << "the window layers keep their window only";
  EXPECT_GT(number(plan.at("weights_bytes")), 13'700'000'000);
  EXPECT_EQ(report.at("windows").as_array().at(0).as_int64(), 128);
  EXPECT_EQ(report.at("windows").as_array().at(1).as_int64(), 0);
  EXPECT_EQ(run.exit_code, report.at("fits").as_bool() ? 0 : 1);
}

TEST(Inspect, SaysInOneLineWhatDoesNotFitAndWhatWould) {
  const TestFolder folder;
  write_hollow_checkpoint(folder.path(), "gpt-oss-20b");
  const Arguments too_much = {"inspect", folder.path(),     "--max-num-seqs",
                              "100000",  "--max-model-len", "131072"};
  const ProgramRun run = run_program(too_much);
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.out, AllOf(HasSubstr("KV cache"), HasSubstr("does not fit")));
  EXPECT_THAT(run.err, AllOf(HasSubstr("does not fit"), HasSubstr("GiB"), HasSubstr("available")));
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
}

TEST(Inspect, RefusesGptNeox20bBeforeLoadingWhereItDoesNotFit) {
  const TestFolder folder;
  write_hollow_checkpoint(folder.path(), "gpt-neox-20b");
  const ProgramRun inspect = run_program({"inspect", folder.path(), "--json"});
  const json::object report = parse_json(inspect.out, "report").as_object();
  const double needed = 2.0 * report.at("parameters").to_number<double>();
  EXPECT_GT(needed, 40e9);
  if (report.at("machine").at("available_bytes").to_number<double>() > needed)
    GTEST_SKIP() << "this machine is large enough";
  EXPECT_EQ(inspect.exit_code, 1);
  const ProgramRun generate = run_program({"generate", folder.path(), "--token-ids", "1,2", "-n", "1"});
  EXPECT_EQ(generate.exit_code, 1);
  EXPECT_EQ(generate.out, "");
  EXPECT_THAT(generate.err,
              AllOf(HasSubstr("does not fit"), HasSubstr("weights 38."), HasSubstr("available")));
  EXPECT_EQ(std::count(generate.err.begin(), generate.err.end(), '\n'), 1) << generate.err;
}

TEST(Inspect, PrintsATableOfEveryFixture) {
  for (const auto& entry : std::filesystem::directory_iterator(fixture(""))) {
    const ProgramRun run = run_program({"inspect", entry.path(), "--max-num-seqs", "3"});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(run.err, "");
    EXPECT_THAT(run.out, AllOf(HasSubstr("by kind"), HasSubstr("by format"),
                               HasSubstr("memory plan for 3 sequences"), HasSubstr("It fits.")));
  }
}

}  // namespace
}  // namespace gossamer::test
