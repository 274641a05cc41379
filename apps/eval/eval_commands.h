// The sub-commands of `gossamer eval`, one file each.
#pragma once

namespace CLI {
class App;
}  // namespace CLI

namespace gossamer::apps {

void add_eval_boolq(CLI::App& eval);
void add_eval_ceval(CLI::App& eval);
void add_eval_gsm8k(CLI::App& eval);
void add_eval_longbench(CLI::App& eval);
void add_eval_perplexity(CLI::App& eval);

}  // namespace gossamer::apps
