// A sealed file open for reading: a descriptor where a node of this host has it, else HTTP from the
// nearest copy, with read-ahead for who reads in sequence, and the next copy at the same byte when
// one fails. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "client/download.h"
#include "client/lane_client.h"
#include "client/node_client.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/path.h"
#include "discovery/membership.h"
#include "fuse/read_ahead.h"

namespace skein {

class SealedFile {
 public:
  // Streams at one time over all files: each holds a thread, a connection and up to 13 MiB. Beyond
  // it readers are served piece by piece.
  static constexpr int kMaxStreams = 24;

  struct Sources {
    LaneClient* lanes;       // null: no bypass
    NodeClient& client;      // for the bytes
    Downloader& finder;      // for finding copies: its patience is shorter
    Downloader& downloader;
    Membership& membership;
    std::chrono::milliseconds deadline;  // of one read
    std::atomic<int>& streams;           // running now
    std::shared_ptr<ChunkMemory> memory;
  };
  // Errors: no_such_file_or_directory, is_a_directory, host_unreachable, as LaneClient::open().
  static Result<std::unique_ptr<SealedFile>> open(const Sources& sources, const ClusterPath& path);
  ~SealedFile();

  std::uint64_t size_bytes() const { return size_bytes_; }
  // Readable at any offset without asking anybody; -1 if the file is remote.
  int local_fd() const { return local_.get(); }

  // A remote file's bytes; fewer than `size` only at its end. Errors: timed_out, host_unreachable,
  // io_error; after every copy was tried.
  Result<Slices> read(std::uint64_t offset, std::size_t size);

 private:
  SealedFile(const Sources& sources, ClusterPath path);
  Result<bool> open_local();
  Result<void> fetch(std::uint64_t offset, NodeClient::Receiver& to);
  Result<Slices> read_directly(std::uint64_t offset, std::size_t size);
  void start_stream(std::uint64_t offset);

  const Sources sources_;
  const ClusterPath path_;
  std::uint64_t size_bytes_ = 0;
  Fd local_;
  Located copies_;

  std::mutex mutex_;  // guards the detector and who starts the stream; not held while reading
  SequenceDetector detector_;
  int misses_ = 0;  // requests in sequence that the running stream does not cover
  bool starting_ = false;
  bool counted_ = false;  // in sources_.streams

  std::unique_ptr<ReadAhead> ahead_;  // null for a local file
};

}  // namespace skein
