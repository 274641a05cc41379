// RunFile out of YAML.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <sstream>
#include <string>
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

// To pass over a document.
class Nobody : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnAlias(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                const std::string& /*value*/) override {}
  void OnSequenceStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                       YAML::EmitterStyle::value /*style*/) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {}
  void OnMapEnd() override {}
};

// YAML::LoadAll finds documents without end where a token stands that it never takes ("," in the first
// column), so two are looked for.
bool has_second_document(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Nobody nobody;
  return parser.HandleNextDocument(nobody) && parser.HandleNextDocument(nobody);
}

}  // namespace

RunFile RunFile::from_yaml(const std::string& name, const std::string& text) {
  RunFile file(name, Form::kYaml);
  YAML::Node document;
  bool is_one = false;
  try {
    // yaml-cpp takes the file's end for the end of a quoted text; the end of a document inside one is an
    // error.
    const std::string ended = text + "\n...\n";
    is_one = !has_second_document(ended);
    document = YAML::Load(ended);
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
  if (!is_one || !document.IsMap()) {
    throw Error("{}:1: expected one document of \"key: value\" lines, found {}", name,
                is_one ? "something else" : "several documents");
  }
  for_each(document, [&](const std::string& key, const YAML::Node& node, int line) {
    if (!node.IsMap()) return file.add(key, value_of(node, line));
    for_each(node, [&](const std::string& inner, const YAML::Node& value, int inner_line) {
      file.add(key + "." + inner, value_of(value, inner_line));
    });
  });
  return file;
}

}  // namespace gossamer::apps
