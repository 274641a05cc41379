#include "grammar/formats.h"

#include <algorithm>
#include <array>

namespace gossamer {
namespace {

// Years from 1000 on: validators do not agree on year 0. February 29 in years divisible by 4 but not by 100.
const std::string kDate =
    R"((?:[1-9]\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30))"
    R"(|02-(?:0[1-9]|1\d|2[0-8]))|[1-9]\d(?:0[48]|[2468][048]|[13579][26])-02-29))";
const std::string kTime =
    R"((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))";

// A label has at most 62 characters, of 63 allowed; a name at most 4 and an end.
const std::string kLabel = R"([a-z0-9]{1,20}(?:-[a-z0-9]{1,20}){0,2})";
const std::string kHostname = "(?:" + kLabel + R"(\.){0,3}[a-z]{2,20})";
const std::string kDomain = "(?:" + kLabel + R"(\.){1,3}[a-z]{2,20})";

std::string ipv6() {
  const std::string group = "[0-9a-fA-F]{1,4}";
  std::string pattern = "(?:(?:" + group + ":){7}" + group + "|::";
  // head::tail, at most seven groups in all
  for (int head = 0; head <= 6; ++head) {
    const std::string front = head == 0 ? ":" : "(?:" + group + ":){" + std::to_string(head) + "}";
    pattern += "|" + front + "(?::" + group + "){1," + std::to_string(7 - head) + "}";
  }
  return pattern + ")";
}

}  // namespace

std::optional<std::string> format_pattern(std::string_view format) {
  const auto whole = [](const std::string& pattern) { return "^" + pattern + "$"; };
  const std::string hex = "[0-9a-fA-F]";
  if (format == "date") return whole(kDate);
  if (format == "time") return whole(kTime);
  if (format == "date-time") return whole(kDate + "T" + kTime);
  if (format == "uuid") {
    return whole(hex + "{8}-" + hex + "{4}-" + hex + "{4}-" + hex + "{4}-" + hex + "{12}");
  }
  if (format == "email") return whole(R"([A-Za-z0-9_%+-]{1,20}(?:\.[A-Za-z0-9_%+-]{1,20}){0,2}@)" + kDomain);
  if (format == "hostname") return whole(kHostname);
  if (format == "ipv4") {
    const std::string byte = R"((?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))";
    return whole("(?:" + byte + R"(\.){3})" + byte);
  }
  if (format == "ipv6") return whole(ipv6());
  if (format == "uri") {
    const std::string text = R"((?:[A-Za-z0-9_.~!$&'()*+,;=:@-]|%)" + hex + hex + ")";
    return whole("https?://" + kHostname + "(?::[1-9]\\d{1,3})?(?:/" + text + "*)*(?:\\?(?:" + text +
                 "|[/?])*)?(?:#(?:" + text + "|[/?])*)?");
  }
  return std::nullopt;
}

bool is_standard_format(std::string_view format) {
  constexpr std::array<std::string_view, 10> kOthers = {
      "duration", "idn-email",     "idn-hostname", "uri-reference", "iri",
      "regex",    "iri-reference", "uri-template", "json-pointer",  "relative-json-pointer"};
  return format_pattern(format).has_value() ||
         std::find(kOthers.begin(), kOthers.end(), format) != kOthers.end();
}

}  // namespace gossamer
