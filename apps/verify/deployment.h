// Deployment: what `gossamer verify` judges, as its checks see it: an OpenAI-compatible server, asked over
// HTTP. A model folder is served by this very process (local_server.h) and asked in the same way; checks that
// need the process see in local() that they are at home.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "http/http_message.h"

namespace gossamer {
class HttpClient;
struct HttpCall;
}  // namespace gossamer

namespace gossamer::apps {

class Endpoint;
class Subject;
struct ModelOptions;
struct SubjectOptions;

// One answer, whatever it was.
struct Reply {
  int status = 0;  // 0: none came; `failure` says why
  std::string failure = {};
  HttpHeaders headers = {};
  std::string body = {};
  json::value json = {};  // of `body`; null where it is none

  bool ok() const { return status == 200; }
  // No such path or method here: it is not offered.
  bool is_missing() const { return status == 404 || status == 405 || status == 501; }
  std::string describe() const;  // "status 400: the message"
};

struct StreamReply {
  int status = 0;
  std::string failure = {};
  std::vector<json::value> events = {};  // those that are JSON
  bool is_done = false;                  // [DONE] came, and nothing behind it
  std::string first_body = {};           // of an answer that is no stream
  std::string describe() const;
};

// What stands at a JSON pointer ("/choices/0/text"): nothing where it is missing or of another type.
const json::value* find(const json::value& value, std::string_view pointer);
std::optional<std::string> text_at(const json::value& value, std::string_view pointer);
std::optional<int64_t> integer_at(const json::value& value, std::string_view pointer);
std::optional<double> number_at(const json::value& value, std::string_view pointer);
const json::array* array_at(const json::value& value, std::string_view pointer);
std::vector<int32_t> ids_at(const json::value& value, std::string_view pointer);

// "messages" with this from the user alone.
json::array conversation(std::string_view text);

// The beginning of a text that is shown to people, on one line.
std::string shown(std::string_view text);

struct DeploymentOptions {
  const SubjectOptions* subject = nullptr;  // as the command line has them
  std::string url;
  const ModelOptions* local = nullptr;  // of a model that this process serves
  std::string golden;                   // a golden file; empty: there is none
  int64_t needle_tokens = 0;            // in how many the model can find a needle; 0: in all that it takes
  std::chrono::steady_clock::time_point end;
};

class Deployment {
 public:
  // Asks what is served. Throws Error when nobody answers. What `options` point to outlives this.
  explicit Deployment(const DeploymentOptions& options);
  ~Deployment();

  // {"model": NAME} to begin a request with.
  json::object request() const { return {{"model", model_}}; }
  const std::string& model() const { return model_; }
  int64_t max_model_len() const { return max_model_len_; }  // 0: not told
  // This program answers there, so that everything that it promises holds, exactly.
  bool is_ours() const { return is_ours_; }
  bool has_chat() const { return has_chat_; }
  bool is_harmony() const { return is_harmony_; }  // GPT-OSS's chat form
  bool has_tokenize() const { return has_tokenize_; }

  Reply get(std::string_view path);
  Reply post(std::string_view path, const json::object& body, const HttpHeaders& headers = {});
  // A body that need not be JSON.
  Reply post_text(std::string_view path, std::string body);
  // All at once; answers in the order of the bodies.
  std::vector<Reply> post_all(std::string_view path, const std::vector<json::object>& bodies);
  StreamReply stream(std::string_view path, json::object body);
  // Goes away after the first event of a stream; false where none came.
  bool begin_and_leave(std::string_view path, json::object body);

  // By /tokenize and /detokenize; skip() where they are not offered.
  std::vector<int32_t> encode(std::string_view text);
  std::string decode(const std::vector<int32_t>& ids);

  // The same over the interface that evaluations use. Throws Error when it cannot be opened.
  Subject& subject();

  // Null: the deployment is somewhere else.
  const ModelOptions* local() const { return options_.local; }
  const std::string& golden() const { return options_.golden; }
  int64_t needle_tokens() const { return options_.needle_tokens; }
  double seconds_left() const;

 private:
  HttpCall call(std::string_view path, std::string_view method, std::string body) const;
  Reply ask(HttpCall call);
  void find_model();
  void find_features();

  DeploymentOptions options_;
  std::unique_ptr<Endpoint> endpoint_;
  std::unique_ptr<HttpClient> client_;
  std::unique_ptr<Subject> subject_;
  std::string model_;
  int64_t max_model_len_ = 0;
  bool is_ours_ = false;
  bool has_chat_ = false;
  bool is_harmony_ = false;
  bool has_tokenize_ = false;
};

}  // namespace gossamer::apps
