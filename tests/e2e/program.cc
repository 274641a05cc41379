#include "tests/e2e/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/error.h"

namespace gossamer::test {
namespace {

using FilePointer = std::unique_ptr<FILE, int (*)(FILE*)>;

FilePointer temporary_file() {
  FilePointer file(std::tmpfile(), &std::fclose);
  GOSSAMER_CHECK(file != nullptr);
  return file;
}

std::string contents(FILE* file) {
  std::string text;
  std::rewind(file);
  std::array<char, 65536> bytes;
  for (std::size_t count = 0; (count = std::fread(bytes.data(), 1, bytes.size(), file)) > 0;)
    text.append(bytes.data(), count);
  return text;
}

[[noreturn]] void execute(const std::filesystem::path& program, const Arguments& arguments) {
  std::vector<char*> pointers = {const_cast<char*>("gossamer")};
  for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  execv(program.c_str(), pointers.data());
  _exit(127);
}

}  // namespace

ProgramRun run_program(const Arguments& arguments, const std::string& input,
                       const std::filesystem::path& program) {
  const FilePointer in = temporary_file();
  const FilePointer out = temporary_file();
  const FilePointer err = temporary_file();
  std::fwrite(input.data(), 1, input.size(), in.get());
  std::fflush(in.get());
  std::rewind(in.get());
  const pid_t pid = fork();
  GOSSAMER_CHECK_GE(pid, 0);
  if (pid == 0) {
    dup2(fileno(in.get()), STDIN_FILENO);
    dup2(fileno(out.get()), STDOUT_FILENO);
    dup2(fileno(err.get()), STDERR_FILENO);
    alarm(120);
    execute(program, arguments);
  }
  int status = 0;
  rusage usage{};
  wait4(pid, &status, 0, &usage);
  ProgramRun run;
  run.peak_resident_bytes = static_cast<std::size_t>(usage.ru_maxrss) * 1024;
  if (WIFEXITED(status)) run.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) run.signal = WTERMSIG(status);
  run.out = contents(out.get());
  run.err = contents(err.get());
  return run;
}

json::object run_json(const Arguments& arguments) {
  const ProgramRun run = run_program(arguments);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  if (run.exit_code != 0) return {};
  return parse_json(run.out, "standard output").as_object();
}

BackgroundProgram::BackgroundProgram(const Arguments& arguments) {
  pid_ = fork();
  GOSSAMER_CHECK_GE(pid_, 0);
  if (pid_ == 0) {
    const int nowhere = open("/dev/null", O_RDWR);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nowhere, fd);
    alarm(280);  // less than ctest's limit for a test
    execute(GOSSAMER_PROGRAM, arguments);
  }
}

BackgroundProgram::~BackgroundProgram() { end_by(SIGKILL); }

bool BackgroundProgram::has_ended() {
  if (pid_ > 0 && waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
  return pid_ < 0;
}

int BackgroundProgram::end_by(int signal) {
  if (!has_ended()) {
    kill(pid_, signal);
    waitpid(pid_, &status_, 0);
    pid_ = -1;
  }
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
}

Terminal::Terminal(const Arguments& arguments) {
  winsize size{.ws_row = 40, .ws_col = 200, .ws_xpixel = 0, .ws_ypixel = 0};
  pid_ = forkpty(&fd_, nullptr, nullptr, &size);
  GOSSAMER_CHECK_GE(pid_, 0);
  if (pid_ == 0) execute(GOSSAMER_PROGRAM, arguments);
}

Terminal::~Terminal() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(fd_);
}

void Terminal::type(const std::string& text) const {
  GOSSAMER_CHECK_EQ(write(fd_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

bool Terminal::read_more() {
  std::array<char, 4096> bytes;
  const ssize_t count = read(fd_, bytes.data(), bytes.size());
  if (count <= 0) return false;  // the other end is closed
  screen_.append(bytes.data(), static_cast<std::size_t>(count));
  return true;
}

bool Terminal::wait_for(const std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (;;) {
    const std::size_t at = screen_.find(text, seen_);
    if (at != std::string::npos) {
      seen_ = at + text.size();
      return true;
    }
    pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
    if (std::chrono::steady_clock::now() > deadline) return false;
    if (poll(&waiting, 1, 1000) > 0 && !read_more()) return false;
  }
}

int Terminal::exit_code() {
  int status = 0;
  pid_t ended = 0;
  for (int tenths = 0; tenths < 300 && ended == 0; ++tenths) {
    pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, 100) > 0 && !read_more()) usleep(100'000);  // closed, but not yet gone
    ended = waitpid(pid_, &status, WNOHANG);
  }
  if (ended == 0) {  // the destructor kills it
    ADD_FAILURE() << "it did not end:\n" << screen_;
    return -1;
  }
  pid_ = -1;
  EXPECT_FALSE(WIFSIGNALED(status)) << "signal " << WTERMSIG(status) << "\n" << screen_;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(GOSSAMER_SOURCE_DIR) / "tests/fixtures" / name;
}

std::filesystem::path demo_model() { return std::filesystem::path(GOSSAMER_SOURCE_DIR) / "models/demo"; }

}  // namespace gossamer::test
