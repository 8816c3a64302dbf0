// Streams whole files into the cluster at a camera's rate: put() copies and returns, connections
// with pipelined PUTs do the rest, every file is accounted for.
//
// A file goes to the node that the placement function names; if that node is gone, full or failing,
// to the other ones, least loaded first, each asked once. What no node takes is a failure that
// finish() names, and its bytes are written to the recovery folder: nothing accepted is dropped.
//
// Thread-safe. `membership` and `client` outlive it. on_done is called from its threads, without
// locks held, once per accepted file.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "client/node_client.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"
#include "discovery/membership.h"
#include "streamer/buffer_pool.h"
#include "streamer/node_stream.h"

namespace skein {

// Which of `nodes` (sorted by Node::key()) file number `index` (from 0) goes to: a number below
// nodes.size().
using PlaceFunction = std::function<std::size_t(std::uint64_t index, const NodeList& nodes)>;

// The placements PYME's writers use (docs/wire.md, "Series").
PlaceFunction place_round_robin();
PlaceFunction place_in_chunks(std::uint64_t files_per_chunk);

class FileStreamer {
 public:
  struct Done {
    const ClusterPath& path;
    const Node* node;    // where it is stored; null: failed
    const Error* error;  // null: stored
    std::chrono::nanoseconds latency;  // from put() to the answer
  };
  struct Options {
    std::uint64_t queue_bytes = 256 << 20;  // most bytes accepted and not answered
    PlaceFunction place = place_round_robin();
    NodeStream::Options node;
    std::filesystem::path recovery_folder;  // "" = failed bytes are not kept
    std::function<void(const Done&)> on_done;
  };
  struct Counters {
    std::uint64_t accepted_files = 0, accepted_bytes = 0;
    std::uint64_t stored_files = 0, stored_bytes = 0;
    std::uint64_t failed_files = 0;
    std::uint64_t offered_again_files = 0;  // after a broken connection, or to another node
    std::uint64_t queued_bytes = 0, queue_limit_bytes = 0;
  };
  struct Failure {
    ClusterPath path;
    Error error;
    std::filesystem::path kept_as;  // in the recovery folder; "" = not kept
  };

  FileStreamer(Membership& membership, NodeClient& client, Options options);
  ~FileStreamer();

  // Copies the bytes and returns. Errors: no_buffer_space (the queue was full until `deadline`),
  // host_unreachable (no node alive), invalid_argument (the root, or a private path); then nothing
  // was accepted.
  Result<void> put(const ClusterPath& path, std::span<const char> bytes, Deadline deadline);
  // The same for bytes that are made where they are sent from: `fill` gets the buffer, within the
  // call, and writes all of it.
  using Fill = std::function<void(std::span<char> buffer)>;
  Result<void> put(const ClusterPath& path, std::size_t size_bytes, const Fill& fill,
                   Deadline deadline);

  // Returns when every accepted file is stored or has failed, with the failures so far in the order
  // they happened. Errors: timed_out (files are still on their way; may be called again).
  Result<std::vector<Failure>> finish(Deadline deadline);

  Counters counters() const;

 private:
  std::shared_ptr<NodeStream> stream_to(const Node& node);
  bool place(const OutgoingPtr& file, const Node* preferred);
  void stored(const OutgoingPtr& file, const Node& node);
  void failed(const OutgoingPtr& file, const Error& why);
  std::filesystem::path keep_bytes(const OutgoingFile& file) const;

  Membership& membership_;
  NodeClient& client_;
  const Options options_;
  BufferPool buffers_;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable all_done_;
  std::uint64_t next_index_ = 0;
  std::uint64_t open_files_ = 0;
  Counters counters_;
  std::vector<Failure> failures_;
  std::map<std::string, std::shared_ptr<NodeStream>> streams_;  // by Node::key()
  std::vector<std::shared_ptr<NodeStream>> retired_;  // given up; they end with the streamer
};

}  // namespace skein
