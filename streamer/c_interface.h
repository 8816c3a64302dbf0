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

// A file counts as a frame.
void fill(skein_counters& counters, const FileStreamer::Counters& now);

}  // namespace skein::c_interface
