// How a connection answers and ends; how it reads is in http_connection.cc.
#include "dataserver/http_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <utility>

namespace skein {
namespace {

using namespace std::chrono_literals;

// How long input is read away after the last reply.
constexpr auto kFarewellTime = 2s;
// A raw writer whose next request is here so soon after the last reply was waiting for that.
constexpr auto kPrompt = 500ms;
// So many pieces are read away in one turn. Small ones: every thread that does it touches its own
// memory, and a flood comes by them all.
constexpr int kBlocksAway = 64;
constexpr std::size_t kAwayBytes = 64 * 1024;

}  // namespace

bool HttpConnection::overfull() const {
  return output_.bytes() > kMaxQueuedBytes || output_.large_items() >= kMaxQueuedFiles ||
         pending_.size() >= kMaxPending || pending_bytes_ > kMaxPendingBytes;
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
  if (output_.sent_bytes() != before) answered_at_ = std::chrono::steady_clock::now();
  if (output_.empty() || held_) {
    output_deadline_.reset();
  } else if (!output_deadline_ || output_.sent_bytes() != before) {
    output_deadline_ = in(stall_);
  }
  return true;
}

HttpConnection::~HttpConnection() {
  if (hold_until_ && !deaf_) output_.flush(fd(), gate_ ? gate_->released() : 0);
}

void HttpConnection::recognize_raw_writer(const RequestHead& head) {
  holds_replies_ = head.method() == "PUT" && head.minor_version() == 1 && !head.find("Host");
  if (!output_.empty() || !pending_.empty()) {
    waits_for_replies_ = false;
  } else if (answered_at_) {
    waits_for_replies_ = std::chrono::steady_clock::now() - *answered_at_ < kPrompt;
  }
}

// Not in the midst of a request either, whose own deadline counts: the client is writing.
bool HttpConnection::holding() const {
  return hold_until_ && (inside_request() || !passed(hold_until_));
}

Turn HttpConnection::wait(Workbench& bench) {
  settle(bench);
  const bool holds = holding();
  if (!output_.empty() && !holds && !send()) return {.close = true};
  if (passed(output_deadline_)) return {.close = true};
  stream_.shrink();
  if (stream_.buffered().empty() && !holds_replies_) drain_share_ = {};
  Turn turn;
  turn.again = more_output_;
  turn.output = !output_.empty() && (!holds || overfull()) && !held_;
  turn.wake = held_ || !pending_.empty();
  const bool hold_ends = holds && !inside_request();
  for (const auto& when : {deadline_, output_deadline_, hold_ends ? hold_until_ : std::nullopt}) {
    if (when && (!turn.deadline || *when < *turn.deadline)) turn.deadline = when;
  }
  turn.idle = state_ == State::kHead && (output_.empty() || holds) && pending_.empty() &&
              stream_.buffered().empty();
  turn.idle_since = last_request_;
  return turn;
}

Turn HttpConnection::wait_for_output(Workbench& bench) {
  Turn turn = wait(bench);
  turn.input = false;
  return turn;
}

// Nagle's algorithm keeps a small last request at the client until the one before is acknowledged.
// The kernel forgets this wish whenever data goes out.
void HttpConnection::acknowledge_at_once() {
  const int on = 1;
  ::setsockopt(fd(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

void HttpConnection::finish_request(Workbench& bench) {
  deadline_.reset();
  body_.reset();
  last_request_ = std::chrono::steady_clock::now();
  // Who sends need not read yet.
  if (output_deadline_) output_deadline_ = in(stall_);
  hold_until_.reset();
  if (holds_replies_ && !waits_for_replies_ && request_.keep_alive) hold_until_ = in(hold_);
  Request request = std::exchange(request_, {});
  if (!request.keep_alive) state_ = State::kLast;
  if (gathers(request)) {
    gather(std::move(request), bench);
    return;
  }
  settle(bench);
  if (gate_ && request.sink->publishes()) request.ticket = gate_->ticket();
  if (request.ticket != 0 || !pending_.empty() || !request.sink->ready()) {
    pending_bytes_ += request.body_bytes;
    pending_.push_back(std::move(request));
  } else {
    answer(std::move(request), bench);
  }
}

bool HttpConnection::gathers(const Request& request) {
  // More has come already, or waiting would gain nothing.
  if (gate_ || !pending_.empty() || !request.keep_alive || !request.sink->publishes() ||
      stream_.buffered().empty() || !request.sink->ready()) {
    return false;
  }
  if (side_ == nullptr) side_ = side_threads_.take();
  return side_ != nullptr;
}

void HttpConnection::gather(Request request, Workbench& bench) {
  gathered_.push_back(std::move(request));
  if (gathered_.size() < kLot) return;
  collect(bench);
  handed_over_.swap(gathered_);
  side_->start([this] {
    for (Request& request : handed_over_) {
      replies_.push_back(request.sink->finish());
      request.sink.reset();
    }
  });
}

// Takes back what the side thread has.
void HttpConnection::collect(Workbench& bench) {
  if (handed_over_.empty()) return;
  side_->wait();
  for (std::size_t i = 0; i < handed_over_.size(); ++i) {
    queue(std::move(replies_[i]), handed_over_[i], bench);
  }
  handed_over_.clear();
  replies_.clear();
}

// Finishes what was gathered and waits for the side thread: before any other request is finished, and
// before the turn ends.
void HttpConnection::settle(Workbench& bench) {
  collect(bench);
  for (Request& request : gathered_) answer(std::move(request), bench);
  gathered_.clear();
  if (side_ == nullptr) return;
  side_->wait();
  side_threads_.give_back(std::exchange(side_, nullptr));
}

void HttpConnection::finish_pending(Workbench& bench) {
  while (!pending_.empty()) {
    Request& waiting = pending_.front();
    if (waiting.ticket > 0 && waiting.ticket > gate_->released() && !gate_->failed()) return;
    if (!waiting.sink->ready()) return;
    Request first = std::move(pending_.front());
    pending_.pop_front();
    pending_bytes_ -= first.body_bytes;
    answer(std::move(first), bench);
  }
}

// Puts pieces of a reply into the output, as chunks, and as many into the socket as that takes.
class HttpConnection::PieceOutlet final : public Outlet {
 public:
  PieceOutlet(HttpConnection& connection, const Request& request, Workbench& bench)
      : connection_(connection), request_(request), bench_(bench) {}

  void still_working() override { add("HTTP/1.1 102 Processing\r\n\r\n"); }
  void begin(Reply head) override {
    head.chunked = true;
    head.close = !request_.keep_alive;
    add(reply_head(head, bench_.date.text(), false));
  }
  void piece(std::string_view text) override {
    std::array<char, 20> size;
    const auto end = std::to_chars(size.data(), size.data() + size.size(), text.size(), 16).ptr;
    std::string chunk(size.data(), end);
    chunk.append("\r\n").append(text).append("\r\n");
    add(chunk);
  }
  // The reader is gone, or too far behind: all that it can be told is a closed connection.
  bool lost() const { return lost_; }

 private:
  void add(std::string_view text) {
    if (lost_ || connection_.deaf_) return;
    connection_.output_.add(text);
    lost_ = !connection_.send();
    while (!lost_ && connection_.blocked_ && connection_.output_.bytes() > kMaxQueuedBytes) {
      wait_for_reader();
    }
  }
  // So long altogether, and a microsecond for each byte that is taken meanwhile.
  void wait_for_reader() {
    if (!patience_) patience_ = in(connection_.stall_);
    pollfd p{connection_.fd(), POLLOUT, 0};
    ::poll(&p, 1, Deadline::at(*patience_).poll_ms());
    const std::uint64_t before = connection_.output_.sent_bytes();
    lost_ = passed(patience_) || !connection_.send();
    const auto taken = static_cast<std::int64_t>(connection_.output_.sent_bytes() - before);
    *patience_ += std::chrono::microseconds(taken);
  }

  HttpConnection& connection_;
  const Request& request_;
  Workbench& bench_;
  bool lost_ = false;
  std::optional<TimePoint> patience_;
};

void HttpConnection::answer(Request request, Workbench& bench) {
  const bool unsafe = gate_ && gate_->failed() && request.sink->publishes();
  PieceOutlet outlet(*this, request, bench);
  Reply reply = unsafe ? refusal(500, "the disk did not take what was written")
                       : request.sink->finish_into(outlet);
  const bool cut = reply.in_pieces == Reply::Pieces::kCut || outlet.lost();
  deaf_ = deaf_ || cut;
  if (outlet.lost()) output_.clear();
  if (!request.keep_alive || cut) {
    reply.close = true;
    state_ = State::kFarewell;
    deadline_.reset();
  }
  const bool writes =
      request.verb == Metrics::Verb::kPut || request.verb == Metrics::Verb::kPost;
  // 405 too: who hears that the name is there may let go of his own copy.
  const bool vouches = reply.status == 200 || reply.status == 405;
  if (gate_ && writes && vouches && !request.sink->safe()) {
    output_.require(gate_->ticket());
  }
  queue(std::move(reply), request, bench);
}

void HttpConnection::queue(Reply reply, const Request& request, Workbench& bench) {
  metrics_.answered(request.verb, reply.status, std::chrono::steady_clock::now() - request.began);
  if (deaf_) return;
  if (reply.in_pieces == Reply::Pieces::kWhole) return output_.add("0\r\n\r\n");
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
  settle(bench);
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
    if (blocks == kBlocksAway) return Turn{.again = true};
    const auto n = stream_.read(bench.block().first(kAwayBytes), Deadline::after(0ms));
    if (!n && n.error().code != std::errc::timed_out) return Turn{.close = true};
    if (!n) return wait(bench);
    input_ended_ = *n == 0;
  }
  return output_.empty() ? Turn{.close = true} : wait_for_output(bench);
}

}  // namespace skein
