#include "apps/terminal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/system_memory.h"
#include "base/utf8.h"

namespace gossamer::apps {
namespace {

constexpr const char* kDim = "\033[2m";
constexpr const char* kPlain = "\033[0m";

// A signal handler can reach nothing but globals.
volatile sig_atomic_t interrupted = 0;
volatile sig_atomic_t interrupt_pipe = -1;
void note_interrupt(int /*signal*/) {
  const int saved = errno;
  interrupted = 1;
  const char byte = 0;
  // A full pipe is as readable as one byte makes it.
  [[maybe_unused]] const ssize_t written = write(interrupt_pipe, &byte, 1);
  errno = saved;
}

// A model may write anything; a terminal must not take it for commands.
std::string without_controls(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) {
      utf8_append(0xFFFD, safe);
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

bool is_terminal(int fd) { return isatty(fd) == 1; }

ProgressLine::ProgressLine(std::string what, Unit unit)
    : what_(std::move(what)), unit_(unit), enabled_(is_terminal(STDERR_FILENO)) {}

ProgressLine::~ProgressLine() {
  if (!shown_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

void ProgressLine::show(std::size_t done, std::size_t total, const std::string& more) {
  const auto now = std::chrono::steady_clock::now();
  if (!enabled_ || total == 0 || (shown_ && now - last_ < std::chrono::milliseconds(100))) return;
  shown_ = true;
  last_ = now;
  fmt::print(stderr, "\r\033[K{}: {:.0f}%", what_,
             100.0 * static_cast<double>(done) / static_cast<double>(total));
  if (unit_ == kBytes) fmt::print(stderr, ", {} of {}", format_bytes(done), format_bytes(total));
  if (unit_ == kLines) fmt::print(stderr, ", {} of {} lines", done, total);
  if (!more.empty()) fmt::print(stderr, ", {}", more);
  const double seconds = std::chrono::duration<double>(now - start_).count();
  if (unit_ != kShare && done > 0 && seconds > 1.0) {  // before that it would be a guess
    fmt::print(stderr, ", {:.0f} s left",
               seconds * (static_cast<double>(total) / static_cast<double>(done) - 1.0));
  }
  std::fflush(stderr);
}

AnswerPrinter::AnswerPrinter(const Options& options)
    : options_(options), terminal_(is_terminal(STDOUT_FILENO)) {}

void AnswerPrinter::write(std::string_view text) {
  if (text.empty()) return;
  const std::string safe = terminal_ ? without_controls(text) : std::string(text);
  std::fwrite(safe.data(), 1, safe.size(), stdout);
  anything_ = true;
  at_line_start_ = text.back() == '\n';
}

void AnswerPrinter::print(const HarmonyDelta& delta) {
  if (delta.part == HarmonyPart::kReasoning && !options_.reasoning) {
    if (!options_.fold || std::exchange(folded_, true)) return;
    fmt::print("{}(thinking){}", terminal_ ? kDim : "", terminal_ ? kPlain : "");
    anything_ = true;
    at_line_start_ = false;
    std::fflush(stdout);
    return;
  }
  if (delta.message != message_) {
    if (std::exchange(dimmed_, false)) fmt::print("{}", kPlain);
    if (anything_) write(at_line_start_ ? "\n" : "\n\n");
    if (terminal_ && delta.part != HarmonyPart::kAnswer) {
      dimmed_ = true;
      fmt::print("{}", kDim);
    }
    if (delta.part == HarmonyPart::kToolCall) write(fmt::format("[call of {}] ", delta.header.recipient));
    message_ = delta.message;
  }
  write(delta.text);
  std::fflush(stdout);
}

void AnswerPrinter::finish() {
  if (std::exchange(dimmed_, false)) fmt::print("{}", kPlain);
  if (!at_line_start_ || !anything_) fmt::print("\n");
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw Error("cannot write to standard output: {}", std::strerror(errno));
  }
}

InterruptFlag::InterruptFlag(Signals signals) : signals_({SIGINT}) {
  if (signals == kAndTermination) signals_.insert(signals_.end(), {SIGTERM, SIGHUP});
  if (pipe2(pipe_.data(), O_NONBLOCK | O_CLOEXEC) != 0)
    throw Error("cannot make a pipe: {}", std::strerror(errno));
  interrupted = 0;
  interrupt_pipe = pipe_[1];
  struct sigaction action {};
  action.sa_handler = &note_interrupt;
  action.sa_flags = SA_RESTART;
  for (const int number : signals_) sigaction(number, &action, nullptr);
}

InterruptFlag::~InterruptFlag() {
  for (const int number : signals_) signal(number, SIG_DFL);
  close(pipe_[0]);
  close(pipe_[1]);
}

bool InterruptFlag::is_set() const { return interrupted != 0; }

void InterruptFlag::clear() {
  std::array<char, 64> bytes;
  while (read(pipe_[0], bytes.data(), bytes.size()) > 0) {
  }
  interrupted = 0;
}

LineReader::Status LineReader::read(std::string& line) {
  for (;;) {
    const std::size_t newline = buffer_.find('\n');
    if (newline != std::string::npos || (ended_ && !buffer_.empty())) {
      line = buffer_.substr(0, newline);
      buffer_.erase(0, newline == std::string::npos ? newline : newline + 1);
      return Status::kLine;
    }
    if (ended_) return Status::kEnd;
    std::array<pollfd, 2> waiting = {pollfd{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                                     pollfd{.fd = interrupt_.fd(), .events = POLLIN, .revents = 0}};
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return Status::kEnd;
    if (interrupt_.is_set()) return Status::kInterrupted;
    if (waiting[0].revents == 0) continue;
    std::array<char, 4096> bytes;
    const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (count > 0) {
      buffer_.append(bytes.data(), static_cast<std::size_t>(count));
    } else if (count == 0 || errno != EINTR) {
      ended_ = true;
    }
  }
}

}  // namespace gossamer::apps
