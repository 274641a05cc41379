// ResponsesResponse: what /v1/responses answers: a `response` object, or the events that build one. Once it
// is complete it puts itself into the store, before anybody is told its last event.
//
// Items are the parts of the answer in their order: reasoning, messages, function calls. Reasoning has its
// text as content and no summary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/call_response.h"
#include "server/response_store.h"

namespace gossamer {

struct ResponsesOptions {
  json::object echo;  // members of the response that repeat the request
  bool include_reasoning = true;
  bool encrypted_reasoning = false;
  // Where it is kept; nullptr: nowhere. Outlives the response.
  ResponseStore* store = nullptr;
  json::array input;
  std::shared_ptr<const StoredResponse> previous;
};

class ResponsesResponse final : public CallResponse {
 public:
  // One prompt, one sequence.
  ResponsesResponse(const Tokenizer& tokenizer, ResponseOptions options, ResponsesOptions responses);

  json::object to_json() const override;
  std::string take_events() override;

 private:
  // A part of the answer as an item shows it. The text's bounds are bytes of reasoning or content.
  struct Item {
    ChoicePart::Kind kind = ChoicePart::Kind::kContent;
    std::size_t call = 0;  // index, for calls
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t part_begin = 0;  // before what is left out at the text's beginning
    bool is_shown = false;
    bool has_ended = false;
    bool was_cut = false;  // by a limit or an error
  };
  // Of a stream: what has been told of the part that is being told.
  struct Told {
    std::size_t part = 0;
    bool is_open = false;
    std::size_t bytes = 0;   // of the part's text or arguments
    std::size_t tokens = 0;  // of Choice::content_tokens
    std::size_t num_items = 0;
  };

  void on_complete() override;

  const Choice& choice() const { return choices().front(); }
  Item item_of(std::size_t part) const;
  const std::string& text_of(const Item& item) const;
  std::string id_of(const Item& item, std::size_t index) const;
  // Of tokens from number `first` on whose text begins in the item.
  json::array logprobs_of(const Item& item, std::size_t first) const;
  json::object content_part(const Item& item, std::string_view text, json::array logprobs) const;
  json::object item_json(const Item& item, std::size_t index) const;
  json::object empty_item_json(const Item& item, std::size_t index) const;
  json::array output_json() const;
  json::object response_json(std::string_view status, json::array output) const;

  void append(std::string& out, std::string_view type, json::object data);
  void append_item(std::string& out, const Item& item);
  void open_item(std::string& out, const Item& item, const json::object& place);
  void close_item(std::string& out, const Item& item, const json::object& place);
  void append_end(std::string& out);

  ResponsesOptions responses_;
  Told told_;
  int64_t sequence_number_ = 0;
  bool has_begun_ = false;
  bool has_ended_ = false;
};

}  // namespace gossamer
