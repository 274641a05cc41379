// gossamer verify: whether a deployment is right and fast (docs/verify.md).
#include "apps/commands.h"
#include "apps/verify/verify_commands.h"

namespace gossamer::apps {

void add_verify(CLI::App& program) {
  CLI::App* verify = program.add_subcommand("verify", "Prove that a deployment is right and fast");
  verify->require_subcommand(1);
  add_verify_needle(*verify);
}

}  // namespace gossamer::apps
