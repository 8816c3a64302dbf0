#include "client/send_request.h"

#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <optional>

#include "client/pace.h"

namespace skein {
namespace {

// One system call's worth: large enough to cost nothing, small enough to report progress.
constexpr std::uint64_t kPieceBytes = 1024 * 1024;

// sendfile(2) has no MSG_NOSIGNAL: SIGPIPE is held back in this thread and taken off again.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    pending_before_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec none{};
    while (!pending_before_ && sigtimedwait(&sigpipe_, nullptr, &none) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t sigpipe_{};
  sigset_t before_{};
  bool pending_before_ = false;
};

// As against trouble with the file, both of which sendfile(2) reports.
bool is_connection_trouble(int error) {
  return error == EPIPE || error == ECONNRESET || error == ETIMEDOUT || error == EHOSTUNREACH ||
         error == ENETUNREACH || error == ENETDOWN || error == ECONNABORTED || error == ENOTCONN;
}

// What is left to send.
class Outgoing {
 public:
  Outgoing(std::string_view head, const PutBody& body) : head_(head) {
    if (const auto* memory = std::get_if<std::span<const char>>(&body)) {
      memory_ = *memory;
    } else {
      file_ = std::get<FileRange>(body);
      no_sigpipe_.emplace();
    }
  }

  bool empty() const { return head_.empty() && memory_.empty() && file_.size_bytes == 0; }
  std::uint64_t body_sent() const { return body_sent_; }

  // One system call. Returns the bytes that went out, nullopt if the socket takes none now.
  Result<std::optional<std::size_t>> send_some(int socket) {
    const bool from_file = head_.empty() && file_.size_bytes > 0;
    const ssize_t n = from_file ? send_file(socket) : send_memory(socket);
    if (n < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return std::optional<std::size_t>();
      if (errno == EINTR) return std::optional<std::size_t>(0);
      const Error error = errno_error(errno, from_file ? "send file" : "send");
      if (!from_file || is_connection_trouble(errno)) return error;
      return Error{std::errc::operation_canceled, error.what};
    }
    if (from_file && n == 0) {
      return Error{std::errc::operation_canceled, "file became shorter while it was sent"};
    }
    const auto sent = static_cast<std::size_t>(n);
    take_off(sent, from_file);
    return std::optional(sent);
  }

 private:
  ssize_t send_file(int socket) {
    auto offset = static_cast<off_t>(file_.offset);
    return ::sendfile(socket, file_.fd, &offset, std::min(file_.size_bytes, kPieceBytes));
  }

  ssize_t send_memory(int socket) {
    const std::size_t of_memory = std::min<std::uint64_t>(memory_.size(), kPieceBytes);
    iovec parts[2] = {{const_cast<char*>(head_.data()), head_.size()},
                      {const_cast<char*>(memory_.data()), of_memory}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const int more = file_.size_bytes > 0 ? MSG_MORE : 0;
    return ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL | more);
  }

  void take_off(std::size_t sent, bool from_file) {
    const std::size_t of_head = std::min(sent, head_.size());
    head_.remove_prefix(of_head);
    body_sent_ += sent - of_head;
    if (from_file) {
      file_.offset += sent;
      file_.size_bytes -= sent;
    } else {
      memory_ = memory_.subspan(sent - of_head);
    }
  }

  std::string_view head_;
  std::span<const char> memory_;
  FileRange file_;
  std::uint64_t body_sent_ = 0;
  std::optional<NoSigpipe> no_sigpipe_;
};

// True if a final reply's head lies in the buffer; interim ones (1xx) are skipped.
bool has_reply(HttpStream& stream) {
  for (;;) {
    const std::string_view input = stream.buffered();
    const std::size_t end = input.find("\r\n\r\n");
    if (end == std::string_view::npos) return false;
    if (!input.starts_with("HTTP/1.1 1")) return true;
    stream.consume(end + 4);
  }
}

// Takes in what the peer said meanwhile. Errors: connection_reset (it closed without a reply).
Result<bool> replied(HttpStream& stream) {
  const auto filled = stream.fill();
  if (has_reply(stream)) return true;
  if (!filled) return filled.error();
  if (*filled == HttpStream::Fill::kClosed) {
    return Error{std::errc::connection_reset, "connection closed while the body was sent"};
  }
  if (*filled == HttpStream::Fill::kFull) {
    return Error{std::errc::bad_message, "reply's head is too long"};
  }
  return false;
}

}  // namespace

Result<Sending> send_request(HttpStream& stream, std::string_view head, const PutBody& body,
                             std::chrono::milliseconds timeout,
                             const NodeClient::Progress& progress) {
  Outgoing rest(head, body);
  Pace pace(timeout);
  while (!rest.empty()) {
    const auto sent = rest.send_some(stream.fd());
    if (!sent) {
      // A server that refuses and closes makes the send fail; its reply may still be readable.
      if (const auto reply = replied(stream); reply && *reply) return Sending::kRepliedEarly;
      return sent.error();
    }
    if (*sent) {
      pace.moved(**sent);
      if (progress && **sent > 0) progress(rest.body_sent());
      continue;
    }
    pollfd p{stream.fd(), POLLIN | POLLOUT, 0};
    const int ready = ::poll(&p, 1, pace.deadline().poll_ms());
    if (ready == 0 && pace.deadline().passed()) {
      return Error{std::errc::timed_out, "node took no more of the body in time"};
    }
    if (ready > 0 && (p.revents & POLLIN) != 0) {
      const auto reply = replied(stream);
      if (!reply) return reply.error();
      if (*reply) return Sending::kRepliedEarly;
    }
  }
  return Sending::kAll;
}

}  // namespace skein
