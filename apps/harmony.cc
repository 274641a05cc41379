// gossamer harmony: conversations to the token ids that GPT-OSS is given, and what it sampled back to
// messages.
#include "text/harmony.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/model_path.h"
#include "base/error.h"
#include "base/json.h"
#include "text/harmony_json.h"
#include "text/harmony_reference.h"
#include "text/harmony_stream.h"
#include "text/tokenizer.h"

namespace gossamer::apps {
namespace {

struct Options {
  std::string model;
  std::string file = "-";
  bool strict = false;
};

// What a line of JSON is answered with, or why it is not.
using LineHandler = std::function<Result<std::string>(const json::value& request)>;

// One line of JSON in, one line of JSON out.
void answer_lines(const std::string& path, const LineHandler& answer) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) throw Error("cannot open {}: expected a file with one JSON object a line", path);
  }
  std::istream& in = path == "-" ? std::cin : file;
  const auto answer_line = [&](const std::string& line) -> Result<std::string> {
    try {
      return answer(parse_json(line, "request"));
    } catch (const Error& error) {
      return RequestError{RequestErrorKind::kInvalid, error.what()};
    }
  };
  for (std::string line; std::getline(in, line);) {
    const Result<std::string> out = answer_line(line);
    std::cout << (out.ok() ? out.value()
                           : fmt::format("{{\"error\": {}}}", to_ascii_json(out.error().message)))
              << std::endl;  // flushed: the other end of a pipe waits for it
    if (!std::cout) throw Error("cannot write to standard output");
  }
}

void run_render(const Options& options) {
  const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::load(resolve_model_path(options.model));
  const HarmonyRenderer renderer(*tokenizer);
  answer_lines("-", [&](const json::value& line) -> Result<std::string> {
    const Result<HarmonyRequest> request = harmony_request_from_json(line);
    if (!request.ok()) return request.error();
    const Result<std::vector<int32_t>> ids = render(renderer, request.value());
    if (!ids.ok()) return ids.error();
    return fmt::format("{{\"text\": {}, \"ids\": [{}]}}", to_ascii_json(tokenizer->decode(ids.value())),
                       fmt::join(ids.value(), ", "));
  });
}

void run_parse(const Options& options) {
  const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::load(resolve_model_path(options.model));
  const auto messages_of = [&](const HarmonyParseRequest& request) -> Result<std::vector<HarmonyMessage>> {
    if (!options.strict) return parse_harmony(*tokenizer, request.ids, {.role = request.role}).messages;
    return parse_harmony_as_reference(*tokenizer, request.ids,
                                      {.role = request.role, .strict = request.strict});
  };
  (void)messages_of({});  // a tokenizer that lacks Harmony's tokens is an error now, not at the first line
  answer_lines(options.file, [&](const json::value& line) -> Result<std::string> {
    const Result<HarmonyParseRequest> request = harmony_parse_request_from_json(line);
    if (!request.ok()) return request.error();
    const Result<std::vector<HarmonyMessage>> messages = messages_of(request.value());
    if (!messages.ok()) return messages.error();
    return fmt::format("{{\"messages\": {}}}", messages_to_json(messages.value()));
  });
}

void add_model(CLI::App& command, Options& options) {
  command
      .add_option("MODEL", options.model,
                  "Folder with a GPT-OSS tokenizer, a tokenizer.json, or the word demo")
      ->required();
  command.add_flag("--jsonl")->description("One request a line: the only form there is");
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
  auto options = std::make_shared<Options>();
  add_model(*render, *options);
  render->callback([options] { run_render(*options); });

  CLI::App* parse =
      command->add_subcommand("parse",
                              "Token ids to messages: on every line an object with \"ids\" (or \"steps\", a "
                              "list of lists that begin with an id) and, if wished, \"role\": whose message "
                              "the prompt began; on the line put out for it \"messages\". Any ids are "
                              "accepted, as by a server; see --strict");
  add_model(*parse, *options);
  parse->add_option("FILE", options->file, "Read these lines. Default: standard input");
  parse->add_flag("--strict", options->strict,
                  "The verdict of OpenAI's parser: \"messages\", or \"error\" where it has one. A line with "
                  "\"strict\": false is judged as by its lenient mode");
  parse->callback([options] { run_parse(*options); });
}

}  // namespace gossamer::apps
