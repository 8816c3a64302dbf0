#include "streamer/put_answers.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <string_view>

#include "core/http_body.h"
#include "core/http_head.h"
#include "core/socket.h"

namespace skein {
namespace {

// A peer that takes less than this in a stall's time is given up like one that stopped (pace.h).
constexpr std::uint64_t kStepBytes = 64 * 1024;

}  // namespace

PutAnswers::PutAnswers(Fd socket, std::chrono::milliseconds body_patience)
    : stream_(std::move(socket)), body_patience_(body_patience) {}

Result<std::span<const int>> PutAnswers::receive(std::chrono::milliseconds wait) {
  statuses_.clear();
  if (!ended_) {
    if (auto taken = take_in(wait); !taken) {
      ended_ = true;
      end_ = taken.error();
    }
  }
  if (ended_ && statuses_.empty()) return end_;
  return std::span<const int>(statuses_);
}

Result<void> PutAnswers::take_in(std::chrono::milliseconds wait) {
  auto filled = stream_.fill();
  if (filled && *filled == HttpStream::Fill::kWouldBlock) {
    if (!wait_ready(stream_.fd(), POLLIN, Deadline::after(wait))) return {};
    filled = stream_.fill();
  }
  while (!ended_) {
    const std::string_view input = stream_.buffered();
    if (!plain_ok_.empty() && input.starts_with(plain_ok_)) {
      stream_.consume(plain_ok_.size());
      statuses_.push_back(200);
      continue;
    }
    const std::size_t end = input.find("\r\n\r\n");
    if (end == std::string_view::npos) {
      if (input.size() >= kMaxHeadBytes) return Error{std::errc::bad_message, "answer's head is too long"};
      break;
    }
    if (auto parsed = parse_one(end + 4); !parsed) return parsed;
  }
  if (!filled) return filled.error();
  if (*filled == HttpStream::Fill::kClosed) return end_;
  return {};
}

Result<void> PutAnswers::parse_one(std::size_t head_bytes) {
  const std::string text(stream_.buffered().substr(0, head_bytes));
  const auto head = ResponseHead::parse(text, "PUT");
  if (!head) return head.error();
  stream_.consume(head_bytes);
  BodyReader body(stream_, head->framing());
  if (body.done() && head->status() == 200 && head->keep_alive()) plain_ok_ = text;
  std::array<char, 512> ignored;
  const auto deadline = Deadline::after(body_patience_);
  while (!body.done()) {
    if (auto n = body.read(ignored, deadline); !n) return n.error();
  }
  if (head->status() / 100 == 1) return {};
  statuses_.push_back(head->status());
  if (!head->keep_alive()) ended_ = true;
  return {};
}

bool PutAnswers::delivered_more() {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(stream_.fd(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  const std::uint64_t delivered = info.tcpi_bytes_acked;
  const bool all = info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0;
  if (delivered < delivered_bytes_ + (all ? 1 : kStepBytes)) return false;
  delivered_bytes_ = delivered;
  return true;
}

}  // namespace skein
