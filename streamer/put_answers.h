// The answers to PUTs pipelined on one connection, in order, and how much of what was sent has
// reached the peer. One thread; another one may send on the same socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/fd.h"
#include "core/http_stream.h"

namespace skein {

class PutAnswers {
 public:
  // `body_patience`: for the rest of an answer that has begun.
  PutAnswers(Fd socket, std::chrono::milliseconds body_patience);

  // Waits up to `wait` for answers and returns the statuses of all that are there (interim ones
  // left out); none = none came. Valid until the next call. Errors, once what came before is
  // returned: connection_reset (also: the peer closed, or said that it will), bad_message,
  // timed_out (an answer without an end); then the connection can't be used.
  Result<std::span<const int>> receive(std::chrono::milliseconds wait);

  // True if since the last time it said so, or the beginning, 64 KiB more, or all that was sent,
  // reached the peer's host.
  bool delivered_more();

 private:
  Result<void> take_in(std::chrono::milliseconds wait);
  Result<void> parse_one(std::size_t head_bytes);

  HttpStream stream_;
  const std::chrono::milliseconds body_patience_;
  std::vector<int> statuses_;
  // The last plain 200, whole: an answer that begins with the same bytes needs no parsing.
  std::string plain_ok_;
  bool ended_ = false;
  Error end_{std::errc::connection_reset, "node closed the connection"};
  std::uint64_t delivered_bytes_ = 0;
};

}  // namespace skein
