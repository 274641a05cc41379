// ResponseStore: what /v1/responses has answered, for previous_response_id, for references to items, and for
// GET and DELETE of /v1/responses/ID. In memory and bounded: the least recently used response goes first.
//
// A response holds what it continues, so that a conversation of n turns is kept once, not n times. What has
// been forgotten or deleted lives on, without a name, as long as a response that continues it is known.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "server/api_error.h"

namespace gossamer {

struct StoredResponse {
  StoredResponse() = default;
  ~StoredResponse();  // without recursion: a conversation may have any number of turns
  StoredResponse(const StoredResponse&) = delete;
  StoredResponse& operator=(const StoredResponse&) = delete;

  std::string id;         // "resp_..."
  json::object response;  // as it was answered
  json::array input;      // the items that it answers, each with an id
  // What it continues; changed by the destructor only.
  mutable std::shared_ptr<const StoredResponse> previous;
};

struct ResponseStoreOptions {
  std::size_t max_responses = 10'000;              // that are known by their id; 0 keeps nothing
  int64_t max_bytes = int64_t{256} * 1024 * 1024;  // about, of all that is alive
};

// Every method may be called from several threads at once.
class ResponseStore {
 public:
  explicit ResponseStore(ResponseStoreOptions options = {});

  // Makes room for it first. One that is larger than everything may be is not kept.
  void put(std::unique_ptr<StoredResponse> response);

  // nullptr: not known. Counts as a use.
  std::shared_ptr<const StoredResponse> find(std::string_view id);

  // False: not known.
  bool erase(std::string_view id);

  std::size_t size() const;
  int64_t num_bytes() const { return num_bytes_->load(); }

 private:
  using Order = std::list<std::shared_ptr<const StoredResponse>>;

  ResponseStoreOptions options_;
  // Shared with the responses, the last of which may outlive the store in somebody's hands.
  std::shared_ptr<std::atomic<int64_t>> num_bytes_;
  mutable std::mutex mutex_;
  Order order_;                                                  // the most recently used first
  std::unordered_map<std::string_view, Order::iterator> by_id_;  // keys are the responses' own
};

// Bytes that a value takes in memory, about.
int64_t json_bytes(const json::value& value);

// The item of a known response, of its output or its input, that has this id.
std::optional<json::value> find_item(ResponseStore& store, std::string_view item_id);

// GET /v1/responses/ID, and 404.
ApiResult<json::object> retrieve_response(ResponseStore& store, std::string_view id);

// DELETE /v1/responses/ID, and 404.
ApiResult<json::object> delete_response(ResponseStore& store, std::string_view id);

// The parameters of the query, as they were written; 1 to 100 items, newest first unless `order` is "asc".
struct ItemListQuery {
  std::optional<std::string> limit;
  std::optional<std::string> order;
  std::optional<std::string> after;  // id of the item before the first one wanted
};

// GET /v1/responses/ID/input_items: the items of that call, not those of the ones before it.
ApiResult<json::object> list_input_items(ResponseStore& store, std::string_view id,
                                         const ItemListQuery& query);

}  // namespace gossamer
