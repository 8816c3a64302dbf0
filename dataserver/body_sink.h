// Where the body of a request goes, piece by piece, and the reply when it has come whole. Dropped
// without finish() when the body is cut short: then nothing of it may stay. One thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "dataserver/reply.h"

namespace skein {

// Takes the beginning of an answer whose end is not known yet. What the client does not read is kept;
// one that is far behind is waited for, for a bounded time. One thread at a time.
class Outlet {
 public:
  virtual ~Outlet() = default;
  // To a client that asked for it: the server is alive, the answer takes time.
  virtual void still_working() = 0;
  // The head of a reply whose body comes in pieces; it says nothing of their length.
  virtual void begin(Reply head) = 0;
  virtual void piece(std::string_view text) = 0;
};

class BodySink {
 public:
  virtual ~BodySink() = default;

  // Keeps a failure for finish(): the body must be read to its end in any case, or what follows
  // would be taken for the next request.
  virtual void take(std::span<const char> piece) = 0;

  // False: the answer waits for other nodes; asked again when they have answered (PeerLoop::wake).
  // Called after the last piece.
  virtual bool ready() { return true; }

  // Called once, after the last piece and when ready.
  virtual Reply finish() = 0;
  // The same, in place of it; what comes first may go out already. If begin() was called, the reply
  // is its end (Reply::in_pieces).
  virtual Reply finish_into(Outlet&) { return finish(); }

  // finish() makes something visible that should be safe on the disk by then (sync_gate.h).
  virtual bool publishes() const { return false; }

  // What finish() acknowledges is on the disk by then, as far as anybody asked for that.
  virtual bool safe() const { return false; }

  // The answer is known and the body not wanted; a client that asked "Expect: 100-continue" need
  // not send it.
  virtual bool refuses() const { return false; }
};

// Reads the body away, then finds the answer.
class DeferredAnswer final : public BodySink {
 public:
  explicit DeferredAnswer(std::function<Reply()> answer) : answer_(std::move(answer)) {}
  void take(std::span<const char>) override {}
  Reply finish() override { return answer_(); }

 private:
  const std::function<Reply()> answer_;
};

// Reads the body away and answers with what was decided before.
class DiscardedBody final : public BodySink {
 public:
  explicit DiscardedBody(Reply reply) : reply_(std::move(reply)) {}
  void take(std::span<const char>) override {}
  Reply finish() override { return std::move(reply_); }
  bool refuses() const override { return reply_.status >= 300; }

 private:
  Reply reply_;
};

}  // namespace skein
