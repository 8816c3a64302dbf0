#include "dataserver/http_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

namespace skein {
namespace {

using namespace std::chrono_literals;

// How long a thread stays with a client that may send more at once. It saves the way through epoll
// for clients that answer promptly, and holds replies back for PYME's writers.
constexpr auto kStay = 3ms;
// How long input is read away after the last reply.
constexpr auto kFarewellTime = 2s;
// A turn ends after so many blocks of one body, or so many requests, so that others get theirs.
constexpr int kBlocksPerTurn = 64;
constexpr int kRequestsPerTurn = 1000;
// A raw writer that sends on while replies are held does not wait for them: they are held as long as
// it is not silent for this long. A client that closes with nothing unread sends no reset.
constexpr auto kLongHold = 1s;
// While a block of this size is written, the kernel takes in what a raw writer sends meanwhile; its
// socket gets so much room.
constexpr std::size_t kDrainedBlockBytes = 256 * 1024;
// Received at once when small files come pipelined.
constexpr std::size_t kGulpBytes = 1024 * 1024;
constexpr int kDrainedSocketBytes = 8 * 1024 * 1024;
// Replies of a burst are sent at the latest when they fill this much.
constexpr std::size_t kSendBytes = 256 * 1024;
// A refused body is read away, so that the connection can be used further; one that claims to be
// longer than this is not worth it.
constexpr std::uint64_t kMostReadAway = std::uint64_t{1} << 40;

TimePoint in(std::chrono::milliseconds wait) { return std::chrono::steady_clock::now() + wait; }
bool passed(const std::optional<TimePoint>& when) {
  return when && *when <= std::chrono::steady_clock::now();
}

Reply refusal_of_head(const Error& error) {
  switch (error.code) {
    case std::errc::message_size: return refusal(431, error.what);
    case std::errc::not_supported: return refusal(501, error.what);
    case std::errc::protocol_not_supported: return refusal(505, error.what);
    default: return refusal(400, error.what);
  }
}

}  // namespace

HttpConnection::HttpConnection(Fd socket, Surroundings around, std::chrono::milliseconds stall)
    : site_(around.site),
      metrics_(around.metrics),
      drain_budget_(around.drain_budget),
      gate_(around.gate),
      stall_(stall),
      stream_(std::move(socket)) {
  const int on = 1;
  ::setsockopt(stream_.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Turn HttpConnection::take_turn(Workbench& bench) {
  more_output_ = false;
  finish_pending(bench);
  if (!output_.empty() && !holding() && !send()) return {.close = true};
  for (int i = 0; i < kRequestsPerTurn; ++i) {
    Step end;
    switch (state_) {
      case State::kHead: end = read_head(bench); break;
      case State::kBody: end = read_body(bench); break;
      case State::kLast: end = wait_for_pending(bench); break;
      case State::kFarewell: end = read_away(bench); break;
    }
    if (end) return *end;
  }
  return {.again = true};
}

bool HttpConnection::overfull() const {
  return output_.bytes() > kMaxQueuedBytes || output_.large_items() >= kMaxQueuedFiles ||
         pending_.size() >= kMaxPending;
}

bool HttpConnection::send() {
  const std::uint64_t before = output_.sent_bytes();
  const auto outcome = output_.flush(fd(), gate_ ? gate_->released() : 0);
  metrics_.sent(output_.sent_bytes() - before);
  if (holds_replies_) acknowledge_at_once();
  if (outcome == OutputQueue::Flush::kCut) return false;
  blocked_ = outcome == OutputQueue::Flush::kBlocked;
  held_ = outcome == OutputQueue::Flush::kHeld;
  // Neither success nor failure would be true of what was published but not flushed.
  if (held_ && gate_->failed()) return false;
  if (outcome == OutputQueue::Flush::kBroken) {
    deaf_ = true;
    output_.clear();
  }
  more_output_ = outcome == OutputQueue::Flush::kTurn;
  if (output_.empty() || held_) {
    output_deadline_.reset();
  } else if (!output_deadline_ || output_.sent_bytes() != before) {
    output_deadline_ = in(stall_);
  }
  return true;
}

bool HttpConnection::holding() const { return hold_until_ && !passed(hold_until_); }

Turn HttpConnection::wait() {
  const bool holds = holding();
  if (!output_.empty() && !holds && !send()) return {.close = true};
  if (passed(output_deadline_)) return {.close = true};
  stream_.shrink();
  if (stream_.buffered().empty() && !holds_replies_) drain_share_ = {};
  Turn turn;
  turn.again = more_output_;
  turn.output = !output_.empty() && !holds && !held_;
  turn.wake = held_ || !pending_.empty();
  for (const auto& when : {deadline_, output_deadline_, holds ? hold_until_ : std::nullopt}) {
    if (when && (!turn.deadline || *when < *turn.deadline)) turn.deadline = when;
  }
  turn.idle = state_ == State::kHead && output_.empty() && pending_.empty() &&
              stream_.buffered().empty();
  turn.idle_since = last_request_;
  return turn;
}

Turn HttpConnection::wait_for_output() {
  Turn turn = wait();
  turn.input = false;
  return turn;
}

// Nagle's algorithm keeps a small last request at the client until the one before is acknowledged.
// The kernel forgets this wish whenever data goes out.
void HttpConnection::acknowledge_at_once() {
  const int on = 1;
  ::setsockopt(fd(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

// Small files come many at a time: they are received together, and written from where they lie.
void HttpConnection::gulp() {
  if (holds_replies_) return;
  if (drain_share_.bytes() == 0) drain_share_ = drain_budget_.take(kGulpBytes);
  if (drain_share_.bytes() == 0) return;
  [[maybe_unused]] const auto received = stream_.drain(drain_share_.bytes());
}

// Takes over what the client has sent, for its close with unread replies would destroy what is
// still in its own kernel's hands. Errors show at the next read.
void HttpConnection::drain_input() {
  if (!holds_replies_) return;
  if (drain_share_.bytes() < kDrainBytes) {
    MemoryBudget::Share share = drain_budget_.take(kDrainBytes);
    if (share.bytes() == 0) return;
    drain_share_ = std::move(share);
    // The room of the socket, and how much of it the client is told of.
    for (const auto& [level, name] : {std::pair(SOL_SOCKET, SO_RCVBUFFORCE),
                                      std::pair(int{IPPROTO_TCP}, TCP_WINDOW_CLAMP)}) {
      ::setsockopt(fd(), level, name, &kDrainedSocketBytes, sizeof kDrainedSocketBytes);
    }
  }
  [[maybe_unused]] const auto drained = stream_.drain(drain_share_.bytes());
  acknowledge_at_once();
}

HttpConnection::Step HttpConnection::read_head(Workbench& bench) {
  drain_input();
  if (overfull()) {
    finish_pending(bench);
    if (!send()) return Turn{.close = true};
    if (overfull()) return wait_for_output();
  }
  if (stream_.buffered().empty()) {
    const auto filled = stream_.fill();
    if (!filled) return end_input(InputEnd::kBroken);
    // Nothing waits, so now is the time for the replies, unless their reader must not get them yet.
    const bool quiet = *filled == HttpStream::Fill::kWouldBlock;
    if (quiet && !output_.empty() && !holds_replies_ && !send()) return Turn{.close = true};
  }
  if (output_.bytes() > kSendBytes && !holds_replies_ && !send()) return Turn{.close = true};
  if (blocked_ && !holding()) {
    // Staying for input must not keep back output: the socket takes more in no time.
    pollfd p{fd(), POLLIN | POLLOUT, 0};
    ::poll(&p, 1, static_cast<int>(kStay.count()));
    if ((p.revents & POLLOUT) != 0) {
      if (!send()) return Turn{.close = true};
      return more_output_ ? wait() : Step();
    }
    if ((p.revents & POLLIN) == 0) return wait();
  }
  // While a flush is awaited its end must not wait for us.
  const bool awaits = held_ || !pending_.empty();
  const auto head = stream_.read_head(Deadline::after(awaits ? 0ms : kStay));
  if (head && *head) return take_head(**head, bench);
  if (head) return end_input(InputEnd::kOrderly);
  if (head.error().code == std::errc::timed_out) {
    if (stream_.buffered().empty()) {
      deadline_.reset();
    } else if (!deadline_) {
      deadline_ = in(stall_);
    } else if (passed(deadline_)) {
      say_farewell(refusal(408, "the request was not complete in time"), bench);
      return std::nullopt;
    }
    return wait();
  }
  if (head.error().code == std::errc::message_size) {
    say_farewell(refusal_of_head(head.error()), bench);
    return std::nullopt;
  }
  // Cut inside a head; what was asked before it gets its replies if they can still go.
  send();
  return end_input(InputEnd::kBroken);
}

// The client has said all, and may still be listening, or is gone. What has come whole is processed
// in any case.
HttpConnection::Step HttpConnection::end_input(InputEnd how) {
  request_ = {};
  body_.reset();
  hold_until_.reset();
  if (how == InputEnd::kBroken && pending_.empty()) return Turn{.close = true};
  deaf_ = deaf_ || how == InputEnd::kBroken;
  if (deaf_) output_.clear();
  input_ended_ = true;
  deadline_.reset();
  if (pending_.empty()) deadline_ = in(stall_);
  state_ = pending_.empty() ? State::kFarewell : State::kLast;
  return std::nullopt;
}

HttpConnection::Step HttpConnection::wait_for_pending(Workbench& bench) {
  finish_pending(bench);
  if (pending_.empty() && state_ == State::kLast) state_ = State::kFarewell;
  if (pending_.empty()) return std::nullopt;
  return wait_for_output();
}

HttpConnection::Step HttpConnection::take_head(std::string_view text, Workbench& bench) {
  deadline_.reset();
  request_ = {};
  metrics_.received(text.size());
  auto head = RequestHead::parse(text);
  if (!head) {
    say_farewell(refusal_of_head(head.error()), bench);
    return std::nullopt;
  }
  const BodyFraming framing = head->framing();
  const bool is_1_1 = head->minor_version() == 1;
  const bool expects = is_1_1 && head->has_token("Expect", "100-continue");
  request_.verb = Metrics::verb_of(head->method());
  request_.head_only = head->method() == "HEAD";
  request_.keep_alive = head->keep_alive();
  request_.names_keep_alive = !is_1_1 && request_.keep_alive;
  holds_replies_ = head->method() == "PUT" && is_1_1 && !head->find("Host");
  waits_for_none_ = holds_replies_ && (waits_for_none_ || !output_.empty());
  drain_input();
  if (request_.verb == Metrics::Verb::kPut && framing.kind == BodyFraming::Kind::kLength &&
      framing.length < kGulpBytes / 2) {
    gulp();
  }
  request_.sink = site_.begin(std::move(*head));
  const std::size_t at_hand = holds_replies_
                                  ? std::min(stream_.buffered().size(), kDrainedBlockBytes)
                                  : stream_.buffered().size();
  if (framing.kind == BodyFraming::Kind::kNone ||
      (framing.kind == BodyFraming::Kind::kLength && framing.length <= at_hand)) {
    metrics_.received(framing.length);
    request_.sink->take(stream_.buffered().substr(0, framing.length));
    stream_.consume(framing.length);
    finish_request(bench);
    return std::nullopt;
  }
  const bool asks = expects && stream_.buffered().empty();
  // Refused, it will not send the body, so what it sends next cannot be told from one.
  if (request_.sink->refuses() && (asks || framing.length > kMostReadAway)) {
    say_farewell(request_.sink->finish(), bench);
    return std::nullopt;
  }
  if (asks) {
    output_.add("HTTP/1.1 100 Continue\r\n\r\n");
    if (!send()) return Turn{.close = true};
  }
  body_.emplace(stream_, framing);
  state_ = State::kBody;
  deadline_ = in(stall_);
  return std::nullopt;
}

HttpConnection::Step HttpConnection::read_body(Workbench& bench) {
  const std::span<char> block =
      holds_replies_ ? bench.block().first(kDrainedBlockBytes) : bench.block();
  std::size_t filled = 0;
  int blocks = 0;
  for (;;) {
    if (body_->done() || filled == block.size()) {
      request_.sink->take(block.first(filled));
      filled = 0;
      drain_input();
      deadline_ = in(stall_);
      if (output_deadline_) output_deadline_ = deadline_;
      if (body_->done()) {
        state_ = State::kHead;
        finish_request(bench);
        return std::nullopt;
      }
      if (++blocks == kBlocksPerTurn) return Turn{.again = true};
    }
    const auto n = body_->read(block.subspan(filled), Deadline::after(kStay));
    if (n) {
      filled += *n;
      metrics_.received(*n);
    } else if (n.error().code == std::errc::timed_out) {
      // The block belongs to the thread: what is in it must go before the thread does.
      if (filled > 0) {
        request_.sink->take(block.first(filled));
        deadline_ = in(stall_);
      } else if (passed(deadline_)) {
        say_farewell(refusal(408, "the request body stalled"), bench);
        return std::nullopt;
      }
      return wait();
    } else if (n.error().code == std::errc::bad_message) {
      say_farewell(refusal(400, n.error().what), bench);
      return std::nullopt;
    } else {
      return end_input(InputEnd::kBroken);
    }
  }
}

void HttpConnection::finish_request(Workbench& bench) {
  deadline_.reset();
  body_.reset();
  last_request_ = std::chrono::steady_clock::now();
  // Who sends need not read yet.
  if (output_deadline_) output_deadline_ = in(stall_);
  hold_until_.reset();
  if (waits_for_none_ && request_.keep_alive) hold_until_ = in(kLongHold);
  Request request = std::exchange(request_, {});
  if (!request.keep_alive) state_ = State::kLast;
  if (gate_ && request.sink->publishes()) request.ticket = gate_->ticket();
  if (request.ticket != 0 || !pending_.empty()) {
    pending_.push_back(std::move(request));
  } else {
    answer(std::move(request), bench);
  }
}

void HttpConnection::finish_pending(Workbench& bench) {
  while (!pending_.empty()) {
    if (pending_.front().ticket > gate_->released() && !gate_->failed()) return;
    Request first = std::move(pending_.front());
    pending_.pop_front();
    answer(std::move(first), bench);
  }
}

void HttpConnection::answer(Request request, Workbench& bench) {
  const bool unsafe = gate_ && gate_->failed() && request.sink->publishes();
  Reply reply = unsafe ? refusal(500, "the disk did not take what was written")
                       : request.sink->finish();
  if (!request.keep_alive) {
    reply.close = true;
    state_ = State::kFarewell;
    deadline_.reset();
  }
  if (gate_ && request.verb == Metrics::Verb::kPut && reply.status == 200) {
    output_.require(gate_->ticket());
  }
  queue(std::move(reply), request, bench);
}

void HttpConnection::queue(Reply reply, const Request& request, Workbench& bench) {
  metrics_.answered(request.verb, reply.status, std::chrono::steady_clock::now() - request.began);
  if (deaf_) return;
  output_.add(reply_head(reply, bench.date.text(), request.names_keep_alive));
  if (request.head_only || reply.bodiless) return;
  if (reply.shared) {
    output_.add(std::move(reply.shared));
    return;
  }
  output_.add(reply.text);
  for (BodyPart& part : reply.parts) {
    if (part.file.fd.valid()) {
      output_.add(std::move(part.file));
    } else {
      output_.add(part.text);
    }
  }
}

// A stage that did not come whole is dropped with its sink.
void HttpConnection::say_farewell(Reply reply, Workbench& bench) {
  request_.sink = std::make_unique<DiscardedBody>(std::move(reply));
  request_.keep_alive = false;
  finish_request(bench);
}

HttpConnection::Step HttpConnection::read_away(Workbench& bench) {
  if (!send()) return Turn{.close = true};
  if (output_.empty() && (input_ended_ || deaf_)) return Turn{.close = true};
  if (output_.empty() && !shut_) {
    ::shutdown(fd(), SHUT_WR);
    shut_ = true;
    deadline_ = in(kFarewellTime);
  }
  if (passed(deadline_)) return Turn{.close = true};
  stream_.consume(stream_.buffered().size());
  for (int blocks = 0; !input_ended_; ++blocks) {
    if (blocks == kBlocksPerTurn) return Turn{.again = true};
    const auto n = stream_.read(bench.block(), Deadline::after(0ms));
    if (!n && n.error().code != std::errc::timed_out) return Turn{.close = true};
    if (!n) return wait();
    input_ended_ = *n == 0;
  }
  return output_.empty() ? Turn{.close = true} : wait_for_output();
}

}  // namespace skein
