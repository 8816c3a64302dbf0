// One HTTP client: reads requests as they come, pipelined or not, and queues the replies.
//
// - Replies of a burst go out together, when no further request is waiting in the input.
// - Reading goes on while replies are unread, up to kMaxQueuedBytes: clients send 80,000 small PUTs
//   before they read anything.
// - PYME's raw writers (PUT without Host) close with replies unread; the reset that follows would
//   cost them what they had sent last. For them replies are held while input may still come, input
//   is drained into memory (up to kDrainBytes, as long as the shared budget has them), and a
//   failed write stops nothing: what has arrived is processed (docs/wire.md, "HTTP rules").
// - Between requests there is no time limit; a request that pauses longer than `stall` gets 408.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "core/http_body.h"
#include "core/http_head.h"
#include "core/http_stream.h"
#include "dataserver/body_sink.h"
#include "dataserver/memory_budget.h"
#include "dataserver/metrics.h"
#include "dataserver/output_queue.h"
#include "dataserver/peer.h"
#include "dataserver/site.h"

namespace skein {

class HttpConnection final : public Peer {
 public:
  static constexpr std::size_t kMaxQueuedBytes = 32 * 1024 * 1024;
  static constexpr std::size_t kMaxQueuedFiles = 32;
  static constexpr std::size_t kDrainBytes = 32 * 1024 * 1024;

  struct Surroundings {
    Site& site;
    Metrics& metrics;
    MemoryBudget& drain_budget;
  };
  // `socket` is non-blocking; the surroundings are borrowed.
  HttpConnection(Fd socket, Surroundings around, std::chrono::milliseconds stall);

  int fd() const override { return stream_.fd(); }
  Turn take_turn(Workbench& bench) override;

 private:
  enum class State {
    kHead,      // between requests, or inside a head
    kBody,      // inside a body
    kFarewell,  // the last reply is on its way; input is read away, so that no reset overtakes it
  };
  // A step goes on, or ends the turn.
  using Step = std::optional<Turn>;

  Step read_head(Workbench& bench);
  Step take_head(std::string_view text, Workbench& bench);
  Step read_body(Workbench& bench);
  Step read_away(Workbench& bench);
  void drain_input();
  void acknowledge_at_once();
  void finish_request(Workbench& bench);
  void queue(Reply reply, Workbench& bench);
  void say_farewell(Reply reply, Workbench& bench);
  bool overfull() const;
  // Replies are not to be sent yet, though nothing more is there to be read.
  bool holding() const;
  // False: the connection can only be closed.
  bool send();
  Turn wait();
  Turn wait_for_output();

  Site& site_;
  Metrics& metrics_;
  MemoryBudget& drain_budget_;
  MemoryBudget::Share drain_share_;
  const std::chrono::milliseconds stall_;
  HttpStream stream_;
  OutputQueue output_;
  State state_ = State::kHead;
  bool deaf_ = false;         // the client takes no replies any more
  bool input_ended_ = false;
  bool shut_ = false;         // we have said that nothing more comes from us
  bool more_output_ = false;  // a turn ended with the socket still taking output
  TimePoint last_request_ = std::chrono::steady_clock::now();
  std::optional<TimePoint> deadline_;         // of the request, or of the farewell
  std::optional<TimePoint> output_deadline_;  // while the socket takes no output

  // The request being served.
  Metrics::Verb verb_ = Metrics::Verb::kOther;
  TimePoint began_ = std::chrono::steady_clock::now();
  bool head_only_ = false;
  bool keep_alive_ = true;
  bool names_keep_alive_ = false;  // HTTP/1.0: its keep-alive must be confirmed
  bool holds_replies_ = false;   // a raw writer: while there is input
  bool waits_for_none_ = false;  // one that sent on before it had its replies
  std::optional<TimePoint> hold_until_;
  std::unique_ptr<BodySink> sink_;
  std::optional<BodyReader> body_;
};

}  // namespace skein
