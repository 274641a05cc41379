// RunFile: what a run file says, key by key with its line, before anybody knows what the keys mean. Read from
// YAML (yaml_run_file.cc) or INI (ini_run_file.cc); recipe_settings.cc and sdk_settings.cc take the keys out
// of it. Every method throws Error naming file, line and key.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer::apps {

// A value as it is written.
struct RunValue {
  enum class Kind {
    kNothing,    // null, or an INI key without a value: as if it were not there
    kPlain,      // may be meant as a number or a truth value
    kQuoted,     // a text
    kStructure,  // a YAML list or map
  };
  Kind kind = Kind::kPlain;
  std::string text;
  int line = 0;
};

class RunFile {
 public:
  enum class Form { kYaml, kIni };

  static RunFile from_yaml(const std::string& name, const std::string& text);
  // As Python's configparser reads it: comments are lines that begin with ; or #, values may go on in
  // indented lines, keys have no case.
  static RunFile from_ini(const std::string& name, const std::string& text);

  // Keys are "key" and "section.key" here, whichever form the file has.
  bool has(const std::string& key) const;
  // "FILE:12: section.key", as the file's form writes keys; without a line for a key that is not there.
  std::string where(const std::string& key) const;

  // The value of a key, or nothing where it is not there or null. After this the key counts as known.
  std::optional<std::string> take_text(const std::string& key);
  std::optional<std::string> take_choice(const std::string& key,
                                         std::initializer_list<std::string_view> choices);
  std::optional<int64_t> take_integer(const std::string& key, int64_t least,
                                      int64_t most = std::numeric_limits<int64_t>::max());
  std::optional<double> take_number(const std::string& key, double least, double most);
  std::optional<bool> take_flag(const std::string& key);

  // Of two keys that mean the same, the one that is there; Error when both are and differ.
  std::string either(const std::string& first, const std::string& second);

  // A key that nothing here depends on, whatever its value: it becomes a note with the reason.
  void ignore(const std::string& key, std::string_view reason);
  // A note about a key that is there.
  void note(const std::string& key, std::string_view text);
  const std::vector<std::string>& notes() const { return notes_; }

  // Throws Error naming every key that nobody has taken or ignored.
  void refuse_unknown() const;

 private:
  RunFile(std::string name, Form form) : name_(std::move(name)), form_(form) {}
  void add(const std::string& key, RunValue value);
  // Of a key that counts as known from now on; nullptr where it is not there or null.
  const RunValue* take(const std::string& key);
  std::string shown(const std::string& key) const;
  [[noreturn]] void refuse(const std::string& key, std::string_view expected) const;

  std::string name_;
  Form form_;
  std::map<std::string, RunValue> values_;
  std::set<std::string> known_;
  std::vector<std::string> notes_;
};

// Throws Error: what is asked for runs on several devices.
[[noreturn]] void refuse_devices(const std::string& where, int64_t count);

}  // namespace gossamer::apps
