#include "text/harmony_tools.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

namespace gossamer {
namespace {

const json::value* get(const json::value& value, std::string_view key) {
  return value.is_object() ? value.get_object().if_contains(key) : nullptr;
}

const json::string* get_string(const json::value& value, std::string_view key) {
  const json::value* member = get(value, key);
  return member == nullptr ? nullptr : member->if_string();
}

const json::array* get_array(const json::value& value, std::string_view key) {
  const json::value* member = get(value, key);
  return member == nullptr ? nullptr : member->if_array();
}

bool get_flag(const json::value& value, std::string_view key) {
  const json::value* member = get(value, key);
  return member != nullptr && member->is_bool() && member->get_bool();
}

bool has_enum(const json::value& schema) {
  const json::array* values = get_array(schema, "enum");
  return values != nullptr && !values->empty();
}

// The lines of a description, as Rust's lines(): "\r\n" ends a line too, and there is none after the last
// end.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    if (newline != std::string_view::npos && line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
  }
  return lines;
}

// "default: x" for a comment, or nothing. A string is quoted unless it is one of an enum; `enum_is_json` is
// the one place (a variant of a oneOf that is the whole schema) where the reference writes it as JSON then.
std::string default_comment(const json::value& schema, bool enum_is_json = false) {
  const json::value* value = get(schema, "default");
  if (value == nullptr) return "";
  const json::string* text = value->if_string();
  if (text == nullptr) return "default: " + compact_json(*value);
  if (!has_enum(schema)) return fmt::format("default: \"{}\"", std::string_view(*text));
  return "default: " + (enum_is_json ? compact_json(*value) : std::string(*text));
}

std::string type_or_null(const json::value& schema, const std::string& indent) {
  std::string type = typescript_type(schema, indent);
  if (get_flag(schema, "nullable") && type.find("null") == std::string::npos) type += " | null";
  return type;
}

std::string trailing_comment(const std::vector<std::string>& parts) {
  return parts.empty() ? "" : fmt::format(" // {}", fmt::join(parts, " "));
}

std::string one_of_type(const json::array& variants, const std::string& indent) {
  std::string out;
  for (const json::value& variant : variants) {
    out += fmt::format("\n{} | {}", indent, type_or_null(variant, indent + "   "));
    std::vector<std::string> comments;
    if (const json::string* description = get_string(variant, "description"))
      comments.emplace_back(*description);
    if (std::string text = default_comment(variant, true); !text.empty()) comments.push_back(std::move(text));
    out += trailing_comment(comments);
  }
  return out;
}

// A property whose type is a choice: one variant a line, the description and default of the property above.
void append_one_of_property(std::string_view key, const json::value& schema, const json::array& variants,
                            bool required, const std::string& indent, std::string& out) {
  const json::string* description = get_string(schema, "description");
  const json::string* first_description =
      variants.empty() ? nullptr : get_string(variants.front(), "description");
  const bool is_repeated =
      description != nullptr && first_description != nullptr && *description == *first_description;
  const bool described_above = description != nullptr && !is_repeated;
  if (described_above) out += fmt::format("{}// {}\n", indent, std::string_view(*description));
  if (const std::string text = default_comment(schema); !text.empty())
    out += fmt::format("{}// {}\n", indent, text);
  out += fmt::format("{}{}{}:\n", indent, key, required ? "" : "?");
  for (std::size_t i = 0; i < variants.size(); ++i) {
    const json::value& variant = variants[i];
    out += fmt::format("{} | {}", indent, type_or_null(variant, indent + "   "));
    std::vector<std::string> comments;
    const json::string* own = get_string(variant, "description");
    const bool is_new = own != nullptr && (description == nullptr || *own != *description);
    if (is_new && !(i == 0 && described_above)) comments.emplace_back(*own);
    if (std::string text = default_comment(variant); !text.empty()) comments.push_back(std::move(text));
    out += trailing_comment(comments) + "\n";
  }
  out += indent + ",\n";
}

void append_property(std::string_view key, const json::value& schema, bool required,
                     const std::string& indent, std::string& out) {
  const bool has_one_of = get(schema, "oneOf") != nullptr;
  if (const json::string* title = get_string(schema, "title")) {
    out += fmt::format("{0}// {1}\n{0}//\n", indent, std::string_view(*title));
  }
  const json::string* description = get_string(schema, "description");
  if (!has_one_of && description != nullptr)
    out += fmt::format("{}// {}\n", indent, std::string_view(*description));
  if (const json::array* examples = get_array(schema, "examples");
      examples != nullptr && !examples->empty()) {
    out += indent + "// Examples:\n";
    for (const json::value& example : *examples) {
      if (!example.is_string()) continue;
      out += fmt::format("{}// - \"{}\"\n", indent, std::string_view(example.get_string()));
    }
  }
  if (const json::array* variants = get_array(schema, "oneOf")) {
    append_one_of_property(key, schema, *variants, required, indent, out);
    return;
  }
  out += fmt::format("{}{}{}: {},", indent, key, required ? "" : "?", type_or_null(schema, indent + "    "));
  if (const std::string text = default_comment(schema); !has_one_of && !text.empty()) out += " // " + text;
  out += "\n";
}

std::string object_type(const json::value& schema, const std::string& indent) {
  std::string out;
  if (const json::string* description = get_string(schema, "description")) {
    out += fmt::format("{}// {}\n", indent, std::string_view(*description));
  }
  out += "{\n";
  const json::value* properties = get(schema, "properties");
  if (properties != nullptr && properties->is_object()) {
    std::set<std::string_view> required;
    if (const json::array* names = get_array(schema, "required")) {
      for (const json::value& name : *names) {
        if (name.is_string()) required.insert(name.get_string());
      }
    }
    for (const auto& property : properties->get_object()) {
      append_property(property.key(), property.value(), required.contains(property.key()), indent, out);
    }
  }
  return out + indent + "}";
}

std::string string_type(const json::value& schema) {
  std::vector<std::string> values;
  if (const json::array* choices = get_array(schema, "enum")) {
    for (const json::value& choice : *choices) {
      if (choice.is_string()) values.push_back(fmt::format("\"{}\"", std::string_view(choice.get_string())));
    }
  }
  return values.empty() ? "string" : fmt::format("{}", fmt::join(values, " | "));
}

void append_json_string(std::string_view text, std::string& out) {
  out.push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"':
        out.append("\\\"");
        break;
      case '\\':
        out.append("\\\\");
        break;
      case '\b':
        out.append("\\b");
        break;
      case '\f':
        out.append("\\f");
        break;
      case '\n':
        out.append("\\n");
        break;
      case '\r':
        out.append("\\r");
        break;
      case '\t':
        out.append("\\t");
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out.append(fmt::format("\\u{:04x}", static_cast<unsigned>(c)));
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
}

// The shortest digits that give the number back; plain notation between 1e-5 and 1e16, always with a
// fraction.
void append_json_double(double value, std::string& out) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::abs(value),
                                 std::chars_format::scientific)
                       .ptr;
  const std::string_view scientific(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  const std::size_t e = scientific.find('e');
  std::string digits(scientific.substr(0, e));
  std::erase(digits, '.');
  const int exponent = std::stoi(std::string(scientific.substr(e + 1)));
  const int num_digits = static_cast<int>(digits.size());
  if (std::signbit(value)) out.push_back('-');
  if (value == 0.0) {
    out.append("0.0");
  } else if (exponent >= 0 && exponent < 16) {
    if (num_digits <= exponent + 1) {
      out.append(digits).append(static_cast<std::size_t>(exponent + 1 - num_digits), '0').append(".0");
    } else {
      out.append(digits, 0, static_cast<std::size_t>(exponent) + 1).append(".");
      out.append(digits, static_cast<std::size_t>(exponent) + 1);
    }
  } else if (exponent < 0 && exponent >= -5) {
    out.append("0.").append(static_cast<std::size_t>(-exponent - 1), '0').append(digits);
  } else {
    out.append(digits, 0, 1);
    if (num_digits > 1) out.append(".").append(digits, 1);
    out.append(fmt::format("e{}", exponent));
  }
}

void append_json(const json::value& value, std::string& out) {
  switch (value.kind()) {
    case json::kind::null:
      out.append("null");
      break;
    case json::kind::bool_:
      out.append(value.get_bool() ? "true" : "false");
      break;
    case json::kind::int64:
      out.append(fmt::format("{}", value.get_int64()));
      break;
    case json::kind::uint64:
      out.append(fmt::format("{}", value.get_uint64()));
      break;
    case json::kind::double_:
      append_json_double(value.get_double(), out);
      break;
    case json::kind::string:
      append_json_string(value.get_string(), out);
      break;
    case json::kind::array: {
      std::string_view separator = "[";
      for (const json::value& element : value.get_array()) {
        out.append(separator);
        append_json(element, out);
        separator = ",";
      }
      out.append(value.get_array().empty() ? "[]" : "]");
      break;
    }
    case json::kind::object: {
      std::string_view separator = "{";
      for (const auto& member : value.get_object()) {
        out.append(separator);
        append_json_string(member.key(), out);
        out.push_back(':');
        append_json(member.value(), out);
        separator = ",";
      }
      out.append(value.get_object().empty() ? "{}" : "}");
      break;
    }
  }
}

}  // namespace

std::string compact_json(const json::value& value) {
  std::string out;
  append_json(value, out);
  return out;
}

std::string typescript_type(const json::value& schema, const std::string& indent) {
  if (const json::array* variants = get_array(schema, "oneOf")) return one_of_type(*variants, indent);
  if (const json::array* types = get_array(schema, "type")) {
    std::vector<std::string> names;
    for (const json::value& type : *types) {
      if (!type.is_string()) continue;
      names.emplace_back(type.get_string() == "integer" ? "number" : std::string_view(type.get_string()));
    }
    if (!names.empty()) return fmt::format("{}", fmt::join(names, " | "));
  }
  const json::string* type = get_string(schema, "type");
  if (type == nullptr) return "any";
  if (*type == "object") return object_type(schema, indent);
  if (*type == "string") return string_type(schema);
  if (*type == "number" || *type == "integer") return "number";
  if (*type == "boolean") return "boolean";
  if (*type == "array") {
    const json::value* items = get(schema, "items");
    return items == nullptr ? "Array<any>" : typescript_type(*items, indent) + "[]";
  }
  return "any";
}

std::string harmony_tools_section(const HarmonyTools& tools) {
  std::string out = "# Tools";
  for (const auto& [key, space] : tools) {
    std::vector<std::string> lines = {fmt::format("## {}\n", space.name)};
    const std::string_view description = space.description ? std::string_view(*space.description) : "";
    for (const std::string_view line : lines_of(description)) {
      lines.push_back(fmt::format("{}{}", space.tools.empty() ? "" : "// ", line));
    }
    if (!space.tools.empty()) {
      lines.push_back(fmt::format("namespace {} {{\n", space.name));
      for (const HarmonyTool& tool : space.tools) {
        for (const std::string_view line : lines_of(tool.description))
          lines.push_back(fmt::format("// {}", line));
        const std::string argument =
            tool.parameters ? fmt::format("_: {}", typescript_type(*tool.parameters, "")) : "";
        lines.push_back(fmt::format("type {} = ({}) => any;\n", tool.name, argument));
      }
      lines.push_back(fmt::format("}} // namespace {}", space.name));
    }
    out += fmt::format("\n\n{}", fmt::join(lines, "\n"));
  }
  return out;
}

}  // namespace gossamer
