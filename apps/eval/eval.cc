// gossamer eval: evaluations on the users' own data files (docs/evaluation.md).
#include <CLI/CLI.hpp>

#include "apps/commands.h"
#include "apps/eval/eval_commands.h"

namespace gossamer::apps {

void add_eval(CLI::App& program) {
  CLI::App* eval = program.add_subcommand(
      "eval",
      "Evaluate a model on the users' own data files: official prompts and scores, 95 % intervals, every "
      "prediction kept");
  eval->require_subcommand(1);
  add_eval_ceval(*eval);
  add_eval_boolq(*eval);
  add_eval_longbench(*eval);
  add_eval_perplexity(*eval);
  add_eval_gsm8k(*eval);
}

}  // namespace gossamer::apps
