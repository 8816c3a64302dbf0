// Streams whole files into the cluster at a camera's rate: put() copies, or takes over, the bytes
// and returns, connections with pipelined PUTs do the rest, every file is accounted for.
//
// A file goes to the node that the placement function names; if that node is gone, full or failing,
// to the other ones, least loaded first, each asked once. So does a file whose node has half of the
// queue already: one slow node must not stop the stream. While an outage leaves no node to go to,
// files wait (Options::patience). What no node takes is a failure: its bytes are written to the
// recovery folder (kept_files.h), and finish() names it. So are files that are still on their way
// when the streamer ends: nothing accepted is dropped.
//
// With each file goes its checksum (docs/wire.md, "Checksums"): a Skein node publishes only what
// arrived as it was put.
//
// Thread-safe. `membership` and `client` outlive it. on_done is called from its threads, without
// locks held, once per accepted file; it may call put() only if that cannot wait (kRefuse).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "client/node_client.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"
#include "discovery/membership.h"
#include "streamer/backlog.h"
#include "streamer/buffer_pool.h"
#include "streamer/given_bytes.h"
#include "streamer/kept_files.h"
#include "streamer/node_stream.h"
#include "streamer/placing.h"
#include "streamer/rate_meter.h"
#include "streamer/ticket_window.h"

namespace skein {

class FileStreamer {
 public:
  // Stands for one accepted file: its number, from 0, in the order of acceptance.
  using Ticket = std::uint64_t;

  // What put() does when the queue is full.
  enum class Overload {
    kRefuse,  // returns no_buffer_space at once
    kWait,    // waits for room until its deadline
    kSpill,   // the same, while files go from the queue to the local disk, to be sent later
  };
  struct Done {
    const ClusterPath& path;
    const Node* node;    // where it is stored; null: failed
    const Error* error;  // null: stored
    std::chrono::nanoseconds latency;  // from put() to the answer
    Ticket ticket;
    std::uint64_t size_bytes;
  };
  struct Options {
    std::uint64_t queue_bytes = 256 << 20;  // most bytes accepted and not answered
    Overload overload = Overload::kWait;
    PlaceFunction place = place_round_robin();
    NodeStream::Options node;
    std::chrono::milliseconds patience{30000};  // of a file that no node takes during an outage
    // Where failed and spilled files lie. "" = nothing is spilled, and the bytes of what fails are
    // gone: finish() names each file and why.
    std::filesystem::path recovery_folder;
    std::uint64_t spill_bytes = std::uint64_t{16} << 30;  // most bytes spilled at one time
    bool checksums = true;
    std::function<void(const Done&)> on_done;
  };
  struct Counters {
    std::uint64_t accepted_files = 0, accepted_bytes = 0;
    std::uint64_t refused_files = 0;  // by put(), for lack of room
    // Not answered yet: queued_bytes in memory, spilled ones on the disk; queued_files are both.
    std::uint64_t queued_files = 0, queued_bytes = 0, queue_limit_bytes = 0;
    std::uint64_t spilled_files = 0, spilled_bytes = 0, spill_limit_bytes = 0;
    std::uint64_t spilled_in_all_files = 0;
    std::uint64_t sent_files = 0, sent_bytes = 0;  // handed to a socket, repeats included
    std::uint64_t stored_files = 0, stored_bytes = 0;  // acknowledged by a node
    std::uint64_t failed_files = 0;
    std::uint64_t offered_again_files = 0;  // after a broken connection, or to another node
    double accepted_bytes_per_s = 0, stored_bytes_per_s = 0;  // over the last two seconds
    // Until queue, and spill folder, are full if both rates stay; infinity: they are not filling.
    double headroom_s = 0;
    std::string slowest_node;  // the label of the one with most bytes queued; "" if none has any
  };
  struct Failure {
    ClusterPath path;
    Error error;
    std::filesystem::path kept_as;  // in the recovery folder; "" = not kept
    Ticket ticket = 0;
  };

  FileStreamer(Membership& membership, NodeClient& client, Options options);
  // As abandon() does; logs how many files that were, and where they are.
  ~FileStreamer();

  // Copies the bytes and returns. `key`: see placing.h. Errors: no_buffer_space (the queue was full
  // until `deadline`), host_unreachable (no node has been alive yet), invalid_argument (the root, or a private
  // path), operation_canceled (after abandon()); then nothing was accepted.
  Result<Ticket> put(const ClusterPath& path, std::span<const char> bytes, Deadline deadline,
                     std::string_view key = {});
  // The same for a file that lies in pieces.
  using Pieces = std::span<const std::span<const char>>;
  Result<Ticket> put_pieces(const ClusterPath& path, Pieces pieces, Deadline deadline,
                            std::string_view key = {});
  // The same without a copy: `head`, which is copied and should be small, then the bytes given. They
  // are let go of (given_bytes.h) before put_given() returns if they are refused, else once they are
  // stored, spilled or kept, or have failed: not before a connection is through with them, so some
  // time after on_done, but by the end of finish(), or of the streamer.
  Result<Ticket> put_given(const ClusterPath& path, std::span<const char> head, GivenBytes given,
                           Deadline deadline, std::string_view key = {});
  // The same for bytes that are made where they are sent from: `fill` gets the buffer, within the
  // call, and writes all of it.
  using Fill = std::function<void(std::span<char> buffer)>;
  Result<Ticket> put(const ClusterPath& path, std::size_t size_bytes, const Fill& fill,
                     Deadline deadline, std::string_view key = {});

  // Waits for the outcome of one file: stored, or its failure. Errors: the file's own; timed_out
  // (it is still on its way); invalid_argument (no such ticket).
  Result<void> wait(Ticket ticket, Deadline deadline);

  // Returns when every file accepted before the call is stored or has failed.
  // Errors: timed_out (files are still on their way; may be called again).
  Result<void> flush(Deadline deadline);

  // Returns when every accepted file is stored or has failed, and all given bytes are let go of, with
  // the failures so far in the order they happened. Errors: timed_out (files are still on their way,
  // or being sent to a node that has answered; may be called again).
  Result<std::vector<Failure>> finish(Deadline deadline);

  // Gives up what is still on its way: it is kept in the recovery folder and becomes a failure
  // (operation_canceled). Some of it may have been stored, unknown to us. Returns all failures, in
  // bounded time; later put()s are refused.
  std::vector<Failure> abandon();

  // Takes over what ended programs left in the recovery folder, to be sent like spilled files: each
  // becomes an accepted file, and its copy there goes once a node has it. One that a node has
  // already, with the same bytes, is stored. Returns how many.
  // Errors: of reading the folder; operation_canceled (after abandon()).
  Result<std::uint64_t> send_left_behind();

  Counters counters() const;

 private:
  // The streams to the nodes of one snapshot, in its order; none after abandon().
  struct Routes {
    NodeSnapshot nodes;
    std::vector<std::shared_ptr<NodeStream>> streams;
  };
  // Room for a file, as put().
  Result<BufferPool::Lent> make_room(const ClusterPath& path, std::size_t size_bytes,
                                     GivenBytes given, Deadline deadline);
  Result<Ticket> accept(const ClusterPath& path, BufferPool::Lent body,
                        const BodyChecksum& checksum, std::string_view key);
  std::shared_ptr<const Routes> routes_to(const NodeSnapshot& nodes);
  bool place(const OutgoingPtr& file, const Routes& routes, NodeStream* preferred);
  NodeStream* holder_of(const ClusterPath& path, const Routes& routes);
  // Waits for the end of an outage, or fails.
  void put_aside(const OutgoingPtr& file, std::errc code);
  std::vector<OutgoingPtr> take_waiting(std::uint64_t bytes);
  std::vector<std::shared_ptr<NodeStream>> all_streams() const;
  Backlog::Events backlog_events();
  // What the streams report.
  void stored(std::span<const OutgoingPtr> files, const Node& node);
  void failed(const OutgoingPtr& file, const Error& why);
  void returned(const std::vector<OutgoingPtr>& files, const Error& why);
  // These with the lock held.
  std::shared_ptr<NodeStream> stream_to(const Node& node);

  Membership& membership_;
  NodeClient& client_;
  const Options options_;
  BufferPool buffers_;
  KeptFiles kept_;
  std::atomic<bool> had_nodes_ = false;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable closing_;  // files of tickets_
  bool abandoned_ = false;
  TicketWindow tickets_;
  Counters counters_;
  RateMeter accepting_;
  RateMeter storing_;
  std::vector<Failure> failures_;
  std::unordered_map<Ticket, std::size_t> failure_of_;  // where in failures_
  std::map<std::string, std::shared_ptr<NodeStream>> streams_;  // by Node::key()
  std::vector<std::shared_ptr<NodeStream>> retired_;  // to addresses their nodes have left
  std::shared_ptr<const Routes> routes_;  // for the last snapshot

  Backlog backlog_;  // last: its thread uses all of the above
};

}  // namespace skein
