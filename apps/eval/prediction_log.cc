#include "apps/eval/prediction_log.h"

#include <fmt/format.h>

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

PredictionLog::PredictionLog(const std::string& path, const json::object& header) : file_(path) {
  bool is_new = true;
  file_.read([&](std::size_t number, const std::string& line) {
    is_new = false;
    const std::string where = fmt::format("{}:{}", path, number);
    const json::value value = parse_json(line, where);
    if (!value.is_object()) throw Error("{}: expected a JSON object: --output takes a folder of eval", where);
    const json::object& object = value.get_object();
    if (number > 1) return take(object, where);
    if (const std::string differs = difference(object, header); !differs.empty())
      throw Error("{} holds predictions of another run ({}): expected the same options, or another --output",
                  path, differs);
  });
  num_found_ = predictions_.size();
  file_.remove_cut_line();
  if (is_new) file_.append(json::serialize(header));
}

void PredictionLog::take(const json::object& prediction, const std::string& where) {
  const json::value* id = prediction.if_contains("id");
  if (id == nullptr || !id->is_string()) throw Error("{}: expected an \"id\"", where);
  if (!predictions_.emplace(id->get_string(), prediction).second)
    throw Error("{}: \"{}\" was predicted in an earlier line already", where, std::string(id->get_string()));
}

const json::object* PredictionLog::find(const std::string& id) const {
  const auto it = predictions_.find(id);
  return it == predictions_.end() ? nullptr : &it->second;
}

void PredictionLog::append(const json::object& prediction) {
  const std::lock_guard lock(mutex_);
  const std::string line = json::serialize(prediction);
  file_.append(line);
  // As a later run would read it, so that an interrupted run ends with the same score to the last bit.
  predictions_.emplace(prediction.at("id").get_string(), parse_json(line, path()).as_object());
}

}  // namespace gossamer::apps
