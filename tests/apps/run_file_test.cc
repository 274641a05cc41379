// Run files as `gossamer run` reads them: both forms of YAML recipes, the INI files of atb_speed_sdk, and
// what is said about files that are wrong.
#include "apps/run/run_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "apps/run/recipe_settings.h"
#include "apps/run/sdk_settings.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

struct Recipe {
  RecipeSettings settings;
  std::vector<std::string> notes;
};

Recipe recipe(const std::string& text) {
  RunFile file = RunFile::from_yaml("a.yaml", text);
  const RecipeSettings settings = read_recipe(file);
  return {settings, file.notes()};
}
std::string recipe_error(const std::string& text) {
  return error_of([&] { recipe(text); });
}

struct Sdk {
  SdkSettings settings;
  std::vector<std::string> notes;
};

Sdk sdk(const std::string& text) {
  RunFile file = RunFile::from_ini("a.ini", text);
  const SdkSettings settings = read_sdk(file);
  return {settings, file.notes()};
}
std::string sdk_error(const std::string& text) {
  return error_of([&] { sdk(text); });
}

// As the founding document prints it.
constexpr const char* kFirstForm = R"(model_name: "gpt_oss_20b"        # 模型名字
model_path: "your_model_path"    # 模型的权重路径
exe_mode: "eager"                # ["eager"], mode of decode
world_size: 1                    # 执行推理时使用的芯片数量

model_config:
  enable_profiler: False         # [False, True]
  enable_online_split_weight: True

data_config:
  dataset: "LongBench"           # ["default", "LongBench"]
  input_max_len: 4096
  max_new_tokens: 100
  batch_size: 1

parallel_config:
  tp_size: 1
)";

TEST(RunFile, TakesTheFirstFormAsPrinted) {
  const Recipe read = recipe(kFirstForm);
  EXPECT_EQ(read.settings.model_name, "gpt_oss_20b");
  EXPECT_EQ(read.settings.model_path, "your_model_path");
  EXPECT_EQ(read.settings.dataset, "LongBench");
  EXPECT_EQ(read.settings.input_max_len, 4096);
  EXPECT_EQ(read.settings.input_max_len_where, "a.yaml:12: data_config.input_max_len");
  EXPECT_EQ(read.settings.max_new_tokens, 100);
  EXPECT_EQ(read.settings.batch_size, 1);
  EXPECT_FALSE(read.settings.enable_profiler);
  EXPECT_THAT(read.notes, ElementsAre(AllOf(HasSubstr("a.yaml:8: model_config.enable_online_split_weight: "),
                                            HasSubstr("nothing to split"))));
}

TEST(RunFile, TakesTheNewerForm) {
  const Recipe read = recipe(R"(
model_config:
  model_name: gpt_oss
  model_path: /data/models/gpt-oss-20b
  exe_mode: npugraph_ex
  dtype: bfloat16
  enable_profiler: yes
data_config:
  dataset: InfiniteBench
  dataset_path: /data
  input_truncated_len: 256
  temperature: 0.5
  top_k: 3
  seed: null
parallel_config: {world_size: 1, attn_tp_size: 1, cp_size: 1}
scheduler_config:
  batch_size: 4
  max_new_tokens: 7
  block_size: 128
)");
  EXPECT_EQ(read.settings.model_name, "gpt_oss");
  EXPECT_EQ(read.settings.dtype, "bf16");
  EXPECT_TRUE(read.settings.enable_profiler);
  EXPECT_EQ(read.settings.dataset, "InfiniteBench");
  EXPECT_EQ(read.settings.dataset_path, "/data");
  EXPECT_EQ(read.settings.input_max_len, 256);
  EXPECT_EQ(read.settings.temperature, 0.5);
  EXPECT_EQ(read.settings.top_k, 3);
  EXPECT_FALSE(read.settings.seed.has_value());
  EXPECT_EQ(read.settings.batch_size, 4);
  EXPECT_EQ(read.settings.max_new_tokens, 7);
  EXPECT_THAT(
      read.notes,
      ElementsAre(AllOf(HasSubstr("a.yaml:5: model_config.exe_mode: "), HasSubstr("do not exist on CPUs")),
                  AllOf(HasSubstr("a.yaml:19: scheduler_config.block_size: "), HasSubstr("pages of 32"))));
}

TEST(RunFile, TakesAKeyThatBothPlacesHaveWhenTheySayTheSame) {
  EXPECT_EQ(
      recipe(
          "model_name: a\nworld_size: 1\nmodel_config:\n  model_name: a\nparallel_config:\n  world_size: 1\n")
          .settings.model_name,
      "a");
  EXPECT_THAT(
      recipe_error("model_name: a\nmodel_config:\n  model_name: b\n"),
      AllOf(HasSubstr("a.yaml:3: model_config.model_name: says \"b\""), HasSubstr("a.yaml:1: model_name")));
}

TEST(RunFile, RefusesSeveralDevicesWithWhatToDo) {
  for (const char* text :
       {"world_size: 4\n", "parallel_config:\n  tp_size: 4\n", "parallel_config:\n  moe_tp_size: 4\n"})
    EXPECT_THAT(recipe_error(text), AllOf(HasSubstr("4 devices"), HasSubstr("not built yet: expected 1")))
        << text;
  EXPECT_THAT(
      sdk_error("[model]\ndevice_ids=0,1\n"),
      AllOf(HasSubstr("a.ini:2: [model] device_ids: 2 devices"), HasSubstr("not built yet: expected 1")));
}

TEST(RunFile, NamesEveryUnknownKeyWithItsLineAndTheNearestKnownOne) {
  EXPECT_THAT(
      recipe_error("model_name: a\nmodel_confg:\n  enable_profiler: False\ndata_config:\n  batch_sise: 1\n"
                   "  something_else: 1\n  tp_size: 1\n"),
      AllOf(HasSubstr(
                "a.yaml:3: model_confg.enable_profiler: unknown key; is model_config.enable_profiler meant?"),
            HasSubstr("a.yaml:5: data_config.batch_sise: unknown key; is data_config.batch_size meant?"),
            HasSubstr("a.yaml:6: data_config.something_else: unknown key"),
            HasSubstr("a.yaml:7: data_config.tp_size: unknown key; it is known as parallel_config.tp_size")));
  EXPECT_THAT(sdk_error("[model]\nmodel_path=x\n[performance]\ncase_pairs=1\n"),
              HasSubstr("a.ini:4: [performance] case_pairs: unknown key; is [performance] case_pair meant?"));
}

// yaml-cpp's LoadAll never ends on the first of them.
TEST(RunFile, EndsOnWhatIsNoMap) {
  for (const char* text : {"\n,", ",", "a: 1\n...\n,", "a: 1\n---\nb: 2\n", "", "- a\n"})
    EXPECT_THROW((void)RunFile::from_yaml("x.yaml", text), Error) << text;
}

TEST(RunFile, NamesAWrongTypeWithItsLine) {
  struct Case {
    const char* text;
    const char* complaint;
  };
  for (const Case& one : std::initializer_list<Case>{
           {"model_name: 20\n", "a.yaml:1: model_name: expected a text, in quotes, found the number \"20\""},
           {"world_size: \"1\"\n",
            "a.yaml:1: world_size: expected a whole number from 0 to 2147483648, found the text \"1\""},
           {"data_config:\n  batch_size: 1.5\n",
            "a.yaml:2: data_config.batch_size: expected a whole number from 1"},
           {"data_config:\n  batch_size: 0\n",
            "a.yaml:2: data_config.batch_size: expected a whole number from 1"},
           {"data_config:\n  batch_size: [1, 2]\n", "found a list or map"},
           {"data_config:\n  dataset: \"longbench\"\n", "expected one of default, LongBench, InfiniteBench"},
           {"data_config:\n  temperature: warm\n",
            "a.yaml:2: data_config.temperature: expected a number from 0 to 100"},
           {"model_config:\n  enable_profiler: 1\n",
            "a.yaml:2: model_config.enable_profiler: expected True or False"},
           {"model_config:\n  enable_online_split_weight: maybe\n", "expected True or False"},
           {"model_config: 3\n", "a.yaml:1: model_config: expected keys below it, indented"},
           {"exe_mode: fast\n",
            "a.yaml:1: exe_mode: expected one of eager, ge_graph, acl_graph, npugraph_ex"},
           {"model_name: a\nmodel_name: b\n", "a.yaml:2: model_name is there twice: line 1 has it too"},
           {"model_name: \"a\n", "this is no YAML"},
           {"model_name: a\n\tb: c\n", "a.yaml:2: this is no YAML"},
           {"- a\n", "a.yaml:1: expected one document"},
           {"a: 1\n---\na: 1\n", "found several documents"},
           {"", "expected one document"},
       })
    EXPECT_THAT(recipe_error(one.text), HasSubstr(one.complaint)) << one.text;
}

TEST(RunFile, TakesTheSdksFileAsPublished) {
  const Sdk read = sdk(R"([model]
;模型路径
model_path=../model
device_ids=2
;parallel_backend=hccl
;bind_cpu=1

[precision]
mode=ceval
work_dir=./
batch=2
shot=3
seq_len_out=32

[performance]
MODEL_NAME = vicuna_13b
batch_size=1
max_len_exp=6
min_len_exp=5
save_file_name=
perf_mode=detail
skip_decode=
)");
  EXPECT_EQ(read.settings.model_path, "../model");
  EXPECT_EQ(read.settings.precision.work_dir, "./");
  EXPECT_EQ(read.settings.precision.batch, 2);
  EXPECT_EQ(read.settings.precision.shot, 3);
  EXPECT_EQ(read.settings.performance.model_name, "vicuna_13b");
  EXPECT_TRUE(read.settings.performance.detail);
  EXPECT_TRUE(read.settings.performance.skip_decode);
  const auto lengths = [](int64_t input, int64_t output) {
    return AllOf(Field(&PerformanceCase::input, input), Field(&PerformanceCase::output, output));
  };
  EXPECT_THAT(read.settings.performance.cases,
              ElementsAre(lengths(32, 32), lengths(32, 64), lengths(64, 32), lengths(64, 64)));
  EXPECT_THAT(read.notes, ElementsAre(HasSubstr("a.ini:4: [model] device_ids: there is one device"),
                                      HasSubstr("a.ini:13: [precision] seq_len_out: ")));
}

TEST(RunFile, TakesSweepsOverSeveralIndentedLines) {
  const Sdk read =
      sdk("[performance]\nbatch_size: 1, 4\n# a comment\ncase_pair = [[2048,2048],\n   [1024, 512],\n   "
          "[1,1]]\n");
  EXPECT_THAT(read.settings.performance.batch_sizes, ElementsAre(1, 4));
  ASSERT_EQ(read.settings.performance.cases.size(), 3U);
  EXPECT_EQ(read.settings.performance.cases[1].input, 1024);
  EXPECT_EQ(read.settings.performance.cases[1].output, 512);
  EXPECT_THAT(sdk("[performance]\nbatch_size=[1,8]\n").settings.performance.batch_sizes, ElementsAre(1, 8));
}

TEST(RunFile, ReadsWindowsLinesAndAByteOrderMark) {
  EXPECT_EQ(sdk("\xEF\xBB\xBF[model]\r\nmodel_path=C d\r\n").settings.model_path, "C d");
  EXPECT_EQ(recipe("model_name: a\r\nmodel_path: b c\r\n").settings.model_path, "b c");
}

TEST(RunFile, NamesWhatIsWrongInAnIniFileWithItsLine) {
  struct Case {
    const char* text;
    const char* complaint;
  };
  for (const Case& one : std::initializer_list<Case>{
           {"model_path=x\n", "a.ini:1: expected a [SECTION] before the first key"},
           {"[model]\nmodel_path\n", "a.ini:2: expected KEY=VALUE"},
           {"[model\n", "a.ini:1: expected [SECTION]"},
           {"[model]\nmodel_path=a\nmodel_path=b\n",
            "a.ini:3: [model] model_path is there twice: line 2 has it too"},
           {"[model]\nbind_cpu=2\n", "a.ini:2: [model] bind_cpu: expected 0 or 1, found \"2\""},
           {"[precision]\nmode=mmlu\n",
            "a.ini:2: [precision] mode: mmlu is not built: expected ceval or boolq"},
           {"[precision]\nmode=gsm8k\n", "expected one of ceval, mmlu, boolq"},
           {"[precision]\nshot=6\n", "a.ini:2: [precision] shot: expected a whole number from 0 to 5"},
           {"[performance]\nbatch_size=0\n",
            "a.ini:2: [performance] batch_size: expected numbers from 1 to 4096"},
           {"[performance]\nbatch_size=1,x\n", "expected numbers from 1 to 4096"},
           {"[performance]\ncase_pair=[[1,2],[3]]\n",
            "a.ini:2: [performance] case_pair: expected [[tokens in, tokens out]"},
           {"[performance]\ncase_pair=[]\n", "expected [[tokens in, tokens out]"},
           {"[performance]\nmin_len_exp=7\nmax_len_exp=6\n",
            "a.ini:3: [performance] max_len_exp: 6 is less than"},
           {"[performance]\nperf_mode=fast\n", "expected one of normal, detail"},
           {"[performance]\nmodel_name=a/b\n", "expected a name without a folder"},
       })
    EXPECT_THAT(sdk_error(one.text), HasSubstr(one.complaint)) << one.text;
}

TEST(RunFile, HasDefaultsForWhatIsNotSaid) {
  const Recipe read = recipe("model_path: a\n");
  EXPECT_EQ(read.settings.input_max_len, 0);
  EXPECT_EQ(read.settings.max_new_tokens, 32);
  EXPECT_EQ(read.settings.batch_size, 1);
  EXPECT_EQ(read.settings.temperature, 0.0);
  EXPECT_THAT(read.notes, IsEmpty());
  const Sdk other = sdk("[model]\nmodel_path=a\n");
  EXPECT_EQ(other.settings.performance.cases.size(), 36U);  // 2^5 to 2^10, in and out
  EXPECT_EQ(other.settings.precision.shot, 5);
  EXPECT_FALSE(other.settings.performance.detail);
}

}  // namespace
}  // namespace gossamer::apps
