// One request without a body to each of many nodes at once, from the calling thread: all requests
// go out first, then replies are read as they come. Chosen over a thread per node by measurement
// (tests/bench/client_listing.cc): no hand-over between threads, none to bound or join.
//
// A node that does not keep the pace (pace.h) is given up; the others do not wait for it. Replies
// are kept whole in memory, at most kMaxAnswerBytes each, unless somebody takes them in pieces.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/connection_pool.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/http_head.h"
#include "core/node.h"

namespace skein {

// A listing of ten million names has about 400 MB.
inline constexpr std::uint64_t kMaxAnswerBytes = 1ull << 30;

// Takes the body of a reply with status 200 as it comes.
class BodyTaker {
 public:
  // The node says that it is at work (102 Processing), which keeps the pace.
  virtual void still_working() = 0;
  // True: any byte keeps the pace.
  virtual bool begin(const ResponseHead& head) = 0;
  // An error is that of the question.
  virtual Result<void> take(std::string_view piece) = 0;

 protected:
  ~BodyTaker() = default;
};
// With any pace.
inline constexpr std::chrono::minutes kLongestAnswer{10};

struct Question {
  const Node* node = nullptr;  // borrowed for the call
  std::string_view method;
  std::string target;
  std::string headers;  // whole lines, each ending in CRLF, beside Host
  BodyTaker* taker = nullptr;  // borrowed; null: the body is kept in the answer
};

struct Answer {
  ResponseHead head;
  std::string body;
  // It was sent twice, because the first connection broke without a reply: the first may have been
  // carried out, so a refusal such as "exists" may speak of our own doing.
  bool repeated = false;
};

class Inquiry;

// Questions under way. One thread at a time; the pool outlives it.
class Inquiries {
 public:
  Inquiries(ConnectionPool& pool, std::vector<Question> questions,
            std::chrono::milliseconds timeout);
  // Those without an answer are given up.
  ~Inquiries();

  bool done() const;
  // Waits until something comes, but not beyond `deadline`, and takes it.
  void advance(Deadline deadline);
  // In the order of the questions. Precondition: done().
  std::vector<Result<Answer>> take_answers();
  // The answer to one question; null until it is there.
  const Result<Answer>* answer(std::size_t question) const;

 private:
  const std::vector<Question> questions_;
  std::vector<std::unique_ptr<Inquiry>> inquiries_;
};

// For messages: "GET /a/ on cam2 (10.0.0.2:15348)".
std::string text_of(const Question& question);

// In the order of the questions. Errors: timed_out, connection_refused, connection_reset,
// host_unreachable, bad_message (not HTTP as we know it), message_size (head or body too long).
std::vector<Result<Answer>> ask_all(ConnectionPool& pool, const std::vector<Question>& questions,
                                    std::chrono::milliseconds timeout);
Result<Answer> ask(ConnectionPool& pool, const Question& question,
                   std::chrono::milliseconds timeout);

}  // namespace skein
