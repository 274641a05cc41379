#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "tensor/dtype.h"

namespace gossamer {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr std::string_view kMetadata = "__metadata__";

struct ForeignDType {
  std::string_view name;
  std::size_t size;
};

// Dtypes of the format that no model here uses; their sizes are checked all the same.
constexpr std::array<ForeignDType, 8> kForeignDTypes = {{
    {"U16", 2},
    {"U32", 4},
    {"U64", 8},
    {"F8_E4M3", 1},
    {"F8_E5M2", 1},
    {"F8_E8M0", 1},
    {"F8_E4M3FNUZ", 1},
    {"C64", 8},
}};

std::optional<std::size_t> element_size(std::string_view dtype) {
  if (const std::optional<DType> known = parse_dtype(dtype)) return dtype_size(*known);
  for (const ForeignDType& foreign : kForeignDTypes) {
    if (foreign.name == dtype) return foreign.size;
  }
  return std::nullopt;
}

uint64_t read_length(std::span<const std::byte> file) {
  uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) length |= std::to_integer<uint64_t>(file[i]) << (8 * i);
  return length;
}

// Parses one header entry; offsets still count from the start of the data.
class EntryParser {
 public:
  EntryParser(const std::string& where, std::string_view name, const json::value& value)
      : where_(where), name_(name), value_(value) {}

  SafetensorsEntry parse() const {
    if (!value_.is_object()) fail("a description of a tensor (dtype, shape, data_offsets)", value_);
    SafetensorsEntry entry;
    entry.name = name_;
    const json::value& dtype = member("dtype");
    if (!dtype.is_string()) fail("dtype to be a string", dtype);
    entry.dtype = std::string(dtype.get_string());
    entry.shape = parse_shape();
    const json::value& offsets = member("data_offsets");
    if (!offsets.is_array() || offsets.get_array().size() != 2) {
      fail("data_offsets to be two integers [begin, end]", offsets);
    }
    entry.begin = natural(offsets.get_array()[0], "data_offsets");
    entry.end = natural(offsets.get_array()[1], "data_offsets");
    if (entry.begin > entry.end) fail("data_offsets in ascending order", offsets);
    check_size(entry);
    return entry;
  }

 private:
  [[noreturn]] void fail(const std::string& expected, const json::value& found) const {
    std::string text = json::serialize(found);
    if (text.size() > 80) text = text.substr(0, 80) + "...";
    throw Error("{}: {}: expected {}, found {}", where_, printable_name(name_), expected, text);
  }

  const json::value& member(std::string_view key) const {
    const json::value* value = value_.get_object().if_contains(key);
    if (value == nullptr) fail(fmt::format("a member \"{}\"", key), value_);
    return *value;
  }

  uint64_t natural(const json::value& value, std::string_view what) const {
    if (!value.is_int64() || value.get_int64() < 0) {
      fail(fmt::format("{} of integers from 0 to 2^63 - 1", what), value);
    }
    return static_cast<uint64_t>(value.get_int64());
  }

  Shape parse_shape() const {
    const json::value& shape = member("shape");
    if (!shape.is_array()) fail("shape to be a list", shape);
    if (shape.get_array().size() > Shape::kMaxRank) {
      fail(fmt::format("a shape of at most {} dimensions", Shape::kMaxRank), shape);
    }
    std::array<int64_t, Shape::kMaxRank> dims{};
    std::size_t rank = 0;
    for (const json::value& dim : shape.get_array()) {
      dims[rank++] = static_cast<int64_t>(natural(dim, "a shape"));
    }
    return Shape(std::span<const int64_t>(dims.data(), rank));
  }

  void check_size(const SafetensorsEntry& entry) const {
    int64_t elements = 1;
    bool overflow = false;
    for (const int64_t dim : entry.shape.dims()) overflow |= __builtin_mul_overflow(elements, dim, &elements);
    const std::optional<std::size_t> size = element_size(entry.dtype);
    int64_t bytes = 0;
    overflow |= __builtin_mul_overflow(elements, static_cast<int64_t>(size.value_or(1)), &bytes);
    if (overflow) {
      throw Error("{}: {}: expected a tensor that fits into a file, found shape {} of {}", where_,
                  printable_name(name_), entry.shape.to_string(), entry.dtype);
    }
    if (size && entry.end - entry.begin != static_cast<uint64_t>(bytes)) {
      throw Error("{}: {}: expected {} bytes for {} {}, found data_offsets [{}, {}], which is {}", where_,
                  printable_name(name_), bytes, entry.dtype, entry.shape.to_string(), entry.begin, entry.end,
                  entry.end - entry.begin);
    }
  }

  const std::string& where_;
  std::string_view name_;
  const json::value& value_;
};

void check_metadata(const json::value& metadata, const std::string& where) {
  bool good = metadata.is_object();
  if (good) {
    for (const auto& item : metadata.get_object()) good = good && item.value().is_string();
  }
  if (!good) throw Error("{}: {}: expected an object of strings, found something else", where, kMetadata);
}

// The tensors must fill [0, data_size) one behind the other.
void check_places(const std::vector<SafetensorsEntry>& entries, uint64_t data_size,
                  const std::string& where) {
  uint64_t end = 0;
  const SafetensorsEntry* previous = nullptr;
  for (const SafetensorsEntry& entry : entries) {
    const std::string name = printable_name(entry.name);
    if (entry.begin < end) {
      throw Error("{}: {}: expected data from byte {} on, found [{}, {}], which overlaps {}", where, name,
                  end, entry.begin, entry.end, printable_name(previous->name));
    }
    if (entry.begin > end) {
      throw Error("{}: {}: expected data from byte {} on, found [{}, {}]: {} bytes belong to no tensor",
                  where, name, end, entry.begin, entry.end, entry.begin - end);
    }
    if (entry.end > data_size) {
      throw Error("{}: {}: expected data up to byte {}, found a file with {} bytes of data: it is truncated",
                  where, name, entry.end, data_size);
    }
    end = entry.end;
    previous = &entry;
  }
  if (end != data_size) {
    throw Error("{}: expected {} bytes of data, found {}: the file is longer than its tensors", where, end,
                data_size);
  }
}

}  // namespace

std::string printable_name(std::string_view name) {
  constexpr std::size_t kMaxLength = 200;
  std::string text;
  for (const char c : name.substr(0, kMaxLength)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  if (name.size() > kMaxLength) text += "...";
  return text;
}

std::vector<SafetensorsEntry> parse_safetensors(std::span<const std::byte> file, const std::string& where) {
  if (file.size() < kLengthBytes) {
    throw Error("{}: expected a safetensors file, found {} bytes, fewer than its header length takes", where,
                file.size());
  }
  const uint64_t length = read_length(file);
  if (length > kMaxSafetensorsHeader) {
    throw Error("{}: expected a header of at most {} bytes, found a header length of {}: not safetensors?",
                where, kMaxSafetensorsHeader, length);
  }
  const uint64_t available = file.size() - kLengthBytes;
  if (length > available) {
    throw Error("{}: expected a header of {} bytes, found {} bytes in the file: it is truncated", where,
                length, available);
  }
  const std::string_view header(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  if (header.empty() || header.front() != '{') {
    throw Error("{}: expected a header that starts with '{{', found something else: not safetensors?", where);
  }
  const json::value value = parse_json(header, where + " (header)");  // an object, since it starts with '{'

  std::vector<SafetensorsEntry> entries;
  for (const auto& item : value.get_object()) {
    const std::string_view name(item.key());
    if (name == kMetadata) {
      check_metadata(item.value(), where);
    } else {
      entries.push_back(EntryParser(where, name, item.value()).parse());
    }
  }
  std::sort(entries.begin(), entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  check_places(entries, available - length, where);
  for (SafetensorsEntry& entry : entries) {
    entry.begin += kLengthBytes + length;
    entry.end += kLengthBytes + length;
  }
  return entries;
}

}  // namespace gossamer
