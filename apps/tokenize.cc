// gossamer tokenize: text to token ids and back, for scripts and for looking at a vocabulary.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/commands.h"
#include "apps/model_path.h"
#include "base/error.h"
#include "base/json.h"
#include "text/tokenizer.h"

namespace gossamer::apps {
namespace {

struct Options {
  std::string model;
  bool decode = false;
  bool special = false;
  bool lines = false;
};

std::string to_json(const std::vector<int32_t>& ids) { return fmt::format("[{}]", fmt::join(ids, ", ")); }

// A JSON list of ids; `where` names the input in errors. Every id must be a token: decoding alone would drop
// it.
std::vector<int32_t> ids_from_json(std::string_view text, const std::string& where,
                                   const Tokenizer& tokenizer) {
  const json::value value = parse_json(text, where);
  if (!value.is_array()) throw Error("{}: expected a JSON list of token ids", where);
  std::vector<int32_t> ids;
  for (const json::value& element : value.get_array()) {
    const int64_t id = element.is_int64() ? element.get_int64() : -1;
    if (id < 0 || id >= tokenizer.vocab_size() || !tokenizer.has_token(static_cast<int32_t>(id))) {
      throw Error("{}: {} is no token id of this model (the highest is {})", where, json::serialize(element),
                  tokenizer.vocab_size() - 1);
    }
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

void print_line(const std::string& line) {
  std::cout << line << std::endl;  // flushed: a program at the other end of a pipe waits for it
  if (!std::cout) throw Error("cannot write to standard output");
}

void run_lines(const Options& options, const Tokenizer& tokenizer) {
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    const std::string where = fmt::format("standard input, line {}", number);
    if (options.decode) {
      print_line(to_ascii_json(tokenizer.decode(ids_from_json(line, where, tokenizer))));
      continue;
    }
    const json::value value = parse_json(line, where);
    if (!value.is_string()) throw Error("{}: expected a JSON string", where);
    print_line(to_json(tokenizer.encode(value.get_string(), {.parse_special = options.special})));
  }
}

void run(const Options& options) {
  const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::load(resolve_model_path(options.model));
  if (options.lines) {
    run_lines(options, *tokenizer);
    return;
  }
  const std::string input{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  if (options.decode) {
    std::cout << tokenizer->decode(ids_from_json(input, "standard input", *tokenizer)) << std::flush;
    if (!std::cout) throw Error("cannot write to standard output");
  } else {
    print_line(to_json(tokenizer->encode(input, {.parse_special = options.special})));
  }
}

}  // namespace

void add_tokenize(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("tokenize", "Text on standard input to a JSON list of token ids, and back");
  auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "Folder with a tokenizer, a tokenizer.json, or the word demo")
      ->required();
  command->add_flag("--decode", options->decode, "A JSON list of ids in, text out");
  command->add_flag("--special", options->special,
                    "Take the text of special tokens, <|endoftext|>, for those tokens");
  command->add_flag("--jsonl", options->lines,
                    "A JSON string a line in, a JSON list a line out; with --decode back");
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
