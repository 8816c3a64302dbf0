#include "client/ask.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>

#include "client/pace.h"
#include "core/http_body.h"
#include "core/http_stream.h"
#include "core/socket.h"

namespace skein {
namespace {

// A deadline that has passed: take what is there and do not wait.
Deadline no_wait() { return Deadline::at(TimePoint()); }

// Informational replies (1xx) skipped before the real one; a server has no reason to send more.
constexpr int kMostInterim = 8;
constexpr std::size_t kBodyStepBytes = 256 * 1024;
constexpr int kProcessing = 102;

}  // namespace

// One question under way.
class Inquiry {
 public:
  Inquiry(ConnectionPool& pool, const Question& question, std::chrono::milliseconds timeout)
      : pool_(pool), question_(question), pace_(timeout) {
    stream_ = pool_.take(question.node->address);
    kept_ = stream_ != nullptr;
    if (kept_) {
      begin_sending();
    } else {
      begin_connecting();
    }
  }

  bool done() const { return result_.has_value(); }
  const Result<Answer>* result() const { return result_ ? &*result_ : nullptr; }
  TimePoint gives_up() const { return std::min(pace_.deadline().when(), longest_.when()); }
  pollfd wanted() const {
    const bool out = phase_ == Phase::kConnecting || phase_ == Phase::kSending;
    const short events = out ? POLLOUT : POLLIN;
    return {phase_ == Phase::kConnecting ? connecting_.get() : stream_->fd(), events, 0};
  }
  void advance();
  void time_out() { fail({std::errc::timed_out, "no answer in time"}); }
  Result<Answer> take_result() { return std::move(*result_); }

 private:
  enum class Phase { kConnecting, kSending, kHead, kBody };

  void begin_connecting();
  void finish_connecting();
  void begin_sending();
  void send_more();
  void read_head();
  void read_body();
  void hand_on_body();
  void finish();
  void broken(const Error& why);
  void fail(const Error& why) {
    stream_.reset();
    result_.emplace(Error{why.code, text_of(question_) + ": " + why.what});
  }

  ConnectionPool& pool_;
  const Question& question_;
  Pace pace_;
  const Deadline longest_ = Deadline::after(kLongestAnswer);
  Phase phase_ = Phase::kConnecting;
  Fd connecting_;
  std::size_t addresses_tried_ = 0;
  std::optional<Error> connect_error_;
  std::unique_ptr<HttpStream> stream_;
  bool kept_ = false;  // the connection served a request before
  std::string request_;
  std::size_t sent_ = 0;
  int interim_ = 0;
  Answer answer_;
  std::optional<BodyReader> body_;
  bool handed_on_ = false;        // the body goes to the taker
  bool any_byte_counts_ = false;
  std::optional<Result<Answer>> result_;
};

void Inquiry::begin_connecting() {
  phase_ = Phase::kConnecting;
  auto fd = begin_connect(question_.node->address, addresses_tried_++, pace_.deadline());
  if (!fd) return fail(connect_error_ ? *connect_error_ : fd.error());
  connecting_ = std::move(*fd);
}

void Inquiry::finish_connecting() {
  auto outcome = connect_outcome(connecting_.get(), question_.node->address);
  if (!outcome) {
    connect_error_ = outcome.error();
    return begin_connecting();
  }
  stream_ = std::make_unique<HttpStream>(std::move(connecting_), kMaxHeadBytes);
  begin_sending();
}

void Inquiry::begin_sending() {
  phase_ = Phase::kSending;
  request_.clear();
  request_.append(question_.method).append(" ").append(question_.target);
  request_.append(" HTTP/1.1\r\nHost: ").append(question_.node->address.text()).append("\r\n");
  request_.append(question_.headers).append("\r\n");
  sent_ = 0;
  send_more();
}

void Inquiry::send_more() {
  while (sent_ < request_.size()) {
    const ssize_t n = ::send(stream_->fd(), request_.data() + sent_, request_.size() - sent_,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      sent_ += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (errno != EINTR) {
      return broken(errno_error(errno, "send"));
    }
  }
  phase_ = Phase::kHead;
}

void Inquiry::read_head() {
  const auto text = stream_->read_head(no_wait());
  if (!text) {
    if (text.error().code == std::errc::timed_out) return;  // not all there yet
    return broken(text.error());
  }
  if (!*text) return broken({std::errc::connection_reset, "connection closed without a reply"});
  auto head = ResponseHead::parse(**text, question_.method);
  if (!head) return fail({std::errc::bad_message, head.error().what});
  if (head->status() < 200) {
    if (question_.taker && head->status() == kProcessing) {
      pace_.restart();
      question_.taker->still_working();
      return read_head();
    }
    if (++interim_ > kMostInterim) {
      return fail({std::errc::bad_message, "too many informational replies"});
    }
    return read_head();
  }
  answer_.head = std::move(*head);
  if (answer_.head.framing().length > kMaxAnswerBytes) {
    return fail({std::errc::message_size, "reply is too long"});
  }
  pace_.restart();
  body_.emplace(*stream_, answer_.head.framing());
  phase_ = Phase::kBody;
  handed_on_ = question_.taker && answer_.head.status() == 200;
  any_byte_counts_ = handed_on_ && question_.taker->begin(answer_.head);
  read_body();
}

// One piece, so that the other questions get their turn; more only if poll(2) would not tell of it.
void Inquiry::hand_on_body() {
  std::string& piece = answer_.body;
  do {
    piece.resize(kBodyStepBytes);
    const auto n = body_->read(piece, no_wait());
    piece.resize(n ? *n : 0);
    if (!n) {
      if (n.error().code == std::errc::timed_out) return;  // not all there yet
      return fail(n.error());
    }
    any_byte_counts_ ? pace_.restart() : pace_.moved(*n);
    if (const auto taken = question_.taker->take(piece); !taken) return fail(taken.error());
  } while (!body_->done() && !stream_->buffered().empty());
  if (!body_->done()) return;
  piece.clear();
  finish();
}

void Inquiry::read_body() {
  if (handed_on_) return hand_on_body();
  std::string& body = answer_.body;
  while (!body_->done()) {
    const std::size_t had = body.size();
    std::size_t step = std::max(kBodyStepBytes, had / 2);
    if (body_->known_left() > 0) step = std::min<std::uint64_t>(step, body_->known_left());
    body.resize(had + step);
    const auto n = body_->read(std::span(body).subspan(had), no_wait());
    body.resize(had + (n ? *n : 0));
    if (!n) {
      if (n.error().code == std::errc::timed_out) return;  // not all there yet
      return fail(n.error());
    }
    pace_.moved(*n);
    if (body.size() > kMaxAnswerBytes) return fail({std::errc::message_size, "reply is too long"});
  }
  finish();
}

void Inquiry::finish() {
  if (answer_.head.keep_alive()) pool_.keep(question_.node->address, std::move(stream_));
  result_.emplace(std::move(answer_));
}

// The server may have closed a kept connection at the moment it was used again.
void Inquiry::broken(const Error& why) {
  const bool no_reply_byte = interim_ == 0 && stream_->buffered().empty();
  if (!kept_ || !no_reply_byte) return fail(why);
  kept_ = false;
  answer_.repeated = true;
  stream_.reset();
  pace_.restart();
  begin_connecting();
}

void Inquiry::advance() {
  switch (phase_) {
    case Phase::kConnecting:
      pace_.restart();
      return finish_connecting();
    case Phase::kSending:
      return send_more();
    case Phase::kHead:
      return read_head();
    case Phase::kBody:
      return read_body();
  }
}

std::string text_of(const Question& question) {
  return std::string(question.method) + " " + question.target + " on " + question.node->label();
}

Inquiries::Inquiries(ConnectionPool& pool, std::vector<Question> questions,
                     std::chrono::milliseconds timeout)
    : questions_(std::move(questions)) {
  inquiries_.reserve(questions_.size());
  for (const Question& question : questions_) {
    inquiries_.push_back(std::make_unique<Inquiry>(pool, question, timeout));
  }
}

Inquiries::~Inquiries() = default;

const Result<Answer>* Inquiries::answer(std::size_t question) const {
  return inquiries_[question]->result();
}

bool Inquiries::done() const {
  return std::all_of(inquiries_.begin(), inquiries_.end(),
                     [](const auto& inquiry) { return inquiry->done(); });
}

void Inquiries::advance(Deadline deadline) {
  std::vector<pollfd> fds;
  std::vector<Inquiry*> waiting;
  TimePoint first = deadline.when();
  for (const auto& inquiry : inquiries_) {
    if (inquiry->done()) continue;
    waiting.push_back(inquiry.get());
    fds.push_back(inquiry->wanted());
    first = std::min(first, inquiry->gives_up());
  }
  if (waiting.empty()) return;
  const int ready = ::poll(fds.data(), fds.size(), Deadline::at(first).poll_ms());
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (ready > 0 && fds[i].revents != 0) {
      waiting[i]->advance();
    } else if (Deadline::at(waiting[i]->gives_up()).passed()) {
      waiting[i]->time_out();
    }
  }
}

std::vector<Result<Answer>> Inquiries::take_answers() {
  std::vector<Result<Answer>> answers;
  answers.reserve(inquiries_.size());
  for (const auto& inquiry : inquiries_) answers.push_back(inquiry->take_result());
  return answers;
}

std::vector<Result<Answer>> ask_all(ConnectionPool& pool, const std::vector<Question>& questions,
                                    std::chrono::milliseconds timeout) {
  Inquiries inquiries(pool, questions, timeout);
  while (!inquiries.done()) inquiries.advance(Deadline::after(kLongestAnswer));
  return inquiries.take_answers();
}

Result<Answer> ask(ConnectionPool& pool, const Question& question,
                   std::chrono::milliseconds timeout) {
  auto answers = ask_all(pool, {question}, timeout);
  return std::move(answers.front());
}

}  // namespace skein
