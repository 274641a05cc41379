// gossamer harmony: conversations to the token ids that GPT-OSS is given.
#include "text/harmony.h"

#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/model_path.h"
#include "base/error.h"
#include "base/json.h"
#include "text/harmony_json.h"
#include "text/tokenizer.h"

namespace gossamer::apps {
namespace {

// One line of JSON in, one line of JSON out.
std::string render_line(const std::string& line, const HarmonyRenderer& renderer,
                        const Tokenizer& tokenizer) {
  const auto error_line = [](std::string_view message) {
    return fmt::format("{{\"error\": {}}}", to_ascii_json(message));
  };
  json::value value;
  try {
    value = parse_json(line, "request");
  } catch (const Error& error) {
    return error_line(error.what());
  }
  const Result<HarmonyRequest> request = harmony_request_from_json(value);
  if (!request.ok()) return error_line(request.error().message);
  const Result<std::vector<int32_t>> ids = render(renderer, request.value());
  if (!ids.ok()) return error_line(ids.error().message);
  return fmt::format("{{\"text\": {}, \"ids\": [{}]}}", to_ascii_json(tokenizer.decode(ids.value())),
                     fmt::join(ids.value(), ", "));
}

void run_render(const std::string& model) {
  const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::load(resolve_model_path(model));
  const HarmonyRenderer renderer(*tokenizer);
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << render_line(line, renderer, *tokenizer)
              << std::endl;  // flushed: the other end of a pipe waits for it
    if (!std::cout) throw Error("cannot write to standard output");
  }
}

}  // namespace

void add_harmony(CLI::App& program) {
  CLI::App* command = program.add_subcommand("harmony", "The conversation format of GPT-OSS");
  command->require_subcommand(1);
  CLI::App* render =
      command->add_subcommand("render",
                              "Conversations to token ids: on every line of standard input an object with "
                              "\"messages\" and, if wished, \"mode\" "
                              "(completion, conversation, training) and \"auto_drop_analysis\"; on the line "
                              "put out for it \"text\" and \"ids\", "
                              "or \"error\"");
  auto model = std::make_shared<std::string>();
  render->add_option("MODEL", *model, "Folder with a GPT-OSS tokenizer, a tokenizer.json, or the word demo")
      ->required();
  render->add_flag("--jsonl")->description("One request a line: the only form there is");
  render->callback([model] { run_render(*model); });
}

}  // namespace gossamer::apps
