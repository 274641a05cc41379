// RunFile out of YAML.
#include <yaml-cpp/yaml.h>

#include <utility>
#include <vector>

#include "apps/run/run_file.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

RunValue value_of(const YAML::Node& node, int line) {
  RunValue value{.line = line};
  if (node.IsNull()) {
    value.kind = RunValue::Kind::kNothing;
  } else if (!node.IsScalar()) {
    value.kind = RunValue::Kind::kStructure;
  } else {
    value.kind = node.Tag() == "?" ? RunValue::Kind::kPlain : RunValue::Kind::kQuoted;
    value.text = node.Scalar();
  }
  return value;
}

}  // namespace

RunFile RunFile::from_yaml(const std::string& name, const std::string& text) {
  RunFile file(name, Form::kYaml);
  std::vector<YAML::Node> documents;
  try {
    // yaml-cpp takes the file's end for the end of a quoted text; the end of a document inside one is an
    // error.
    documents = YAML::LoadAll(text + "\n...\n");
  } catch (const YAML::Exception& error) {
    throw Error("{}:{}: this is no YAML: {}", name, error.mark.line + 1, error.msg);
  }
  const auto for_each = [&](const YAML::Node& map, const auto& take) {
    for (const auto& entry : map) {
      const int line = entry.first.Mark().line + 1;
      if (!entry.first.IsScalar()) throw Error("{}:{}: expected a word for a key", name, line);
      take(entry.first.Scalar(), entry.second, line);
    }
  };
  if (documents.size() != 1 || !documents[0].IsMap()) {
    throw Error("{}:1: expected one document of \"key: value\" lines, found {}", name,
                documents.size() > 1 ? "several documents" : "something else");
  }
  for_each(documents[0], [&](const std::string& key, const YAML::Node& node, int line) {
    if (!node.IsMap()) return file.add(key, value_of(node, line));
    for_each(node, [&](const std::string& inner, const YAML::Node& value, int inner_line) {
      file.add(key + "." + inner, value_of(value, inner_line));
    });
  });
  return file;
}

}  // namespace gossamer::apps
