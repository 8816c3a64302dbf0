// Compares suspected files (lost_writes.h) with the checksums they were published with, and knows
// what came of it: whole or torn, for the life of the server.
//
// A thread of its own reads them in turns of kSliceBytes, so that a file of 100 GB keeps no small one
// waiting, and a reader has its answer within the deadline it gives: kUnknown if the file is larger
// than can be read by then. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "core/checksum.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/path.h"
#include "dataserver/beneath.h"

namespace skein {

class Verification {
 public:
  static constexpr std::uint64_t kSliceBytes = 32 * 1024 * 1024;
  // Files that wait, each with a descriptor.
  static constexpr std::size_t kMostWaiting = 1024;
  static constexpr std::size_t kMostRemembered = 1'000'000;

  // Called from the thread, without locks held, when the file at the path is found torn.
  using OnTorn = std::function<void(const ClusterPath&, const Found&)>;
  explicit Verification(OnTorn on_torn);
  // Ends within a slice.
  ~Verification();

  enum class Verdict { kUnknown, kWhole, kTorn };
  // What is known by now.
  Verdict known(const Found& found) const;
  // Somebody is told that the file is torn, by its checksum or for another reason. True: for the
  // first time, as far as is remembered.
  bool tell_torn(const Found& found);

  // Begins to read the file, if that has not begun; `fd` is borrowed for the call.
  void begin(int fd, const ClusterPath& path, const Found& found, std::uint64_t checksum);
  // The same, and waits. Errors: io_error (it cannot be read).
  Result<Verdict> verdict(int fd, const ClusterPath& path, const Found& found,
                          std::uint64_t checksum, Deadline deadline);

 private:
  // The number of a file and its time: mended by hand it is another one.
  using Identity = std::pair<std::uint64_t, std::int64_t>;
  static Identity identity_of(const Found& found) {
    return {found.inode ^ found.device << 40, found.mtime_ns};
  }
  struct Job {
    Identity identity;
    Fd fd;
    ClusterPath path;
    Found found;
    std::uint64_t checksum = 0;
    Checksum sum;
    std::uint64_t read_bytes = 0;
  };
  enum class State { kWaiting, kWhole, kTorn, kTold };  // kTold: torn, and told

  void run(std::stop_token stop);
  // True at the end of the file. Errors: as read(2).
  static Result<bool> read_slice(Job& job, std::span<char> block);
  void remember(const Identity& identity, State state);

  const OnTorn on_torn_;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable_any changed_;
  std::map<Identity, State> files_;
  std::deque<Job> jobs_;

  std::jthread thread_;
};

}  // namespace skein
