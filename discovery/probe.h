// Asks one address whether a node lives there: GET /__status on a connection of its own, so that
// the answer also proves that the node still accepts connections. Thread-safe.
#pragma once

#include <chrono>
#include <mutex>
#include <set>

#include "core/clock.h"
#include "core/error.h"
#include "core/node.h"
#include "discovery/status_json.h"

namespace skein {

// PYME's status lists every core and network interface; the largest seen has 9 KiB.
inline constexpr std::size_t kMaxStatusBytes = 256 * 1024;

class Prober {
 public:
  // `timeout` is for a whole probe. Looking up a host name is bounded by the resolver instead;
  // numeric hosts need none.
  explicit Prober(std::chrono::milliseconds timeout) : timeout_(timeout) {}

  // Errors: connection_refused, timed_out, host_unreachable, others of connecting; bad_message and
  // message_size (no 200 with a JSON object); operation_canceled after stop().
  Result<ProbedStatus> probe(const NodeAddress& address);

  // Probes under way end at once, later ones do not begin.
  void stop();

 private:
  class Cancelable;

  const std::chrono::milliseconds timeout_;

  std::mutex mutex_;  // guards everything below
  bool stopped_ = false;
  std::set<int> sockets_;  // of probes under way
};

}  // namespace skein
