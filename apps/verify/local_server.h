// LocalServer: a model behind our own server on 127.0.0.1, in this process, for as long as `gossamer verify`
// asks it. What it opens and serves is what `gossamer serve` would.
#pragma once

#include <memory>
#include <string>

namespace gossamer::apps {

struct ModelOptions;
struct ServingOptions;

class LocalServer {
 public:
  // Loads the model and returns when it answers; throws Error. Where the options say nothing about the length
  // of sequences, it is what the longest needle needs, if that fits.
  LocalServer(const ModelOptions& model, const ServingOptions& serving);
  ~LocalServer();

  // "http://127.0.0.1:40000"
  std::string url() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace gossamer::apps
