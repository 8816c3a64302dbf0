#include "tools/recording.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tools/grouped.h"
#include "tools/json_line.h"
#include "tools/printable.h"
#include "tools/progress_bar.h"

namespace skein {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

// How often the live line is written, and JSON lines leave.
constexpr milliseconds kRefresh{100};
// Without a pace there is no camera to lose frames; so long a queue may stay full before one is lost.
constexpr std::chrono::seconds kPatience{60};
// The end is waited for while answers come; without any for so long it is not coming.
constexpr std::chrono::seconds kMostSilence{60};

sigset_t end_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

std::string milliseconds_text(nanoseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f ms", static_cast<double>(time.count()) / 1e6);
  return text;
}

std::string decimal(double number, const char* unit) {
  char text[48];
  std::snprintf(text, sizeof text, "%.1f %s", number, unit);
  return text;
}

// Of the queue, and the spill folder: how long they last at this rate.
std::string headroom_text(double seconds) {
  constexpr double kMostShown = 999;
  return seconds > kMostShown ? ">999 s" : decimal(seconds, "s");
}

// Never within a UTF-8 sequence: the name of a node may have one.
std::string cut_to(const std::string& line, std::size_t columns) {
  std::size_t at = 0;
  for (std::size_t shown = 0; at < line.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(line[at]) & 0xc0) != 0x80;
    if (begins && ++shown > columns) break;
  }
  return line.substr(0, at);
}

std::int64_t microseconds(nanoseconds time) { return time.count() / 1000; }

}  // namespace

void Recording::take_signals() {
  const sigset_t signals = end_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

Recording::Recording(const Surroundings& with, RecordingOptions options)
    : with_(with),
      options_(std::move(options)),
      live_(!with.flags.quiet && ::isatty(STDERR_FILENO) == 1) {
  with_.messages.before_line([this] { clear_line(); });
}

Recording::~Recording() { with_.messages.before_line({}); }

void Recording::acknowledged(std::uint64_t index, const Node* node, const Error* error,
                             nanoseconds latency) {
  const std::lock_guard lock(mutex_);
  answers_.push_back({index, node == nullptr ? "" : node->url(),
                      error == nullptr ? "" : error->what, latency});
}

// False when the recording is to end. A signal that ends it is taken here, so it wakes the wait.
bool Recording::wait_until(TimePoint due, const Parts& parts) {
  const sigset_t signals = end_signals();
  for (;;) {
    refresh(parts);
    const auto now = steady_clock::now();
    const auto wait = std::clamp<nanoseconds>(due - now, nanoseconds(0), kRefresh);
    const timespec timeout{.tv_sec = 0, .tv_nsec = static_cast<long>(wait.count())};
    if (::sigtimedwait(&signals, nullptr, &timeout) > 0) {
      ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
      interrupted_ = true;
      return false;
    }
    if (steady_clock::now() >= due) return true;
  }
}

// In short tries, so that the live line goes on.
Result<void> Recording::give(std::uint64_t index, Deadline late, const Parts& parts) {
  for (;;) {
    const auto given = parts.submit(index, late.earlier(Deadline::after(kRefresh)));
    refresh(parts);
    if (given) {
      ++given_;
      given_bytes_ += *given;
      return {};
    }
    const std::errc why = given.error().code;
    if (why != std::errc::no_buffer_space && why != std::errc::host_unreachable) {
      return given.error();
    }
    if (late.passed()) {
      lost_.insert(index);
      with_.messages.failure(given.error().what);
      return {};
    }
    // The queue was waited for; a node is not, and a signal may have come meanwhile.
    const auto pause = why == std::errc::host_unreachable ? kRefresh : milliseconds(0);
    if (!wait_until(late.earlier(Deadline::after(pause)).when(), parts)) return {};
  }
}

Result<void> Recording::run(const Parts& parts) {
  started_ = steady_clock::now();
  for (std::uint64_t index = 0; index < options_.count; ++index) {
    auto due = steady_clock::now();
    auto late = due + kPatience;
    if (options_.per_second > 0) {
      const double at_s = static_cast<double>(index) / options_.per_second;
      due = started_ + duration_cast<nanoseconds>(std::chrono::duration<double>(at_s));
      late = due + options_.camera_buffer;
    }
    if (!wait_until(due, parts)) {
      not_made_ = options_.count - index;
      break;
    }
    if (auto given = give(index, Deadline::at(late), parts); !given) return given;
    if (interrupted_) {  // while it waited for room: the frame was not taken
      not_made_ = options_.count - index;
      break;
    }
  }
  std::uint64_t answered = 0;
  for (auto last_news = steady_clock::now();;) {
    const auto finished = parts.finish(Deadline::after(kRefresh));
    refresh(parts);
    if (answered != stored_ + lost_.count()) last_news = steady_clock::now();
    answered = stored_ + lost_.count();
    const bool is_late = steady_clock::now() - last_news > kMostSilence;
    if (!finished && finished.error().code == std::errc::timed_out && !is_late) continue;
    ended_ = steady_clock::now();
    take_answers();
    clear_line();
    return finished;
  }
}

void Recording::take_answers() {
  std::deque<Answer> answers;
  {
    const std::lock_guard lock(mutex_);
    answers.swap(answers_);
  }
  for (const Answer& answer : answers) {
    const bool is_stored = !answer.node_url.empty();
    if (is_stored) {
      ++stored_;
      latencies_.add(answer.latency);
    } else {
      lost_.insert(answer.index);
      with_.messages.failure(answer.error);
    }
    if (!options_.json) continue;
    JsonLine line;
    line.number("index", static_cast<std::int64_t>(answer.index)).truth("ok", is_stored);
    if (is_stored) {
      line.number("latency_us", microseconds(answer.latency)).text("node", answer.node_url);
    } else {
      line.text("error", answer.error);
    }
    with_.out.line(line.str());
  }
}

void Recording::refresh(const Parts& parts) {
  const auto now = steady_clock::now();
  if (now - refreshed_ < kRefresh) return;
  refreshed_ = now;
  take_answers();
  // What was acknowledged is known to whoever reads along, should this program be killed.
  if (options_.json) (void)with_.out.flush();
  if (live_) show(parts.progress());
}

void Recording::show(const Progress& progress) {
  const double elapsed_s =
      std::chrono::duration<double>(steady_clock::now() - started_).count();
  const auto rate = elapsed_s > 0 ? static_cast<double>(given_bytes_) / elapsed_s / 1e6 : 0;
  // What matters most stands first: a narrow terminal shows the beginning.
  std::string line = grouped(given_) + " of " + grouped(options_.count) + " " + options_.noun +
                     "  stored " + grouped(stored_) + "  lost " + grouped(lost_.count()) +
                     "  headroom " + headroom_text(progress.files.headroom_s) + "  " +
                     decimal(rate, "MB/s") + "  queued " + human_size(progress.files.queued_bytes);
  if (progress.encoding > 0) line += "  coding " + std::to_string(progress.encoding);
  if (progress.files.spilled_files > 0) {
    line += "  spilled " + human_size(progress.files.spilled_bytes);
  }
  if (!progress.files.slowest_node.empty()) {
    line += "  slowest " + printable(progress.files.slowest_node);
  }
  if (progress.files.offered_again_files > 0) {
    line += "  again " + grouped(progress.files.offered_again_files);
  }
  // One column stays free, where some terminals would begin a new line.
  std::fprintf(stderr, "\r%s\x1b[K", cut_to(line, terminal_columns() - 1).c_str());
  on_screen_ = true;
}

void Recording::clear_line() {
  if (!on_screen_) return;
  std::fputs("\r\x1b[K", stderr);
  on_screen_ = false;
}

void Recording::conclude(bool complete, const std::string& place) {
  const double elapsed_s = std::max(1e-9, std::chrono::duration<double>(ended_ - started_).count());
  const double files_per_s = static_cast<double>(stored_) / elapsed_s;
  const double mb_per_s = static_cast<double>(given_bytes_) / elapsed_s / 1e6;
  const auto p50 = latencies_.percentile(0.5);
  const auto p99 = latencies_.percentile(0.99);
  if (options_.json) {
    with_.out.line(
        JsonLine()
            .json("summary",
                  JsonLine()
                      .text("path", place)
                      .truth("complete", complete)
                      .number("stored", static_cast<std::int64_t>(stored_))
                      .number("lost", static_cast<std::int64_t>(lost()))
                      .number("not_made", static_cast<std::int64_t>(not_made_))
                      .number("bytes", static_cast<std::int64_t>(given_bytes_))
                      .number("elapsed_ms", std::lround(elapsed_s * 1000))
                      .number("p50_us", microseconds(p50))
                      .number("p99_us", microseconds(p99))
                      .number("max_us", microseconds(latencies_.most()))
                      .str())
            .str());
    return;
  }
  std::string text = printable(place) + ": " + grouped(stored_) + " of " +
                     grouped(options_.count - not_made_) + " " + options_.noun + " stored, " +
                     grouped(lost()) + " lost";
  with_.out.line(text + "; " + decimal(elapsed_s, "s") + ", " + decimal(files_per_s, "/s") + ", " +
                 decimal(mb_per_s, "MB/s"));
  with_.out.line("from submit to acknowledgement: p50 " + milliseconds_text(p50) + ", p99 " +
                 milliseconds_text(p99) + ", most " + milliseconds_text(latencies_.most()));
  if (interrupted_) with_.out.line("ended by a signal, " + grouped(not_made_) + " not made");
}

}  // namespace skein
