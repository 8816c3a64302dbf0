// Files to one node over one kept connection: PUTs are pipelined without waiting, answers matched
// in order (docs/wire.md, "Pipelining"). One thread sends, one reads the answers.
//
// A file that the node answers with 400, because its bytes are not what their checksum says, is
// offered to it twice more. A connection that breaks is made anew and what was unanswered is
// offered again; 405 to such a file is looked into, because it may be ours. The node counts as
// stalled when for `stall` neither an answer came nor 64 KiB (or all there was) reached it, and
// one second more per 20 MB it has not answered: a large file over a slow link may take its time.
// Once it has answered nothing since `give_up` before a connection breaks or can't be made,
// everything it has not answered is returned to be placed elsewhere, and it rests: it takes
// nothing for one second, twice as long each time up to ten. So a stopped node costs one `stall`,
// and no file is offered to it without end.
//
// Thread-safe. The events are called from its threads, without locks held; the references outlive
// it. The destructor does as end() and drops what that returns.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "client/node_client.h"
#include "core/fd.h"
#include "core/node.h"
#include "streamer/outgoing_file.h"

namespace skein {

class NodeStream {
 public:
  struct Options {
    std::chrono::milliseconds stall{5000};    // longest time without progress
    std::chrono::milliseconds give_up{2000};  // longest outage before its files go elsewhere
  };
  struct Events {
    std::function<void(std::span<const OutgoingPtr>, const Node&)> stored;
    // This file can't be stored on any node: the name is taken, or the request is wrong.
    std::function<void(OutgoingPtr, Error)> failed;
    // Not stored here; `refused_by` names this node.
    std::function<void(std::vector<OutgoingPtr>, Error)> returned;
  };
  struct Counters {
    std::uint64_t pending_files = 0, pending_bytes = 0;  // in line or unanswered
    std::uint64_t sent_files = 0, sent_bytes = 0;        // handed to a socket, repeats included
    std::uint64_t offered_again_files = 0;
  };

  NodeStream(Node node, NodeClient& client, Options options, Events events);
  ~NodeStream();

  // False while it rests, and after end(): the file is not taken.
  bool push(const OutgoingPtr& file);

  // Takes back files that are in line and not being sent, the newest first, until they have
  // `bytes` or more, or there are no more.
  std::vector<OutgoingPtr> take_waiting(std::uint64_t bytes);

  // Stops sending, ends the threads, and returns what has no answer: some of it may be stored. Not
  // to be called from an event.
  std::vector<OutgoingPtr> end();

  const Node& node() const { return node_; }
  std::uint64_t pending_bytes() const;  // in line or unanswered
  std::uint64_t waiting_bytes() const;  // in line, not being sent
  Counters counters() const;

 private:
  void run();
  bool wait_for_work();  // false: it ends
  Result<Fd> connect();
  // Sends and reads answers until the connection breaks, or the end.
  Error converse(Fd socket);
  void send_all(int socket);
  bool next_batch(std::vector<OutgoingPtr>& batch);
  void read_answers(int socket);
  std::chrono::milliseconds longest_silence() const;  // with the lock held
  OutgoingPtr take_answered();
  void settle(std::vector<OutgoingPtr>& stored, OutgoingPtr file, int status);
  void offer_again(OutgoingPtr file);
  void settle_taken(std::vector<OutgoingPtr>& stored, OutgoingPtr file);
  void break_off(const Error& why);
  // Puts what is unanswered in line again, or gives the node up.
  void after_break(const Error& why);

  const Node node_;
  NodeClient& client_;
  const Options options_;
  const Events events_;
  std::mutex join_mutex_;  // end() may be called by several threads

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable work_;
  std::deque<OutgoingPtr> waiting_;
  std::uint64_t waiting_bytes_ = 0;
  std::deque<OutgoingPtr> unanswered_;  // in the order sent
  Counters counters_;
  TimePoint progress_{};  // of the node, while anything is unanswered
  std::optional<TimePoint> outage_since_;  // nothing was answered since then
  std::chrono::milliseconds back_off_{};
  std::chrono::milliseconds rest_{};
  TimePoint resting_until_{};
  bool sending_ = false;  // a batch, which may be answered already
  int socket_ = -1;  // of the connection in use, for break_off()
  bool broken_ = false;  // that connection
  bool ending_ = false;
  Error trouble_{std::errc::host_unreachable, "not connected yet"};

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace skein
