#include "apps/eval/prediction_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/error.h"

namespace gossamer::apps {
namespace {

// Where `found` differs from what this run would write: "split: val here, test there".
std::string difference(const json::object& found, const json::object& wanted) {
  const auto text = [](const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value == nullptr ? std::string("nothing") : json::serialize(*value);
  };
  std::string list;
  const auto compare = [&](std::string_view key) {
    const std::string there = text(found, key);
    const std::string here = text(wanted, key);
    if (there == here || list.find(fmt::format("{}: ", key)) != std::string::npos) return;
    if (!list.empty()) list += "; ";
    list += fmt::format("{}: {} there, {} now", key, there, here);
  };
  for (const auto& member : wanted) compare(member.key());
  for (const auto& member : found) compare(member.key());
  return list;
}

}  // namespace

PredictionLog::PredictionLog(const std::string& path, const json::object& header) : path_(path) {
  fd_ = open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) throw Error("{}: cannot write the file: {}", path, std::strerror(errno));
  try {
    if (flock(fd_, LOCK_EX | LOCK_NB) != 0)
      throw Error("{} is being written by another process: expected one at a time", path);
    read(header);
  } catch (...) {
    close(fd_);
    throw;
  }
}

PredictionLog::~PredictionLog() { close(fd_); }

void PredictionLog::read(const json::object& header) {
  std::ifstream file(path_, std::ios::binary);
  std::size_t whole_bytes = 0;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line) && !file.eof();) {  // without a newline it is cut
    whole_bytes += line.size() + 1;
    const std::string where = fmt::format("{}:{}", path_, ++number);
    const json::value value = parse_json(line, where);
    if (!value.is_object()) throw Error("{}: expected a JSON object: --output takes a folder of eval", where);
    const json::object& object = value.get_object();
    if (number == 1) {
      if (const std::string differs = difference(object, header); !differs.empty())
        throw Error(
            "{} holds predictions of another run ({}): expected the same options, or another --output", path_,
            differs);
      continue;
    }
    const json::value* id = object.if_contains("id");
    if (id == nullptr || !id->is_string()) throw Error("{}: expected an \"id\"", where);
    if (!predictions_.emplace(id->get_string(), object).second)
      throw Error("{}: \"{}\" was predicted in an earlier line already", where,
                  std::string(id->get_string()));
  }
  num_found_ = predictions_.size();
  if (ftruncate(fd_, static_cast<off_t>(whole_bytes)) != 0)
    throw Error("{}: cannot remove the cut last line: {}", path_, std::strerror(errno));
  if (number == 0) write_line(header);
}

const json::object* PredictionLog::find(const std::string& id) const {
  const auto it = predictions_.find(id);
  return it == predictions_.end() ? nullptr : &it->second;
}

void PredictionLog::append(const json::object& prediction) {
  const std::lock_guard lock(mutex_);
  write_line(prediction);
  // As a later run would read it, so that an interrupted run ends with the same score to the last bit.
  predictions_.emplace(prediction.at("id").get_string(),
                       parse_json(json::serialize(prediction), path_).as_object());
}

void PredictionLog::write_line(const json::object& object) {
  const std::string line = json::serialize(object) + "\n";
  const off_t end = lseek(fd_, 0, SEEK_END);
  ssize_t written = -1;
  do {
    written = write(fd_, line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(line.size())) return;
  const std::string reason = written < 0 ? std::strerror(errno) : "the disk is full";
  [[maybe_unused]] const int cut = ftruncate(fd_, end);  // where that fails, the next run does it
  throw Error("{}: cannot write a prediction: {}; make room and run the same command again, it goes on",
              path_, reason);
}

}  // namespace gossamer::apps
