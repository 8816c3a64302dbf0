// One HTTP client: reads requests as they come, pipelined or not, and queues the replies.
//
// - Replies of a burst go out together, when no further request is waiting in the input.
// - Reading goes on while replies are unread, up to kMaxQueuedBytes: clients send 80,000 small PUTs
//   before they read anything.
// - PYME's raw writers (PUT without Host) close without reading replies. A reply that is unread then,
//   or comes later, makes their kernel reset the connection and drop what it has not sent yet. So
//   they get none before their end of input or `Connection: close`, unless they are silent for
//   a third of `stall`; one that then goes on promptly was waiting for it, and is not kept waiting again.
//   Their input is drained into memory (up to kDrainBytes, as long as the shared budget has them),
//   and a failed write stops nothing: what has arrived is processed (docs/wire.md, "HTTP rules").
// - Small files that come pipelined are published by a second thread while this one receives the
//   next ones: names and attributes are half of their cost. It is done before a turn ends.
// - An append whose file may be another node's waits until those have been asked, without a thread.
// - With a gate (--sync publish), a PUT is published when its bytes were flushed, and answered when
//   its name was too; meanwhile the next ones are received. All else waits for its turn behind them.
// - Between requests there is no time limit; a request that pauses longer than `stall` gets 408.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "core/http_body.h"
#include "core/http_head.h"
#include "core/http_stream.h"
#include "dataserver/body_sink.h"
#include "dataserver/memory_budget.h"
#include "dataserver/metrics.h"
#include "dataserver/output_queue.h"
#include "dataserver/peer.h"
#include "dataserver/side_thread.h"
#include "dataserver/site.h"
#include "dataserver/sync_gate.h"

namespace skein {

class HttpConnection final : public Peer {
 public:
  static constexpr std::size_t kMaxQueuedBytes = 32 * 1024 * 1024;
  static constexpr std::size_t kMaxQueuedFiles = 32;
  static constexpr std::size_t kDrainBytes = 32 * 1024 * 1024;
  // Requests that wait for a flush, each with its staged file open, or for other nodes.
  static constexpr std::size_t kMaxPending = 128;
  static constexpr std::uint64_t kMaxPendingBytes = 256 * 1024 * 1024;

  struct Surroundings {
    Site& site;
    Metrics& metrics;
    MemoryBudget& drain_budget;
    SideThreads& side_threads;
    SyncGate* gate = nullptr;  // null: replies wait for no flush
    int input_room_bytes = 0;  // input_room.h
  };
  // `socket` is non-blocking; the surroundings are borrowed.
  HttpConnection(Fd socket, Surroundings around, std::chrono::milliseconds stall);
  // What was held back goes now, as far as the socket takes it.
  ~HttpConnection() override;

  int fd() const override { return stream_.fd(); }
  Turn take_turn(Workbench& bench) override;

 private:
  enum class State {
    kHead,      // between requests, or inside a head
    kBehind,    // a request waits for those before it to be done
    kBody,      // inside a body
    kLast,      // no further request is read; those that wait for a flush are finished
    kFarewell,  // the last reply is on its way; input is read away, so that no reset overtakes it
  };
  // Files that are published together: one hand-over costs as much as a tenth of a file.
  static constexpr std::size_t kLot = 8;
  // A step goes on, or ends the turn.
  using Step = std::optional<Turn>;

  static TimePoint in(std::chrono::milliseconds wait) {
    return std::chrono::steady_clock::now() + wait;
  }
  static bool passed(const std::optional<TimePoint>& when) {
    return when && *when <= std::chrono::steady_clock::now();
  }

  Step read_head(Workbench& bench);
  Step take_head(std::string_view text, Workbench& bench);
  Step wait_behind(Workbench& bench);
  Step begin_request(RequestHead head, Workbench& bench);
  Step read_body(Workbench& bench);
  Step read_away(Workbench& bench);
  void drain_input();
  void gulp();
  void acknowledge_at_once();
  void finish_request(Workbench& bench);
  void finish_pending(Workbench& bench);
  struct Request;
  class PieceOutlet;
  void answer(Request request, Workbench& bench);
  void queue(Reply reply, const Request& request, Workbench& bench);
  enum class InputEnd { kOrderly, kBroken };
  Step end_input(InputEnd how, Workbench& bench);
  Step wait_for_pending(Workbench& bench);
  void say_farewell(Reply reply, Workbench& bench);
  bool overfull() const;
  void recognize_raw_writer(const RequestHead& head);
  // Replies are not to be sent yet, though nothing more is there to be read.
  bool holding() const;
  bool inside_request() const { return state_ == State::kBody || !stream_.buffered().empty(); }
  // False: the connection can only be closed.
  bool send();
  Turn wait(Workbench& bench);
  Turn wait_for_output(Workbench& bench);
  // Has the side thread then.
  bool gathers(const Request& request);
  void gather(Request request, Workbench& bench);
  void collect(Workbench& bench);
  void settle(Workbench& bench);

  Site& site_;
  Metrics& metrics_;
  MemoryBudget& drain_budget_;
  MemoryBudget::Share drain_share_;
  SideThreads& side_threads_;
  SyncGate* const gate_;
  const std::chrono::milliseconds stall_;
  // Longer than a writer pauses between frames or for want of a processor, and with the default
  // shorter than the 30 s after which PYME's clients give up.
  const std::chrono::milliseconds hold_ = stall_ / 3;
  HttpStream stream_;
  OutputQueue output_;
  State state_ = State::kHead;
  bool deaf_ = false;         // the client takes no replies any more
  bool input_ended_ = false;
  bool shut_ = false;         // we have said that nothing more comes from us
  bool blocked_ = false;      // the socket took no more output
  bool held_ = false;         // the output waits for a flush
  bool trickles_ = false;     // the body comes in crumbs: no thread waits for more of it
  std::chrono::milliseconds stay_{0};  // of this turn: so long it waits for the next request
  bool more_output_ = false;  // a turn ended with the socket still taking output
  TimePoint last_request_ = std::chrono::steady_clock::now();
  std::optional<TimePoint> deadline_;         // of the request, or of the farewell
  std::optional<TimePoint> output_deadline_;  // while the socket takes no output

  struct Request {
    Metrics::Verb verb = Metrics::Verb::kOther;
    TimePoint began = std::chrono::steady_clock::now();
    bool head_only = false;
    bool keep_alive = true;
    bool names_keep_alive = false;  // HTTP/1.0: its keep-alive must be confirmed
    std::unique_ptr<BodySink> sink;
    SyncGate::Ticket ticket = 0;    // to be released before the sink is finished
    std::uint64_t body_bytes = 0;
  };
  Request request_;              // being read
  std::optional<RequestHead> behind_;  // its head, while it waits
  // Of this turn: received whole; given to the side thread, and its replies.
  std::vector<Request> gathered_;
  std::vector<Request> handed_over_;
  std::vector<Reply> replies_;
  SideThread* side_ = nullptr;  // lent, of this turn
  std::deque<Request> pending_;  // read, waiting for tickets, or behind one that does
  std::uint64_t pending_bytes_ = 0;
  bool holds_replies_ = false;      // a raw writer: while there is input
  bool waits_for_replies_ = false;  // one that sends on when it has them
  std::optional<TimePoint> hold_until_;
  std::optional<TimePoint> answered_at_;  // the last reply went out
  std::optional<BodyReader> body_;
};

}  // namespace skein
