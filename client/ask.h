// One request without a body to each of many nodes at once, from the calling thread: all requests
// go out first, then replies are read as they come. Chosen over a thread per node by measurement
// (tests/bench/client_listing.cc): no hand-over between threads, none to bound or join.
//
// A node that does not keep the pace (pace.h) is given up; the others do not wait for it. Replies
// are kept whole in memory, at most kMaxAnswerBytes each.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client/connection_pool.h"
#include "core/error.h"
#include "core/http_head.h"
#include "core/node.h"

namespace skein {

// A listing of ten million names has about 400 MB.
inline constexpr std::uint64_t kMaxAnswerBytes = 1ull << 30;

struct Question {
  const Node* node = nullptr;  // borrowed for the call
  std::string_view method;
  std::string target;
  std::string headers;  // whole lines, each ending in CRLF, beside Host
};

struct Answer {
  ResponseHead head;
  std::string body;
  // It was sent twice, because the first connection broke without a reply: the first may have been
  // carried out, so a refusal such as "exists" may speak of our own doing.
  bool repeated = false;
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
