// A line on standard error that says how far a transfer is: bytes, rate, time left. Only on a
// terminal, only for what takes longer than half a second, at most ten times a second. One thread
// at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/clock.h"

namespace skein {

struct Progress {
  std::string name;                // of the file under way
  std::uint64_t done_bytes = 0;    // of all files
  std::uint64_t total_bytes = 0;   // of all files; 0 = unknown
  std::chrono::milliseconds elapsed{0};
};

// One line of at most `columns` characters, without line end:
// "frame00042.pzf  37%  1.2G of 3.4G  310M/s  0:07 left". Pure.
std::string progress_line(const Progress& progress, std::size_t columns);

// Of standard error; 80 where it does not tell.
std::size_t terminal_columns();

class ProgressBar {
 public:
  // Shows nothing unless `wanted` and standard error is a terminal.
  explicit ProgressBar(bool wanted);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void expect(std::uint64_t total_bytes) { progress_.total_bytes = total_bytes; }
  void begin_file(std::string name);
  // `file_bytes`: done of the file under way.
  void at(std::uint64_t file_bytes);
  void end_file(std::uint64_t file_bytes);

  // Takes the line away, for a message; the next at() brings it back.
  void clear();

 private:
  void show(std::uint64_t file_bytes);

  const bool shown_;
  const TimePoint started_ = std::chrono::steady_clock::now();
  TimePoint last_ = started_;
  Progress progress_;
  bool on_screen_ = false;
};

}  // namespace skein
