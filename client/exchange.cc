#include "client/exchange.h"

#include <algorithm>
#include <array>

#include "client/send_request.h"
#include "core/socket.h"

namespace skein {
namespace {

// Informational replies (1xx) skipped before the real one; a server has no reason to send more.
constexpr int kMostInterim = 8;

// A node makes a file durable before it replies (--sync publish), and that grows with the file: the
// slowest disk that is still waited for writes this much.
constexpr std::uint64_t kSlowestDiskBytesPerSecond = 20'000'000;

// Reading this much costs less than a new connection.
constexpr std::uint64_t kWorthReadingBytes = 256 * 1024;

std::string request_text(const Node& node, const Exchange::Request& request) {
  std::string text;
  text.append(request.method).append(" ").append(request.target);
  text.append(" HTTP/1.1\r\nHost: ").append(node.address.text()).append("\r\n");
  if (request.body) {
    text.append("Content-Length: ").append(std::to_string(size_of(*request.body))).append("\r\n");
  }
  text.append(request.headers).append("\r\n");
  return text;
}

// What came of one attempt on one connection.
struct Attempt {
  std::optional<ResponseHead> head;
  std::optional<Error> error;  // set if head is not
  bool all_sent = false;
  bool nothing_came = false;   // no byte of a reply
};

Result<ResponseHead> read_reply_head(HttpStream& stream, std::string_view method,
                                     Deadline deadline) {
  for (int interim = 0; interim < kMostInterim; ++interim) {
    const auto text = stream.read_head(deadline);
    if (!text) return text.error();
    if (!*text) return Error{std::errc::connection_reset, "connection closed without a reply"};
    auto head = ResponseHead::parse(**text, method);
    if (!head) return Error{std::errc::bad_message, head.error().what};
    if (head->status() >= 200) return head;
  }
  return Error{std::errc::bad_message, "too many informational replies"};
}

Attempt try_on(HttpStream& stream, const Node& node, const Exchange::Request& request,
               std::chrono::milliseconds timeout) {
  const PutBody none = std::span<const char>();
  const NodeClient::Progress silent;
  const PutBody& body = request.body ? *request.body : none;
  Attempt attempt;
  const auto sent = send_request(stream, request_text(node, request), body, timeout,
                                 request.progress ? *request.progress : silent);
  if (!sent) {
    attempt.error = sent.error();
    attempt.nothing_came = stream.buffered().empty();
    return attempt;
  }
  attempt.all_sent = *sent == Sending::kAll;
  const std::chrono::seconds to_store(size_of(body) / kSlowestDiskBytesPerSecond);
  auto head = read_reply_head(stream, request.method, Deadline::after(timeout + to_store));
  if (!head) {
    attempt.error = head.error();
    attempt.nothing_came = stream.buffered().empty();
  } else if (!attempt.all_sent && head->status() < 400) {
    attempt.error = {std::errc::bad_message, "answered before it had the body"};
  } else {
    attempt.head = std::move(*head);
  }
  return attempt;
}

bool is_broken(const Attempt& attempt) {
  return attempt.error && attempt.nothing_came &&
         (attempt.error->code == std::errc::connection_reset ||
          attempt.error->code == std::errc::broken_pipe);
}

}  // namespace

Result<Exchange> Exchange::begin(ConnectionPool& pool, const Node& node, const Request& request,
                                 std::chrono::milliseconds timeout) {
  const auto failure = [&](const Error& why, bool unclear) {
    return Error{unclear ? std::errc::not_connected : why.code,
                 std::string(request.method) + " " + request.target + " on " + node.label() +
                     ": " + why.what + (unclear ? " (whether it was stored is unknown)" : "")};
  };
  bool unclear = false;  // an earlier attempt sent everything and heard nothing
  std::unique_ptr<HttpStream> stream = pool.take(node.address);
  bool kept = stream != nullptr;
  for (;;) {
    if (!stream) {
      auto fd = connect_tcp(node.address, Deadline::after(timeout));
      if (!fd) return failure(fd.error(), unclear);
      stream = std::make_unique<HttpStream>(std::move(*fd), kMaxHeadBytes);
    }
    Attempt attempt = try_on(*stream, node, request, timeout);
    if (attempt.head) {
      Exchange exchange(pool, node.address, std::move(stream), std::move(*attempt.head), timeout);
      exchange.repeated_ = unclear;
      exchange.cut_short_ = !attempt.all_sent;
      return exchange;
    }
    unclear = unclear || (request.body && attempt.all_sent);
    // The server may have closed a kept connection at the moment it was used again.
    if (!kept || !is_broken(attempt)) return failure(*attempt.error, unclear);
    kept = false;
    stream.reset();
  }
}

Result<std::size_t> Exchange::read(std::span<char> into) {
  auto n = body_.read(into, pace_.deadline());
  if (n) pace_.moved(*n);
  return n;
}

Result<std::size_t> Exchange::read_full(std::span<char> into) {
  std::size_t got = 0;
  while (got < into.size() && !body_.done()) {
    const auto n = read(into.subspan(got));
    if (!n) return n.error();
    got += *n;
  }
  return got;
}

Result<std::uint64_t> Exchange::skip(std::uint64_t bytes) {
  std::array<char, 64 * 1024> unwanted;
  std::uint64_t skipped = 0;
  while (skipped < bytes && !body_.done()) {
    const std::size_t step = std::min<std::uint64_t>(bytes - skipped, unwanted.size());
    const auto n = read(std::span(unwanted).first(step));
    if (!n) return n.error();
    skipped += *n;
  }
  return skipped;
}

void Exchange::finish() {
  if (!stream_ || cut_short_ || !head_.keep_alive()) return;
  if (!body_.done() && body_.known_left() > 0 && body_.known_left() <= kWorthReadingBytes) {
    if (const auto skipped = skip(kWorthReadingBytes); !skipped) return;
  }
  if (body_.done()) pool_.keep(address_, std::move(stream_));
}

}  // namespace skein
