#include "server/server_log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>

#include "base/error.h"

namespace gossamer {
namespace {

bool needs_quotes(std::string_view text) {
  return text.empty() || std::any_of(text.begin(), text.end(), [](unsigned char c) {
           return c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7F;
         });
}

std::string to_pairs(const json::object& fields) {
  std::string out;
  for (const auto& [key, value] : fields) {
    if (value.is_null()) continue;
    out.append(" ").append(key).append("=");
    const json::string* text = value.if_string();
    if (value.is_double()) {
      out += fmt::format("{}", value.as_double());  // 12.5, where JSON's writer has 1.25E1
    } else if (text == nullptr) {
      out += json::serialize(value);
    } else if (needs_quotes(*text)) {
      out += to_ascii_json(*text);
    } else {
      out.append(text->data(), text->size());
    }
  }
  return out;
}

}  // namespace

class ServerLog::Impl {
 public:
  Impl(const std::string& path, LogFormat format) : format_(format) {
    spdlog::sink_ptr sink;
    try {
      if (path.empty()) {
        sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
      } else {
        sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
      }
    } catch (const spdlog::spdlog_ex& error) {
      throw Error("--log-file {}: {}; name a file in a folder that can be written", path, error.what());
    }
    logger_ = std::make_shared<spdlog::logger>("gossamer", std::move(sink));
    logger_->set_pattern(format == LogFormat::kJson ? "%v" : "%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
    logger_->flush_on(spdlog::level::info);
  }

  void say(spdlog::level::level_enum level, const std::string& event, const json::object& fields) {
    if (format_ == LogFormat::kText) {
      logger_->log(level, "{}{}", event, to_pairs(fields));
      return;
    }
    json::object line = {{"time", timestamp()},
                         {"level", level == spdlog::level::warn ? "warning" : "info"},
                         {"event", event}};
    for (const auto& [key, value] : fields) {
      if (!value.is_null()) line.emplace(key, value);
    }
    logger_->log(level, "{}", json::serialize(line));
  }

  void say(spdlog::level::level_enum level, const std::string& text) {
    if (format_ == LogFormat::kText) {
      logger_->log(level, "{}", text);
    } else {
      say(level, "note", {{"message", text}});
    }
  }

 private:
  static std::string timestamp() {
    const auto now = std::chrono::system_clock::now();
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm utc = {};
    gmtime_r(&seconds, &utc);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                       utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, milliseconds);
  }

  LogFormat format_;
  std::shared_ptr<spdlog::logger> logger_;
};

ServerLog::ServerLog(const std::string& path, LogFormat format)
    : impl_(std::make_unique<Impl>(path, format)) {}
ServerLog::~ServerLog() = default;

void ServerLog::note(const std::string& text) { impl_->say(spdlog::level::info, text); }
void ServerLog::warn(const std::string& text) { impl_->say(spdlog::level::warn, text); }
void ServerLog::event(const std::string& event, const json::object& fields) {
  impl_->say(spdlog::level::info, event, fields);
}

}  // namespace gossamer
