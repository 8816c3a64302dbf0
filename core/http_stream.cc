#include "core/http_stream.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "core/http_head.h"
#include "core/socket.h"

namespace skein {

HttpStream::HttpStream(Fd socket, std::size_t buffer_bytes)
    : socket_(std::move(socket)),
      first_capacity_(buffer_bytes),
      capacity_(buffer_bytes),
      buffer_(std::make_unique_for_overwrite<char[]>(buffer_bytes)) {
  assert(buffer_bytes >= kMaxHeadBytes);
}

void HttpStream::consume(std::size_t n) {
  assert(n <= end_ - begin_);
  begin_ += n;
  searched_ = 0;
  if (begin_ == end_) begin_ = end_ = 0;
}

void HttpStream::make_room() {
  if (begin_ == 0 || end_ < capacity_) return;
  std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
}

void HttpStream::resize(std::size_t capacity) {
  auto resized = std::make_unique_for_overwrite<char[]>(capacity);
  std::memcpy(resized.get(), buffer_.get() + begin_, end_ - begin_);
  buffer_ = std::move(resized);
  capacity_ = capacity;
  end_ -= begin_;
  begin_ = 0;
}

Result<HttpStream::Fill> HttpStream::drain(std::size_t max_bytes) {
  for (;;) {
    // Moving is cheap while the smaller half is moved; then the buffer grows instead.
    if (end_ == capacity_ && end_ - begin_ > capacity_ / 2) {
      if (capacity_ >= max_bytes) return Fill::kFull;
      resize(std::min(max_bytes, capacity_ * 2));
    }
    const auto filled = fill();
    if (!filled || *filled != Fill::kData) return filled;
  }
}

void HttpStream::shrink() {
  if (begin_ == end_ && capacity_ > first_capacity_) resize(first_capacity_);
}

Result<HttpStream::Fill> HttpStream::fill() {
  make_room();
  if (end_ == capacity_) return Fill::kFull;
  for (;;) {
    const ssize_t n =
        ::recv(socket_.get(), buffer_.get() + end_, capacity_ - end_, MSG_DONTWAIT);
    if (n > 0) {
      end_ += static_cast<std::size_t>(n);
      return Fill::kData;
    }
    if (n == 0) return Fill::kClosed;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Fill::kWouldBlock;
    if (errno != EINTR) return errno_error(errno, "receive");
  }
}

std::optional<std::size_t> HttpStream::find_head_end() {
  const std::string_view input = buffered();
  const std::size_t from = searched_ < 3 ? 0 : searched_ - 3;
  const std::size_t end = input.find("\r\n\r\n", from);
  searched_ = input.size();
  if (end == std::string_view::npos) return std::nullopt;
  return end + 4;
}

Result<std::optional<std::string_view>> HttpStream::read_head(Deadline deadline) {
  for (;;) {
    // RFC 9112 2.2: a server ignores empty lines before a request.
    while (buffered().starts_with("\r\n")) consume(2);
    if (const auto length = find_head_end()) {
      if (*length > kMaxHeadBytes) return Error{std::errc::message_size, "head is too long"};
      const std::string_view head = buffered().substr(0, *length);
      // Not consume(): the bytes must stay where they are until the next call.
      begin_ += *length;
      searched_ = 0;
      return std::optional(head);
    }
    if (buffered().size() >= kMaxHeadBytes) {
      return Error{std::errc::message_size, "head is too long"};
    }
    const auto filled = fill();
    if (!filled) return filled.error();
    if (*filled == Fill::kClosed) {
      if (buffered().empty()) return std::optional<std::string_view>();
      return Error{std::errc::connection_reset, "connection closed inside a head"};
    }
    if (*filled == Fill::kWouldBlock) {
      if (auto ready = wait_ready(socket_.get(), POLLIN, deadline); !ready) return ready.error();
    }
  }
}

Result<std::size_t> HttpStream::read(std::span<char> into, Deadline deadline) {
  if (const std::string_view input = buffered(); !input.empty()) {
    const std::size_t n = std::min(into.size(), input.size());
    std::memcpy(into.data(), input.data(), n);
    consume(n);
    return n;
  }
  for (;;) {
    const ssize_t n = ::recv(socket_.get(), into.data(), into.size(), MSG_DONTWAIT);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (auto ready = wait_ready(socket_.get(), POLLIN, deadline); !ready) return ready.error();
    } else if (errno != EINTR) {
      return errno_error(errno, "receive");
    }
  }
}

Result<void> HttpStream::write(std::string_view data, Deadline deadline) {
  return write(data, std::string_view(), deadline);
}

Result<void> HttpStream::write(std::string_view head, std::string_view body, Deadline deadline) {
  while (!head.empty() || !body.empty()) {
    iovec parts[2] = {{const_cast<char*>(head.data()), head.size()},
                      {const_cast<char*>(body.data()), body.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t n = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return errno_error(errno, "send");
      if (auto ready = wait_ready(socket_.get(), POLLOUT, deadline); !ready) return ready.error();
      continue;
    }
    const auto sent = static_cast<std::size_t>(n);
    const std::size_t of_head = std::min(sent, head.size());
    head.remove_prefix(of_head);
    body.remove_prefix(sent - of_head);
  }
  return {};
}

}  // namespace skein
