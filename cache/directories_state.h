// What the parts of Directories share.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>

#include "cache/directories.h"

namespace skein {

struct Directories::Directory {
  // Of the last refresh that came through.
  std::optional<TimePoint> trusted_until;
  std::uint64_t epoch = 0;    // State::epoch when the nodes were asked
  std::uint64_t version = 0;  // ShareHeads::version of what was stored
  std::vector<Node> missing;

  bool in_full = false;         // distrusted: sealed files too
  std::uint64_t distrusts = 0;  // counts them, so that one during a refresh is not lost

  std::shared_ptr<Opening> refreshing;  // null: nobody asks
  std::uint64_t rounds = 0;             // refreshes done

  std::optional<bool> may_grow;
};

// A refresh under way, as those see it who wait for it.
class Directories::Opening {
 public:
  // Guarded by State::mutex.
  bool takes_long = false;
  std::string through;  // all names up to this one are stored
  bool over = false;
  std::optional<Error> failure;  // over
  std::vector<Node> missing;     // over
  std::uint64_t version = 0;     // over; 0 if something is missing
};

struct Directories::State {
  explicit State(TimePoint now) : begun(now) {}
  const TimePoint begun;

  std::mutex mutex;  // guards everything below, the Directory objects included
  std::condition_variable progress;  // of any Opening
  std::unordered_map<Inode, std::shared_ptr<Directory>> directories;
  NodeSnapshot members;
  std::set<std::string> seen_alive;  // node keys
  std::uint64_t epoch = 1;           // grows when all listings are to be asked for again
};

struct Directories::Trust {
  bool fresh = false;
  bool in_full = false;
  std::uint64_t rounds = 0;
  std::vector<Node> missing;
};

struct Directories::Awaited {
  bool over = true;
  std::vector<Node> missing;  // over
  std::string through;        // not over: the names so far
  std::shared_ptr<const Opening> opening;  // not over
};

}  // namespace skein
