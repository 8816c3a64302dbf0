// One connected client, as the loop that gives threads to clients sees it (peer_loop.h).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "core/clock.h"
#include "dataserver/http_date.h"

namespace skein {

// What a thread lends to the peer it serves, so that waiting peers need no such memory.
class Workbench {
 public:
  static constexpr std::size_t kBlockBytes = 1 << 20;  // writes of this size measured fastest

  std::span<char> block() {
    if (!block_) block_ = std::make_unique_for_overwrite<char[]>(kBlockBytes);
    return {block_.get(), kBlockBytes};
  }
  DateLine date;

 private:
  std::unique_ptr<char[]> block_;
};

// What a peer waits for after its turn.
struct Turn {
  bool close = false;  // nothing: it is done
  bool again = false;  // another turn, after the others that wait for one
  bool input = true;
  bool output = false;
  std::optional<TimePoint> deadline = {};  // a turn at this time even if nothing else happens
  bool wake = false;  // a turn at the next PeerLoop::wake()
  bool idle = false;  // between requests: may be closed to make room for a new client
  TimePoint idle_since = {};
};

class Peer {
 public:
  virtual ~Peer() = default;
  virtual int fd() const = 0;
  // Does what can be done with at most a few milliseconds of waiting. One thread at a time.
  virtual Turn take_turn(Workbench& bench) = 0;
};

}  // namespace skein
