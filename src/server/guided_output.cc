#include "server/guided_output.h"

#include <string_view>
#include <utility>

#include "base/error.h"
#include "server/chat_messages.h"

namespace gossamer {
namespace {

constexpr std::size_t kMaxChoices = 10'000;

class Reader {
 public:
  void read_json(const JsonFields& fields, std::string_view key) {
    const json::value* value = fields.find(key);
    if (value == nullptr) return;
    GuidedOutput& output = begin(fields, key, GuidedOutput::kJsonSchema);
    if (value->is_string()) {  // vLLM takes the schema's text, too
      try {
        output.schema = parse_json(value->get_string(), output.param);
      } catch (const Error&) {
        fields.fail(key, "a JSON schema, or the text of one");
      }
    } else {
      output.schema = *value;
    }
    if (!output.schema.is_object()) fields.fail(key, "a JSON schema, which is an object");
  }

  void read_regex(const JsonFields& fields, std::string_view key) {
    std::optional<std::string> pattern = fields.string(key);
    if (!pattern) return;
    begin(fields, key, GuidedOutput::kRegex).regex = *std::move(pattern);
  }

  void read_choice(const JsonFields& fields, std::string_view key) {
    const json::array* list = fields.array(key);
    if (list == nullptr) return;
    GuidedOutput& output = begin(fields, key, GuidedOutput::kChoice);
    if (list->empty() || list->size() > kMaxChoices)
      fields.fail(key, fmt::format("1 to {} strings", kMaxChoices));
    for (std::size_t i = 0; i < list->size(); ++i) {
      const std::string path = fmt::format("{}[{}]", output.param, i);
      output.choices.push_back(string_at((*list)[i], path));
      if (output.choices.back().empty()) fail_at(path, "a string that is not empty", &(*list)[i]);
    }
  }

  void read_structured_outputs(const JsonFields& body) {
    const json::value* value = body.find("structured_outputs");
    if (value == nullptr) return;
    const JsonFields fields(*value, "structured_outputs");
    for (const auto& member : fields.object()) {
      const std::string_view key = member.key();
      const bool known = key == "json" || key == "json_object" || key == "regex" || key == "choice";
      if (known || member.value().is_null()) continue;
      throw ApiError{.message = fmt::format("{}: this server does not support it; it knows json, "
                                            "json_object, regex and choice",
                                            fields.path_of(key)),
                     .param = fields.path_of(key),
                     .code = "unsupported_parameter"};
    }
    read_json(fields, "json");
    if (fields.boolean("json_object").value_or(false))
      begin(fields, "json_object", GuidedOutput::kJsonObject);
    read_regex(fields, "regex");
    read_choice(fields, "choice");
  }

  void read_format(const JsonFields& body) {
    ResponseFormat format = read_response_format(body);
    if (format.type == ResponseFormat::kText) return;
    const bool has_schema = format.type == ResponseFormat::kJsonSchema && !format.schema.is_null();
    GuidedOutput& output =
        begin(body, "response_format", has_schema ? GuidedOutput::kJsonSchema : GuidedOutput::kJsonObject);
    output.schema = std::move(format.schema);
  }

  GuidedOutput take() && { return std::move(output_); }

 private:
  GuidedOutput& begin(const JsonFields& fields, std::string_view key, GuidedOutput::Type type) {
    if (output_.type != GuidedOutput::kNone)
      fields.fail(key, fmt::format("nothing, since {} says what the output must be", output_.param));
    output_.type = type;
    output_.param = fields.path_of(key);
    return output_;
  }

  GuidedOutput output_;
};

}  // namespace

GuidedOutput read_guided_output(const JsonFields& body) {
  Reader reader;
  reader.read_json(body, "guided_json");
  reader.read_regex(body, "guided_regex");
  reader.read_choice(body, "guided_choice");
  reader.read_structured_outputs(body);
  reader.read_format(body);
  return std::move(reader).take();
}

}  // namespace gossamer
