// Gives files to a streamer at a camera's pace and keeps account of each: accepted, acknowledged,
// lost. A camera does not wait: a frame that is not taken within the time that the camera's own
// buffer lasts is lost, and the next one is due.
//
// run() and conclude() are for the main thread, which shows the live line and prints JSON; acknowledged()
// is called by the streamer's threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/node.h"
#include "streamer/file_streamer.h"
#include "streamer/index_ranges.h"
#include "tools/command.h"
#include "tools/latency_histogram.h"

namespace skein {

struct RecordingOptions {
  std::string noun = "frames";  // or "files"
  double per_second = 0;        // 0: as fast as they are taken
  std::uint64_t count = 0;
  std::chrono::milliseconds camera_buffer{1000};
  bool json = false;  // one object for each file
};

class Recording {
 public:
  // Blocks SIGINT and SIGTERM in this thread and those it starts from now on: the first one ends the
  // recording in order, a second one the program.
  static void take_signals();

  Recording(const Surroundings& with, RecordingOptions options);
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  struct Progress {
    FileStreamer::Counters files;
    std::uint64_t encoding = 0;  // frames before the encoder
  };
  struct Parts {
    // Returns the bytes given; no_buffer_space and host_unreachable are tried again until it is late.
    std::function<Result<std::uint64_t>(std::uint64_t index, Deadline deadline)> submit;
    std::function<Progress()> progress;
    // timed_out: is called again.
    std::function<Result<void>(Deadline deadline)> finish;
  };
  // Errors: of finish(), and of submit() other than lack of room (the source is damaged, say).
  Result<void> run(const Parts& parts);

  // `node` null: not stored, and `error` says why.
  void acknowledged(std::uint64_t index, const Node* node, const Error* error,
                    std::chrono::nanoseconds latency);

  std::uint64_t lost() const { return options_.count - not_made_ - stored_; }
  // Says what became of it: lines for people, or a JSON object {"summary": ...}.
  void conclude(bool complete, const std::string& place);

 private:
  struct Answer {
    std::uint64_t index;
    std::string node_url;  // "" = failed
    std::string error;
    std::chrono::nanoseconds latency;
  };
  bool wait_until(TimePoint due, const Parts& parts);
  Result<void> give(std::uint64_t index, Deadline late, const Parts& parts);
  void take_answers();
  void refresh(const Parts& parts);
  void show(const Progress& progress);
  void clear_line();

  const Surroundings& with_;
  const RecordingOptions options_;
  const bool live_;  // the line is shown
  TimePoint started_{};
  TimePoint ended_{};
  TimePoint refreshed_{};
  bool on_screen_ = false;
  bool interrupted_ = false;
  std::uint64_t given_ = 0;
  std::uint64_t given_bytes_ = 0;
  std::uint64_t stored_ = 0;
  std::uint64_t not_made_ = 0;  // the recording was ended before
  IndexRanges lost_;            // refused, or failed
  LatencyHistogram latencies_;
  Progress last_;

  std::mutex mutex_;  // guards everything below
  std::deque<Answer> answers_;
};

}  // namespace skein
