// What `gossamer bench serve` asks: its options, and the requests that they make.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "apps/bench/load_stream.h"
#include "apps/endpoint.h"
#include "base/json.h"
#include "http/http_client.h"

namespace gossamer::apps {

struct LoadOptions {
  EndpointOptions server;  // ::model empty: the first that it has
  std::string endpoint = "chat";

  std::string prompts;  // a file
  int64_t input_tokens = 128;
  int64_t num_prompts = 0;  // different ones, of random words; 0: as many as there are requests
  int64_t max_tokens = 128;
  std::optional<double> temperature;
  bool ignore_eos = false;
  std::string extra_body;  // a JSON object
  uint64_t seed = 0;

  int64_t num_requests = 0;  // 0: 100, or what `duration_seconds` allows
  double duration_seconds = 0.0;
  int64_t warmup = 1;
  std::vector<int64_t> concurrency;  // closed loop; with rates, how many may run at once
  std::vector<double> request_rates;

  double slo_ttft_ms = 0.0;  // 0: none
  double slo_tpot_ms = 0.0;
  double slo_e2e_ms = 0.0;

  double vanish = 0.0;  // shares of the requests
  double garbage = 0.0;
  bool check_repeat = false;

  std::string json;
  std::string html;
};

class LoadPlan {
 public:
  // Reads the prompts, and asks the server for its model and for the tokens of words. Throws Error.
  LoadPlan(const LoadOptions& options, HttpClient& client);

  struct Item {
    std::size_t prompt = 0;
    HttpCall call;
  };
  // The prompts in turn, for ever.
  Item next();

  LoadEndpoint endpoint() const { return endpoint_; }
  const std::string& model() const { return model_; }
  std::size_t num_prompts() const { return num_prompts_; }
  // "random words, 128 tokens by the server's count", and the like.
  const std::string& about_prompts() const { return about_; }
  // "http://127.0.0.1:8000/v1/chat/completions"
  std::string endpoint_url() const;
  // A POST to the endpoint with this body.
  HttpCall post(std::string body) const;

 private:
  struct Word {
    std::string text;  // behind a blank
    int64_t tokens = 1;
  };

  std::string path() const;  // of the endpoint
  void find_model(HttpClient& client);
  void read_prompts(const std::string& path);
  void read_conversations(const std::string& path, const json::array& conversations);
  void read_line(const std::string& where, const json::value& line);
  void count_words(HttpClient& client);
  std::string random_words(std::size_t prompt) const;
  // What goes into the request: {"messages": ...} or {"prompt": ...}.
  json::object prompt_fields(std::size_t prompt) const;

  LoadOptions options_;
  LoadEndpoint endpoint_ = LoadEndpoint::kChat;
  Endpoint server_;
  std::string model_;
  json::object extra_;
  std::vector<json::value> prompts_;  // strings and lists of messages; none: random words
  std::vector<Word> words_;
  std::size_t num_prompts_ = 0;
  std::size_t next_ = 0;
  std::string about_;
};

}  // namespace gossamer::apps
