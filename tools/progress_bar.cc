#include "tools/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "tools/printable.h"

namespace skein {
namespace {

constexpr std::chrono::milliseconds kQuietStart{500};
constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::size_t kLeastNameColumns = 8;

std::string clock_text(std::uint64_t seconds) {
  const auto two_digits = [](std::uint64_t number) {
    return (number < 10 ? "0" : "") + std::to_string(number);
  };
  const std::string last = two_digits(seconds % 60);
  if (seconds < 3600) return std::to_string(seconds / 60) + ":" + last;
  return std::to_string(seconds / 3600) + ":" + two_digits(seconds / 60 % 60) + ":" + last;
}

// The last `columns` characters, never cut inside a UTF-8 sequence.
std::string tail_of(const std::string& text, std::size_t columns) {
  std::size_t at = text.size();
  for (std::size_t kept = 0; at > 0 && kept < columns; ++kept) {
    --at;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  }
  return text.substr(at);
}

void write_error(std::string_view text) {
  // A terminal that takes nothing is no reason to fail a transfer.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string progress_line(const Progress& progress, std::size_t columns) {
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(progress.elapsed.count(), 1));
  const double bytes_per_ms = static_cast<double>(progress.done_bytes) / static_cast<double>(ms);
  std::string facts;
  if (progress.total_bytes > 0) {
    // A file may have grown since it was counted.
    const std::uint64_t total = std::max(progress.total_bytes, progress.done_bytes);
    const double share = static_cast<double>(progress.done_bytes) / static_cast<double>(total);
    facts += "  " + std::to_string(static_cast<int>(share * 100)) + "%";
  }
  facts += "  " + human_size(progress.done_bytes);
  if (progress.total_bytes > 0) facts += " of " + human_size(progress.total_bytes);
  facts += "  " + human_size(static_cast<std::uint64_t>(bytes_per_ms * 1000)) + "/s";
  if (progress.total_bytes > progress.done_bytes && progress.done_bytes > 0) {
    const double left = static_cast<double>(progress.total_bytes - progress.done_bytes);
    facts += "  " + clock_text(static_cast<std::uint64_t>(left / bytes_per_ms / 1000)) + " left";
  }
  const std::size_t room = columns > facts.size() ? columns - facts.size() : 0;
  std::string line = tail_of(printable(progress.name), std::max(room, kLeastNameColumns)) + facts;
  return room >= kLeastNameColumns ? line : line.substr(0, columns);
}

ProgressBar::ProgressBar(bool wanted) : shown_(wanted && ::isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::begin_file(std::string name) {
  progress_.name = std::move(name);
  at(0);
}

void ProgressBar::at(std::uint64_t file_bytes) {
  if (!shown_) return;
  const TimePoint now = std::chrono::steady_clock::now();
  if (now - started_ < kQuietStart || now - last_ < kRedraw) return;
  last_ = now;
  show(file_bytes);
}

void ProgressBar::end_file(std::uint64_t file_bytes) { progress_.done_bytes += file_bytes; }

void ProgressBar::show(std::uint64_t file_bytes) {
  Progress now = progress_;
  now.done_bytes += file_bytes;
  now.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(last_ - started_);
  // One column stays free, where some terminals would begin a new line.
  write_error("\r" + progress_line(now, terminal_columns() - 1) + "\x1b[K");
  on_screen_ = true;
}

void ProgressBar::clear() {
  if (on_screen_) write_error("\r\x1b[K");
  on_screen_ = false;
}

}  // namespace skein
