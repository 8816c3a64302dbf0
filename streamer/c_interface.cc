#include "streamer/c_interface.h"

#include <cstring>

namespace skein::c_interface {
namespace {

int status_of(std::errc code) {
  switch (code) {
    case std::errc::invalid_argument:
    case std::errc::filename_too_long:
    case std::errc::bad_message:
    case std::errc::operation_not_permitted: return SKEIN_WRONG;
    case std::errc::file_exists: return SKEIN_EXISTS;
    case std::errc::no_buffer_space: return SKEIN_FULL;
    case std::errc::host_unreachable: return SKEIN_NO_NODE;
    case std::errc::timed_out: return SKEIN_TIMED_OUT;
    default: return SKEIN_FAILED;
  }
}

}  // namespace

std::string& error_text() {
  thread_local std::string text;
  return text;
}

int say(const Error& error) {
  error_text() = error.what;
  return status_of(error.code);
}

void fill(skein_counters& counters, const FileStreamer::Counters& now) {
  counters = {.struct_bytes = sizeof counters,
              .accepted_frames = now.accepted_files,
              .stored_frames = now.stored_files,
              .failed_frames = now.failed_files,
              .coding_frames = 0,
              .queued_bytes = now.queued_bytes,
              .sent_bytes = now.sent_bytes,
              .offered_again_files = now.offered_again_files,
              .headroom_s = now.headroom_s,
              .spilled_files = now.spilled_files,
              .spilled_bytes = now.spilled_bytes,
              .slowest_node = {}};
  std::strncpy(counters.slowest_node, now.slowest_node.c_str(), sizeof counters.slowest_node - 1);
}

}  // namespace skein::c_interface
