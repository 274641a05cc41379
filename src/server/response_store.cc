#include "server/response_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "server/json_fields.h"

namespace gossamer {
namespace {

constexpr int64_t kDefaultItems = 20;
constexpr int64_t kMaxItems = 100;

ApiError not_found(std::string_view id) {
  return {.status = 404,
          .message = fmt::format("response_id: no response \"{}\" is kept here: it was never stored, was "
                                 "deleted, or made room for others",
                                 shortened(id)),
          .param = "response_id",
          .code = "response_not_found"};
}

ApiError bad_query(std::string name, std::string_view expected, std::string_view found) {
  return {.message = fmt::format("{}: expected {}, found \"{}\"", name, expected, shortened(found)),
          .param = std::move(name)};
}

std::string_view id_of(const json::value& item) {
  const json::object* object = item.if_object();
  const json::value* id = object == nullptr ? nullptr : object->if_contains("id");
  return id != nullptr && id->is_string() ? std::string_view(id->get_string()) : std::string_view();
}

const json::value* find_in(const json::array& items, std::string_view id) {
  const auto it =
      std::find_if(items.begin(), items.end(), [&](const json::value& item) { return id_of(item) == id; });
  return it == items.end() ? nullptr : &*it;
}

}  // namespace

int64_t json_bytes(const json::value& value) {
  auto bytes = static_cast<int64_t>(sizeof(json::value));
  if (const json::string* text = value.if_string()) {
    bytes += static_cast<int64_t>(text->capacity());
  } else if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) bytes += json_bytes(element);
  } else if (const json::object* object = value.if_object()) {
    for (const auto& member : *object)
      bytes += static_cast<int64_t>(member.key().size() + sizeof(member)) + json_bytes(member.value());
  }
  return bytes;
}

StoredResponse::~StoredResponse() {
  // Whoever holds the last reference takes the next one out before it lets go.
  std::shared_ptr<const StoredResponse> next = std::move(previous);
  while (next && next.use_count() == 1) {
    std::shared_ptr<const StoredResponse> after = std::move(next->previous);
    next = std::move(after);
  }
}

ResponseStore::ResponseStore(ResponseStoreOptions options)
    : options_(options), num_bytes_(std::make_shared<std::atomic<int64_t>>(0)) {}

void ResponseStore::put(std::unique_ptr<StoredResponse> response) {
  const int64_t bytes = static_cast<int64_t>(sizeof(StoredResponse) + response->id.size()) +
                        json_bytes(response->response) + json_bytes(response->input);
  if (options_.max_responses == 0 || bytes > options_.max_bytes) return;
  num_bytes_->fetch_add(bytes);
  const std::shared_ptr<const StoredResponse> kept(response.release(),
                                                   [counter = num_bytes_, bytes](const StoredResponse* gone) {
                                                     delete gone;
                                                     counter->fetch_sub(bytes);
                                                   });
  const std::lock_guard lock(mutex_);
  if (const auto it = by_id_.find(kept->id); it != by_id_.end()) {
    const Order::iterator old = it->second;
    by_id_.erase(it);
    order_.erase(old);
  }
  order_.push_front(kept);
  by_id_.emplace(kept->id, order_.begin());
  // Its own chain may be too long: then even the newest goes, and with it all of the conversation.
  while (!order_.empty() && (order_.size() > options_.max_responses || num_bytes() > options_.max_bytes)) {
    by_id_.erase(order_.back()->id);
    if (order_.size() == 1) return order_.clear();
    order_.pop_back();
  }
}

std::shared_ptr<const StoredResponse> ResponseStore::find(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto it = by_id_.find(id);
  if (it == by_id_.end()) return nullptr;
  order_.splice(order_.begin(), order_, it->second);
  return *it->second;
}

bool ResponseStore::erase(std::string_view id) {
  std::shared_ptr<const StoredResponse> gone;  // destroyed after the lock
  const std::lock_guard lock(mutex_);
  const auto it = by_id_.find(id);
  if (it == by_id_.end()) return false;
  const Order::iterator at = it->second;
  gone = *at;
  by_id_.erase(it);
  order_.erase(at);
  return true;
}

std::size_t ResponseStore::size() const {
  const std::lock_guard lock(mutex_);
  return order_.size();
}

std::optional<json::value> find_item(ResponseStore& store, std::string_view item_id) {
  // Ids of items carry their response's: "msg_RESPONSE_0".
  const std::size_t begin = item_id.find('_');
  if (begin == std::string_view::npos) return std::nullopt;
  const std::size_t end = item_id.find('_', begin + 1);
  const std::shared_ptr<const StoredResponse> stored =
      store.find(fmt::format("resp_{}", item_id.substr(begin + 1, end - begin - 1)));
  if (stored == nullptr) return std::nullopt;
  const json::value* item = find_in(stored->response.at("output").as_array(), item_id);
  if (item == nullptr) item = find_in(stored->input, item_id);
  return item == nullptr ? std::nullopt : std::optional<json::value>(*item);
}

ApiResult<json::object> retrieve_response(ResponseStore& store, std::string_view id) {
  const std::shared_ptr<const StoredResponse> stored = store.find(id);
  if (stored == nullptr) return not_found(id);
  return stored->response;
}

ApiResult<json::object> delete_response(ResponseStore& store, std::string_view id) {
  if (!store.erase(id)) return not_found(id);
  return json::object{{"id", id}, {"object", "response"}, {"deleted", true}};
}

ApiResult<json::object> list_input_items(ResponseStore& store, std::string_view id,
                                         const ItemListQuery& query) {
  int64_t limit = kDefaultItems;
  if (query.limit) {
    const char* end = query.limit->data() + query.limit->size();
    const auto [stop, error] = std::from_chars(query.limit->data(), end, limit);
    if (error != std::errc() || stop != end || limit < 1 || limit > kMaxItems)
      return bad_query("limit", fmt::format("a whole number from 1 to {}", kMaxItems), *query.limit);
  }
  const std::string order = query.order.value_or("desc");
  if (order != "asc" && order != "desc") return bad_query("order", "\"asc\" or \"desc\"", order);
  const std::shared_ptr<const StoredResponse> stored = store.find(id);
  if (stored == nullptr) return not_found(id);

  std::vector<const json::value*> items;
  for (const json::value& item : stored->input) items.push_back(&item);
  if (order == "desc") std::reverse(items.begin(), items.end());
  auto first = items.begin();
  if (query.after) {
    first = std::find_if(items.begin(), items.end(),
                         [&](const json::value* item) { return id_of(*item) == *query.after; });
    if (first == items.end()) return bad_query("after", "the id of one of the items", *query.after);
    ++first;
  }
  const auto last = first + std::min<std::ptrdiff_t>(limit, items.end() - first);
  json::array data;
  for (auto item = first; item != last; ++item) data.push_back(**item);
  const json::value none(nullptr);
  return json::object{{"object", "list"},
                      {"first_id", data.empty() ? none : json::value(json::string(id_of(data.front())))},
                      {"last_id", data.empty() ? none : json::value(json::string(id_of(data.back())))},
                      {"has_more", last != items.end()},
                      {"data", std::move(data)}};
}

}  // namespace gossamer
