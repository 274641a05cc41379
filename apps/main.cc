// gossamer: one program, one sub-command a file (commands.h).
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "apps/commands.h"

int main(int argc, char** argv) {
  CLI::App program{"Gossamer: inference for GPT-2, GPT-NeoX and GPT-OSS checkpoint folders", "gossamer"};
  program.require_subcommand(1);
  program.set_version_flag("--version", "gossamer " GOSSAMER_VERSION);
  gossamer::apps::add_generate(program);
  gossamer::apps::add_chat(program);
  gossamer::apps::add_serve(program);
  gossamer::apps::add_batch(program);
  gossamer::apps::add_run(program);
  gossamer::apps::add_score(program);
  gossamer::apps::add_eval(program);
  gossamer::apps::add_verify(program);
  gossamer::apps::add_quality(program);
  gossamer::apps::add_calibrate(program);
  gossamer::apps::add_inspect(program);
  gossamer::apps::add_tokenize(program);
  gossamer::apps::add_harmony(program);
  gossamer::apps::add_synth(program);
  gossamer::apps::add_pack(program);
  gossamer::apps::add_bench(program);
  try {
    CLI11_PARSE(program, argc, argv);
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "gossamer: %s\n", error.what());
    return 1;
  }
  return 0;
}
