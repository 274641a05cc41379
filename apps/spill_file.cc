#include "apps/spill_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "checkpoint/safetensors_writer.h"

namespace gossamer::apps {

SpillFile::SpillFile(uint64_t size, const std::string& less)
    : path_((std::filesystem::temp_directory_path() / "gossamer_spill_XXXXXX").string()),
      advice_(less + " needs less of this temporary file, TMPDIR moves it") {
  try {
    check_disk_space(path_, size);
  } catch (const Error& error) {
    throw Error("{}; {}", error.what(), advice_);
  }
  const int fd = ::mkstemp(path_.data());
  file_ = fd < 0 ? nullptr : ::fdopen(fd, "w+b");
  if (file_ == nullptr) fail("cannot make");
  ::unlink(path_.c_str());
}

void SpillFile::fail(const char* what) const {
  throw Error("{} {}: {}; {}", what, path_, std::strerror(errno), advice_);
}

}  // namespace gossamer::apps
