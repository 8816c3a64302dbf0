// What the files of the C interface share: handles, and how an error leaves them. No part of what is
// installed; include it in skein_*.cc alone.
#pragma once

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <string>

#include "client/node_client.h"
#include "core/clock.h"
#include "core/error.h"
#include "discovery/membership.h"
#include "streamer/file_streamer.h"
#include "streamer/skein_stream.h"

// Opaque to callers.
struct skein_cluster {
  std::unique_ptr<skein::Membership> membership;
  skein::NodeClient client{std::chrono::milliseconds(5000)};
};

namespace skein::c_interface {

// The one state outside handles: each thread's last error, as errno is.
std::string& error_text();

// Keeps the sentence and returns the status.
int say(const Error& error);
inline int wrong(const char* why) { return say({std::errc::invalid_argument, why}); }

// Nothing passes the C interface: memory may run out, threads may not start.
template <typename Call>
int guarded(const Call& call) {
  try {
    return call();
  } catch (const std::exception& thrown) {
    error_text() = thrown.what();
    return SKEIN_FAILED;
  }
}

inline Deadline deadline_of(int wait_ms) {
  return Deadline::after(std::chrono::milliseconds(std::max(0, wait_ms)));
}

// Calls `release` when its last copy is gone, also if there is no memory to make it.
inline std::shared_ptr<const void> owner_of(skein_release_function release, void* context) {
  if (release == nullptr) return nullptr;
  return {context, release};
}

// What options of files and of series have in common.
template <typename Options>
Result<FileStreamer::Options> stream_options_of(const Options& from, std::uint64_t files_per_chunk) {
  const auto refuse = [](const char* why) { return Error{std::errc::invalid_argument, why}; };
  if (from.queue_bytes == 0) return refuse("options: queue_bytes is 0");
  const bool has_folder = from.recovery_folder != nullptr && *from.recovery_folder != '\0';
  if (from.spill != 0 && !has_folder) {
    return refuse("options: to spill, a recovery folder is needed");
  }
  FileStreamer::Options options;
  options.queue_bytes = from.queue_bytes;
  options.place = place_in_chunks(files_per_chunk);
  if (from.spill != 0) options.overload = FileStreamer::Overload::kSpill;
  options.spill_bytes = from.spill_bytes;
  if (has_folder) options.recovery_folder = from.recovery_folder;
  return options;
}

// A file counts as a frame.
void fill(skein_counters& counters, const FileStreamer::Counters& now);

}  // namespace skein::c_interface
