// The sub-commands of `gossamer`. Each add_* function, one file each, adds its sub-command with its options
// to the program; the callback does the work and throws Error (base/error.h), which main() turns into exit
// code 1.
#pragma once

namespace CLI {
class App;  // CLI11, which takes long to compile: only the files that name options include it
}  // namespace CLI

namespace gossamer::apps {

void add_batch(CLI::App& program);
void add_bench(CLI::App& program);
void add_calibrate(CLI::App& program);
void add_chat(CLI::App& program);
void add_eval(CLI::App& program);
void add_generate(CLI::App& program);
void add_harmony(CLI::App& program);
void add_inspect(CLI::App& program);
void add_pack(CLI::App& program);
void add_quality(CLI::App& program);
void add_run(CLI::App& program);
void add_score(CLI::App& program);
void add_serve(CLI::App& program);
void add_synth(CLI::App& program);
void add_tokenize(CLI::App& program);
void add_verify(CLI::App& program);

}  // namespace gossamer::apps
