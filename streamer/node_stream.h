// Files to one node over one kept connection: PUTs are pipelined without waiting, answers matched
// in order (docs/wire.md, "Pipelining"). One thread sends, one reads the answers.
//
// A connection that breaks is made anew and what was unanswered is offered again; 405 to such a file
// is looked into, because it may be ours. A node that has answered nothing for `give_up` when its
// connection breaks or can't be made gets no more: everything it has not answered is returned to be
// placed elsewhere. So a stopped node costs one `stall`, and no file is offered without end.
//
// Thread-safe. The events are called from its threads, without locks held; the references outlive
// it. The destructor returns nothing more: what is unanswered then is dropped, so finish first.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "client/node_client.h"
#include "core/http_stream.h"
#include "core/node.h"
#include "streamer/outgoing_file.h"

namespace skein {

class NodeStream {
 public:
  struct Options {
    std::chrono::milliseconds stall{5000};    // longest pause of the node before it counts as gone
    std::chrono::milliseconds give_up{2000};  // longest time without an answer to anything
  };
  struct Events {
    std::function<void(OutgoingPtr, const Node&)> stored;
    // This file can't be stored on any node: the name is taken, or the request is wrong.
    std::function<void(OutgoingPtr, Error)> failed;
    // Not stored here; `refused_by` names this node.
    std::function<void(std::vector<OutgoingPtr>, Error)> returned;
  };

  NodeStream(Node node, NodeClient& client, Options options, Events events);
  ~NodeStream();

  // False once the node was given up: the file is not taken.
  bool push(const OutgoingPtr& file);

  const Node& node() const { return node_; }
  bool given_up() const;
  std::uint64_t pending_bytes() const;
  std::uint64_t offered_again() const;

 private:
  void run(const std::stop_token& stop);
  // Sends and waits for answers until the connection breaks or `stop`.
  Error converse(Fd socket, const std::stop_token& stop);
  void send_all(HttpStream& stream, const std::stop_token& stop);
  std::vector<OutgoingPtr> next_batch(const std::stop_token& stop);
  void read_answers(int socket, const std::stop_token& stop);
  bool wait_for_answer(int socket, const std::stop_token& stop);
  void settle(OutgoingPtr file, int status);
  void settle_taken(OutgoingPtr file);
  void break_off(Error why, int socket);
  void offer_again();
  void give_up(const Error& why);

  const Node node_;
  NodeClient& client_;
  const Options options_;
  const Events events_;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable_any changed_;
  std::deque<OutgoingPtr> waiting_;
  std::deque<OutgoingPtr> unanswered_;  // in the order sent
  std::uint64_t pending_bytes_ = 0;     // of both
  std::uint64_t offered_again_ = 0;     // files
  TimePoint last_answer_{};             // or when the node began to be tried
  bool broken_ = false;
  bool given_up_ = false;
  Error trouble_{std::errc::host_unreachable, "not connected yet"};

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace skein
