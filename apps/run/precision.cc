// --task precision: the evaluations of `gossamer eval`, with their files in WORK_DIR/test_result.
#include <fmt/format.h>

#include <filesystem>

#include "apps/eval/tasks.h"
#include "apps/run/run_tasks.h"
#include "base/error.h"

namespace gossamer::apps {

void run_precision(const ModelOptions& model, const SdkSettings& settings, const RunFile& file,
                   CaseLog& log) {
  namespace fs = std::filesystem;
  const SdkSettings::Precision& precision = settings.precision;
  if (precision.work_dir.empty()) {
    throw Error("{}: expected the folder with the data in data/: the results go to test_result/ in it",
                file.where("precision.work_dir"));
  }
  const fs::path work = precision.work_dir;
  EvalOptions common;
  common.subject.model = model;
  common.subject.serving.max_num_seqs = precision.batch;
  common.data = (fs::is_directory(work / "data") ? work / "data" : work).string();
  common.output = (work / "test_result").string();
  if (fs::exists(common.output)) {
    log.warning(
        fmt::format("{} is there from an earlier run: what it holds is read and not computed again. To test "
                    "anew, delete the folder",
                    common.output));
  }
  log.info("---------------{}---------------", precision.mode);
  if (precision.mode == "boolq") {
    run_boolq({.common = common});
  } else {
    run_ceval({.common = common, .num_examples = static_cast<std::size_t>(precision.shot)});
  }
  log.info("result: {}", common.output);
}

}  // namespace gossamer::apps
