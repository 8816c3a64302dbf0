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
// A client that keeps a thread waiting for one block longer than this, and gives less than a fair
// part of it, is served from then on only with what has arrived already.
constexpr auto kBlockTime = 20ms;
constexpr std::size_t kFairBytes = 64 * 1024;
// A turn ends after so many blocks of one body, or so many requests, so that others get theirs.
constexpr int kBlocksPerTurn = 64;
constexpr int kRequestsPerTurn = 1000;
// While a block of this size is written, the kernel takes in what a raw writer sends meanwhile; its
// socket gets so much room.
constexpr std::size_t kDrainedBlockBytes = 256 * 1024;
constexpr int kDrainedSocketBytes = 8 * 1024 * 1024;
// Received at once when small files come pipelined.
constexpr std::size_t kGulpBytes = 1024 * 1024;
// Replies of a burst are sent at the latest when they fill this much.
constexpr std::size_t kSendBytes = 256 * 1024;
// A refused body is read away, so that the connection can be used further; one that claims to be
// longer than this is not worth it.
constexpr std::uint64_t kMostReadAway = std::uint64_t{1} << 40;

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
      side_threads_(around.side_threads),
      gate_(around.gate),
      stall_(stall),
      stream_(std::move(socket)) {
  const int on = 1;
  ::setsockopt(stream_.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (const int room = around.input_room_bytes; room > 0) {
    ::setsockopt(stream_.fd(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  }
}

Turn HttpConnection::take_turn(Workbench& bench) {
  more_output_ = false;
  // A thread that serves those whom a flush released goes on to the next of them.
  const bool awaited = held_ || !pending_.empty();
  stay_ = awaited ? 0ms : kStay;
  finish_pending(bench);
  if (!output_.empty() && !holding() && !send()) return {.close = true};
  for (int i = 0; i < kRequestsPerTurn; ++i) {
    Step end;
    switch (state_) {
      case State::kHead: end = read_head(bench); break;
      case State::kBehind: end = wait_behind(bench); break;
      case State::kBody: end = read_body(bench); break;
      case State::kLast: end = wait_for_pending(bench); break;
      case State::kFarewell: end = read_away(bench); break;
    }
    if (!end) continue;
    settle(bench);
    return *end;
  }
  settle(bench);
  return {.again = true};
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
    const bool patient = holding() && output_.bytes() <= kMaxQueuedBytes;
    if (!patient && !send()) return Turn{.close = true};
    if (overfull()) return wait_for_output(bench);
  }
  bool quiet = false;
  if (stream_.buffered().empty()) {
    const auto filled = stream_.fill();
    if (!filled) return end_input(InputEnd::kBroken, bench);
    // Nothing waits, so now is the time for the replies, unless their reader must not get them yet.
    quiet = *filled == HttpStream::Fill::kWouldBlock;
    if (quiet) settle(bench);
    if (quiet && !output_.empty() && !holds_replies_ && !send()) return Turn{.close = true};
  }
  if (output_.bytes() > kSendBytes && !holds_replies_ && !send()) return Turn{.close = true};
  if (blocked_ && !holding()) {
    // Staying for input must not keep back output: the socket takes more in no time.
    pollfd p{fd(), POLLIN | POLLOUT, 0};
    ::poll(&p, 1, static_cast<int>(kStay.count()));
    if ((p.revents & POLLOUT) != 0) {
      if (!send()) return Turn{.close = true};
      return more_output_ ? wait(bench) : Step();
    }
    if ((p.revents & POLLIN) == 0) return wait(bench);
  }
  // While a flush is awaited its end must not wait for us.
  const auto stay = held_ || !pending_.empty() ? 0ms : stay_;
  if (quiet && stay == 0ms) {
    deadline_.reset();
    return wait(bench);
  }
  const auto head = stream_.read_head(Deadline::after(stay));
  if (head && *head) return take_head(**head, bench);
  if (head) return end_input(InputEnd::kOrderly, bench);
  if (head.error().code == std::errc::timed_out) {
    if (stream_.buffered().empty()) {
      deadline_.reset();
    } else if (!deadline_) {
      deadline_ = in(stall_);
    } else if (passed(deadline_)) {
      say_farewell(refusal(408, "the request was not complete in time"), bench);
      return std::nullopt;
    }
    return wait(bench);
  }
  if (head.error().code == std::errc::message_size) {
    say_farewell(refusal_of_head(head.error()), bench);
    return std::nullopt;
  }
  // Cut inside a head; what was asked before it gets its replies if they can still go.
  send();
  return end_input(InputEnd::kBroken, bench);
}

// The client has said all, and may still be listening, or is gone. What has come whole is processed
// in any case.
HttpConnection::Step HttpConnection::end_input(InputEnd how, Workbench& bench) {
  settle(bench);
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
  return wait_for_output(bench);
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
  if (Site::builds_on_earlier(*head)) {
    settle(bench);
    if (!pending_.empty()) {
      behind_ = std::move(*head);
      state_ = State::kBehind;
      return std::nullopt;
    }
  }
  return begin_request(std::move(*head), bench);
}

HttpConnection::Step HttpConnection::wait_behind(Workbench& bench) {
  finish_pending(bench);
  if (!pending_.empty()) return wait_for_output(bench);
  state_ = State::kHead;
  RequestHead head = std::move(*behind_);
  behind_.reset();
  return begin_request(std::move(head), bench);
}

HttpConnection::Step HttpConnection::begin_request(RequestHead head, Workbench& bench) {
  const BodyFraming framing = head.framing();
  const bool is_1_1 = head.minor_version() == 1;
  const bool expects = is_1_1 && head.has_token("Expect", "100-continue");
  request_.verb = Metrics::verb_of(head.method());
  request_.head_only = head.method() == "HEAD";
  request_.keep_alive = head.keep_alive();
  request_.names_keep_alive = !is_1_1 && request_.keep_alive;
  recognize_raw_writer(head);
  drain_input();
  const bool writes =
      request_.verb == Metrics::Verb::kPut || request_.verb == Metrics::Verb::kPost;
  // What is whole in the buffer is taken from there first: the less is left, the less is moved to
  // make room.
  if (writes && framing.kind == BodyFraming::Kind::kLength && framing.length < kGulpBytes / 2 &&
      framing.length > stream_.buffered().size()) {
    gulp();
  }
  request_.sink = site_.begin(std::move(head));
  const std::size_t at_hand = holds_replies_
                                  ? std::min(stream_.buffered().size(), kDrainedBlockBytes)
                                  : stream_.buffered().size();
  if (framing.kind == BodyFraming::Kind::kNone ||
      (framing.kind == BodyFraming::Kind::kLength && framing.length <= at_hand)) {
    metrics_.received(framing.length);
    request_.body_bytes = framing.length;
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
  settle(bench);
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
  TimePoint leave = in(kBlockTime);
  for (;;) {
    if (body_->done() || filled == block.size()) {
      request_.sink->take(block.first(filled));
      if (!body_->done()) trickles_ = false;
      filled = 0;
      leave = in(kBlockTime);
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
    const auto n = body_->read(block.subspan(filled), Deadline::after(trickles_ ? 0ms : kStay));
    if (n) {
      filled += *n;
      request_.body_bytes += *n;
      metrics_.received(*n);
      trickles_ = trickles_ || (filled < kFairBytes && passed(leave));
    } else if (n.error().code == std::errc::timed_out) {
      // The block belongs to the thread: what is in it must go before the thread does.
      if (filled > 0) {
        request_.sink->take(block.first(filled));
        deadline_ = in(stall_);
      } else if (passed(deadline_)) {
        say_farewell(refusal(408, "the request body stalled"), bench);
        return std::nullopt;
      }
      return wait(bench);
    } else if (n.error().code == std::errc::bad_message) {
      say_farewell(refusal(400, n.error().what), bench);
      return std::nullopt;
    } else {
      return end_input(InputEnd::kBroken, bench);
    }
  }
}

}  // namespace skein
