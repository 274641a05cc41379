// DemoServer: `gossamer serve demo` as a process of its own, ready when the constructor is done. For tests of
// the server and of its clients.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/e2e/program.h"

namespace gossamer::test {

class DemoServer {
 public:
  explicit DemoServer(const Arguments& options = {}) {
    std::string name = (std::filesystem::temp_directory_path() / "gossamer_server_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error(name + ": cannot make the folder");
    folder_ = name;
    Arguments arguments = {"serve",           "demo", "--port",     "0",
                           "--max-model-len", "2048", "--log-file", log_path()};
    arguments.insert(arguments.end(), options.begin(), options.end());
    program_ = std::make_unique<BackgroundProgram>(arguments);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (log().find("ready") == std::string::npos) {
      if (std::chrono::steady_clock::now() > deadline || program_->has_ended()) {
        ADD_FAILURE() << "the server did not start: " << log();
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const std::string text = log();
    const std::size_t begin = text.find("http://");
    url_ = text.substr(begin, text.find('\n', begin) - begin);
  }

  ~DemoServer() { std::filesystem::remove_all(folder_); }
  DemoServer(const DemoServer&) = delete;
  DemoServer& operator=(const DemoServer&) = delete;

  const std::string& url() const { return url_; }
  BackgroundProgram& program() { return *program_; }
  std::string log() const {
    std::ifstream file(log_path());
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

 private:
  std::string log_path() const { return folder_ / "log"; }

  std::filesystem::path folder_;  // not TestFolder, which is one test's: a server may serve several
  std::unique_ptr<BackgroundProgram> program_;
  std::string url_ = "http://127.0.0.1:1";  // nobody's
};

}  // namespace gossamer::test
