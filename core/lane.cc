#include "core/lane.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "core/socket.h"

namespace skein {
namespace {

constexpr std::uint32_t kMagic = 0x314c4b53;  // "SKL1"

struct Header {
  std::uint32_t magic;
  std::uint32_t verb_or_errno;
  std::uint64_t stage;
  std::uint64_t size_bytes;
};
static_assert(sizeof(Header) == 24);

struct Message {
  Header header{};
  std::string text;
  Fd fd;
};

Result<void> send_message(int socket, const Header& header, std::string_view text, int fd,
                          Deadline deadline) {
  if (sizeof header + text.size() > kMaxLaneMessageBytes) {
    text = text.substr(0, kMaxLaneMessageBytes - sizeof header);
  }
  iovec parts[2] = {{const_cast<Header*>(&header), sizeof header},
                    {const_cast<char*>(text.data()), text.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  for (;;) {
    if (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (auto ready = wait_ready(socket, POLLOUT, deadline); !ready) return ready.error();
    } else if (errno != EINTR) {
      return errno_error(errno, "send on lane");
    }
  }
}

// Takes the first descriptor and closes any further one, so that a hostile peer leaks none here.
Fd take_descriptors(msghdr& message) {
  Fd first;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      Fd owned(fd);
      if (!first) first = std::move(owned);
    }
  }
  return first;
}

Result<std::optional<Message>> receive_message(int socket, Deadline deadline) {
  Message got;
  std::array<char, kMaxLaneMessageBytes> text;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 4)> control{};
  iovec parts[2] = {{&got.header, sizeof got.header}, {text.data(), text.size()}};
  for (;;) {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t n = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n == 0) return std::optional<Message>();
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return errno_error(errno, "receive on lane");
      if (auto ready = wait_ready(socket, POLLIN, deadline); !ready) return ready.error();
      continue;
    }
    got.fd = take_descriptors(message);
    const auto size = static_cast<std::size_t>(n);
    const bool cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    if (cut || size < sizeof got.header || got.header.magic != kMagic) {
      return Error{std::errc::bad_message, "not a lane message"};
    }
    got.text.assign(text.data(), size - sizeof got.header);
    return std::optional(std::move(got));
  }
}

}  // namespace

Result<void> send_request(int socket, const LaneRequest& request, Deadline deadline) {
  const Header header{kMagic, static_cast<std::uint32_t>(request.verb), request.stage,
                      request.size_bytes};
  return send_message(socket, header, request.path, -1, deadline);
}

Result<std::optional<LaneRequest>> receive_request(int socket, Deadline deadline) {
  auto message = receive_message(socket, deadline);
  if (!message) return message.error();
  if (!*message) return std::optional<LaneRequest>();
  const Header& header = (*message)->header;
  return std::optional(LaneRequest{static_cast<LaneVerb>(header.verb_or_errno), header.stage,
                                   header.size_bytes, std::move((*message)->text)});
}

Result<void> send_reply(int socket, const LaneReply& reply, Deadline deadline) {
  const Header header{kMagic, static_cast<std::uint32_t>(reply.error), reply.stage,
                      reply.size_bytes};
  return send_message(socket, header, reply.text, reply.fd.get(), deadline);
}

Result<LaneReply> receive_reply(int socket, Deadline deadline) {
  auto message = receive_message(socket, deadline);
  if (!message) return message.error();
  if (!*message) return Error{std::errc::connection_reset, "node closed the lane"};
  LaneReply reply;
  reply.error = static_cast<int>((*message)->header.verb_or_errno);
  reply.stage = (*message)->header.stage;
  reply.size_bytes = (*message)->header.size_bytes;
  reply.text = std::move((*message)->text);
  reply.fd = std::move((*message)->fd);
  return reply;
}

}  // namespace skein
