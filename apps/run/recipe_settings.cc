#include "apps/run/recipe_settings.h"

#include <initializer_list>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace gossamer::apps {
namespace {

constexpr int64_t kMost = int64_t{1} << 31;
constexpr int64_t kMostSequences = 4096;

void read_model(RunFile& file, RecipeSettings& settings) {
  const auto take_text = [&](const std::string& key) {
    return file.take_text(file.either(key, "model_config." + key));
  };
  settings.model_name = take_text("model_name").value_or("model");
  if (settings.model_name.empty() || settings.model_name.find('/') != std::string::npos)
    throw Error("{}: expected a name for a folder, found \"{}\"", file.where("model_name"),
                settings.model_name);
  settings.model_path = take_text("model_path").value_or("");

  const std::string exe_mode = file.either("exe_mode", "model_config.exe_mode");
  const auto mode = file.take_choice(exe_mode, {"eager", "ge_graph", "acl_graph", "npugraph_ex"});
  if (mode && *mode != "eager")
    file.note(exe_mode,
              "graphs are captured for devices with launch queues and do not exist on CPUs: runs as eager");

  settings.enable_profiler = file.take_flag("model_config.enable_profiler").value_or(false);
  settings.output_path = file.take_text("model_config.output_path").value_or("");
  const auto dtype = file.take_choice("model_config.dtype", {"auto", "bfloat16", "float16", "float32"});
  if (dtype == "bfloat16") settings.dtype = "bf16";
  if (dtype == "float16") settings.dtype = "f16";
  if (dtype == "float32") settings.dtype = "f32";
  settings.needs_chat_form = file.take_choice("model_config.tokenizer_mode", {"default", "chat"}) ==
                             std::optional<std::string>("chat");
  if (file.take_flag("model_config.with_ckpt") == false) {
    throw Error(
        "{}: expected True: for random weights leave it out and give --model synth:gpt-oss-20b instead",
        file.where("model_config.with_ckpt"));
  }

  const auto ignore_flags = [&](std::initializer_list<const char*> keys, std::string_view reason) {
    for (const char* key : keys) {
      const std::string name = std::string("model_config.") + key;
      if (file.take_flag(name)) file.note(name, reason);
    }
  };
  ignore_flags({"enable_online_split_weight", "enable_auto_split_weight"},
               "weights are read straight into the form that the one device computes with: nothing to split");
  ignore_flags({"enable_cache_compile", "enable_static_kernel", "enable_dynamic_graph", "enable_superkernel"},
               "nothing is compiled at run time");
  ignore_flags({"force_eplb", "perfect_eplb"}, "experts lie on one device: there is no load to balance");
  constexpr std::string_view kNpu = "a setting of NPUs, without meaning here";
  ignore_flags({"enable_weight_nz", "enable_multi_streams", "enable_hadamard"}, kNpu);
  for (const char* key :
       {"platform_version", "pa_block_size", "hadamard_weight_path", "mm_quant_mode", "gmm_quant_mode"})
    file.ignore(std::string("model_config.") + key, kNpu);
  file.ignore("model_config.next_n",
              "the model has no layers for multi-token prediction; guesses come from the text itself");
  file.ignore("model_config.prefill_mini_batch_size", "prompts are computed in chunks: --chunk-tokens");
  file.ignore("model_config.custom_params", "settings of other models");
}

void read_requests(RunFile& file, RecipeSettings& settings) {
  settings.dataset =
      file.take_choice("data_config.dataset", {"default", "LongBench", "InfiniteBench"}).value_or("default");
  settings.dataset_path = file.take_text("data_config.dataset_path").value_or("");
  const std::string length = file.either("data_config.input_max_len", "data_config.input_truncated_len");
  settings.input_max_len = file.take_integer(length, 1, kMost).value_or(0);
  settings.input_max_len_where = file.where(length);
  const std::string new_tokens = file.either("data_config.max_new_tokens", "scheduler_config.max_new_tokens");
  settings.max_new_tokens = file.take_integer(new_tokens, 1, kMost).value_or(32);
  const std::string batch_size = file.either("data_config.batch_size", "scheduler_config.batch_size");
  settings.batch_size = file.take_integer(batch_size, 1, kMostSequences).value_or(1);
  settings.temperature = file.take_number("data_config.temperature", 0.0, 100.0).value_or(0.0);
  settings.top_p = file.take_number("data_config.top_p", 0.0, 1.0).value_or(1.0);
  settings.top_k = file.take_integer("data_config.top_k", 0, kMost).value_or(0);
  settings.seed = file.take_integer("data_config.seed", 0);
  file.ignore("data_config.bs_per_cp_group", "there is one device");

  file.ignore("scheduler_config.max_prefill_tokens",
              "prompts are computed in chunks, which changes no result: --chunk-tokens");
  file.ignore("scheduler_config.cp_mini_batch", "there is one device");
  file.ignore("scheduler_config.mem_fraction_static",
              "memory is planned from what is needed, and refused with numbers when it does not fit");
  file.ignore("scheduler_config.block_size", "the KV cache has pages of 32 tokens, always");
  file.ignore("scheduler_config.num_reserved_decode_tokens", "pages are taken as they are needed");
}

void read_parallel(RunFile& file) {
  const auto require_one = [&](const std::string& key) {
    const int64_t size = file.take_integer(key, 0, kMost).value_or(1);
    if (size > 1) refuse_devices(file.where(key), size);
  };
  require_one(file.either("world_size", "parallel_config.world_size"));
  for (const char* key :
       {"tp_size", "attn_tp_size", "attn_dp_size", "moe_tp_size", "moe_ep_size", "moe_dp_size",
        "lmhead_tp_size", "embed_tp_size", "dense_tp_size", "shared_tp_size", "o_proj_tp_size",
        "oproj_tp_size", "cp_size", "kvp_size", "pp_size", "offline_prefill_dp_group_size"})
    require_one(std::string("parallel_config.") + key);
}

}  // namespace

RecipeSettings read_recipe(RunFile& file) {
  RecipeSettings settings;
  read_model(file, settings);
  read_requests(file, settings);
  read_parallel(file);
  file.refuse_unknown();
  return settings;
}

}  // namespace gossamer::apps
