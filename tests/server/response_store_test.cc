#include "server/response_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/server/server_testing.h"

namespace gossamer {
namespace {

using test::parse;
using testing::HasSubstr;

std::unique_ptr<StoredResponse> make_response(std::string id,
                                              std::shared_ptr<const StoredResponse> previous = nullptr,
                                              std::size_t text_bytes = 10) {
  auto response = std::make_unique<StoredResponse>();
  response->response = {{"id", "resp_" + id},
                        {"output", json::array{json::object{{"id", "msg_" + id + "_0"}}}}};
  for (int i = 0; i < 3; ++i) {
    response->input.push_back(
        json::object{{"id", fmt::format("msg_{}_i{}", id, i)}, {"text", std::string(text_bytes, 'x')}});
  }
  response->id = "resp_" + std::move(id);
  response->previous = std::move(previous);
  return response;
}

TEST(ResponseStore, FindsWhatWasPutUntilItIsDeleted) {
  ResponseStore store;
  store.put(make_response("a"));
  ASSERT_NE(store.find("resp_a"), nullptr);
  EXPECT_EQ(store.find("resp_b"), nullptr);
  EXPECT_EQ(json::serialize(retrieve_response(store, "resp_a").value()),
            json::serialize(make_response("a")->response));
  EXPECT_EQ(json::serialize(delete_response(store, "resp_a").value()),
            R"({"id":"resp_a","object":"response","deleted":true})");
  EXPECT_EQ(store.size(), 0U);
  EXPECT_EQ(store.num_bytes(), 0);
  EXPECT_EQ(delete_response(store, "resp_a").error().status, 404);
  EXPECT_EQ(retrieve_response(store, "resp_a").error().status, 404);
  EXPECT_THAT(retrieve_response(store, "resp_a").error().message, HasSubstr("resp_a"));
}

TEST(ResponseStore, ForgetsTheLeastRecentlyUsedBeyondItsNumber) {
  ResponseStore store({.max_responses = 2});
  store.put(make_response("a"));
  store.put(make_response("b"));
  store.find("resp_a");
  store.put(make_response("c"));
  EXPECT_NE(store.find("resp_a"), nullptr);
  EXPECT_EQ(store.find("resp_b"), nullptr);
  EXPECT_NE(store.find("resp_c"), nullptr);
}

TEST(ResponseStore, StaysWithinItsBytes) {
  ResponseStore store({.max_bytes = 40'000});
  for (int i = 0; i < 100; ++i) {
    store.put(make_response(std::to_string(i), nullptr, 1000));
    EXPECT_LE(store.num_bytes(), 40'000);
    EXPECT_NE(store.find(fmt::format("resp_{}", i)), nullptr);
  }
  EXPECT_GT(store.size(), 5U);
  store.put(make_response("large", nullptr, 20'000));
  EXPECT_EQ(store.find("resp_large"), nullptr) << "larger than everything may be";
  EXPECT_GT(store.size(), 5U) << "nothing went for it";
  ResponseStore nothing({.max_responses = 0});
  nothing.put(make_response("a"));
  EXPECT_EQ(nothing.size(), 0U);
}

TEST(ResponseStore, KeepsAConversationOnceAndWhole) {
  ResponseStore store({.max_responses = 3});
  constexpr int kTurns = 100;
  int64_t one = 0;
  for (int i = 0; i < kTurns; ++i) {
    store.put(make_response(fmt::format("{:03}", i), store.find(fmt::format("resp_{:03}", i - 1))));
    if (i == 0) one = store.num_bytes();
  }
  EXPECT_EQ(store.num_bytes(), one * kTurns) << "linear in the turns, and forgotten turns count";
  EXPECT_EQ(store.find("resp_000"), nullptr) << "forgotten by name";
  int turns = 0;
  const std::shared_ptr<const StoredResponse> last = store.find("resp_099");
  for (const StoredResponse* at = last.get(); at != nullptr; at = at->previous.get()) ++turns;
  EXPECT_EQ(turns, kTurns);
}

TEST(ResponseStore, GivesAllOfAConversationBack) {
  ResponseStore store({.max_responses = 1});
  std::shared_ptr<const StoredResponse> last;
  // Deep enough that destruction by recursion would exhaust the stack.
  for (int i = 0; i < 300'000; ++i) {
    auto response = std::make_unique<StoredResponse>();
    response->id = std::to_string(i);
    response->previous = std::move(last);
    store.put(std::move(response));
    last = store.find(std::to_string(i));
  }
  last.reset();
  EXPECT_TRUE(store.erase("299999"));
  EXPECT_EQ(store.num_bytes(), 0);
}

TEST(ResponseStore, MayBeOutlivedByAResponse) {
  std::shared_ptr<const StoredResponse> kept;
  {
    ResponseStore store;
    store.put(make_response("a"));
    kept = store.find("resp_a");
  }
  EXPECT_EQ(kept->id, "resp_a");
}

TEST(ResponseStore, ServesManyThreads) {
  ResponseStore store({.max_responses = 8});
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&store, thread] {
      std::shared_ptr<const StoredResponse> last;
      for (int i = 0; i < 2000; ++i) {
        const std::string id = fmt::format("{}x{}", i % 5 == 0 ? 0 : thread, i % 50);
        store.put(make_response(id, i % 20 == 0 ? nullptr : std::move(last)));
        last = store.find("resp_" + id);
        if (i % 7 == 0) store.erase("resp_" + id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(store.size(), 8U);
}

TEST(ResponseStore, FindsItemsByTheirOwnIds) {
  ResponseStore store;
  store.put(make_response("a"));
  EXPECT_EQ(find_item(store, "msg_a_0")->at("id").as_string(), "msg_a_0");
  EXPECT_EQ(find_item(store, "msg_a_i2")->at("id").as_string(), "msg_a_i2");
  for (const char* id : {"", "msg", "msg_", "msg_a", "msg_a_1", "msg_b_0", "__"})
    EXPECT_FALSE(find_item(store, id)) << id;
}

TEST(ResponseStore, ListsInputItemsByPages) {
  ResponseStore store;
  store.put(make_response("a"));
  const json::object newest = list_input_items(store, "resp_a", {.limit = "2"}).value();
  EXPECT_EQ(newest.at("object").as_string(), "list");
  EXPECT_EQ(newest.at("first_id").as_string(), "msg_a_i2");
  EXPECT_EQ(newest.at("last_id").as_string(), "msg_a_i1");
  EXPECT_TRUE(newest.at("has_more").as_bool());
  const json::object rest = list_input_items(store, "resp_a", {.limit = "2", .after = "msg_a_i1"}).value();
  EXPECT_EQ(rest.at("data").as_array().size(), 1U);
  EXPECT_FALSE(rest.at("has_more").as_bool());
  EXPECT_EQ(list_input_items(store, "resp_a", {.order = "asc"}).value().at("first_id").as_string(),
            "msg_a_i0");
  EXPECT_TRUE(list_input_items(store, "resp_a", {.after = "msg_a_i0"}).value().at("first_id").is_null());
  EXPECT_EQ(list_input_items(store, "resp_a", {.limit = "0"}).error().param, "limit");
  EXPECT_EQ(list_input_items(store, "resp_a", {.limit = "5x"}).error().param, "limit");
  EXPECT_EQ(list_input_items(store, "resp_a", {.order = "up"}).error().param, "order");
  EXPECT_EQ(list_input_items(store, "resp_a", {.after = "\xFF"}).error().param, "after");
  EXPECT_EQ(list_input_items(store, "resp_b", {}).error().status, 404);
}

}  // namespace
}  // namespace gossamer
