// Threads that a request may do without: the system may have none to give (EAGAIN: limits of the
// user, of the service, of a container), and a mount must not end for that.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

namespace skein {

// Not joinable if there was none.
template <typename Work>
std::jthread spare_thread(Work work) {
  try {
    return std::jthread(std::move(work));
  } catch (const std::system_error&) {
    return {};
  }
}

}  // namespace skein
