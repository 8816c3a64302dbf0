#include "core/socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "core/host_lookup.h"

namespace skein {
namespace {

Result<Fd> begin_one(const addrinfo& to, const std::string& what) {
  Fd fd(::socket(to.ai_family, to.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to.ai_protocol));
  if (!fd) return errno_error(errno, what);
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd.get(), to.ai_addr, to.ai_addrlen) != 0 && errno != EINPROGRESS) {
    return errno_error(errno, what);
  }
  return fd;
}

std::string connect_text(const NodeAddress& address) { return "connect to " + address.text(); }

Result<Fd> connect_one(const addrinfo& to, const NodeAddress& address, Deadline deadline) {
  auto fd = begin_one(to, connect_text(address));
  if (!fd) return fd;
  if (auto ready = wait_ready(fd->get(), POLLOUT, deadline); !ready) {
    return Error{ready.error().code, connect_text(address) + ": " + ready.error().what};
  }
  if (auto outcome = connect_outcome(fd->get(), address); !outcome) return outcome.error();
  return fd;
}

}  // namespace

Result<void> wait_ready(int fd, short events, Deadline deadline) {
  for (;;) {
    pollfd p{fd, events, 0};
    const int n = ::poll(&p, 1, deadline.poll_ms());
    if (n > 0) return {};
    if (n == 0 && deadline.passed()) return Error{std::errc::timed_out, "no answer in time"};
    if (n < 0 && errno != EINTR) return errno_error(errno, "poll");
  }
}

Result<Fd> connect_tcp(const NodeAddress& address, Deadline deadline) {
  const auto addresses = look_up(address, deadline);
  if (!addresses) return addresses.error();
  Error last{std::errc::host_unreachable, connect_text(address) + ": no address"};
  for (const addrinfo* to = (*addresses).get(); to != nullptr; to = to->ai_next) {
    auto fd = connect_one(*to, address, deadline);
    if (fd) return fd;
    last = fd.error();
  }
  return last;
}

Result<Fd> begin_connect(const NodeAddress& address, std::size_t skip, Deadline deadline) {
  const auto addresses = look_up(address, deadline);
  if (!addresses) return addresses.error();
  Error last{std::errc::host_unreachable, connect_text(address) + ": no further address"};
  std::size_t index = 0;
  for (const addrinfo* to = (*addresses).get(); to != nullptr; to = to->ai_next) {
    if (index++ < skip) continue;
    auto fd = begin_one(*to, connect_text(address));
    if (fd) return fd;
    last = fd.error();
  }
  return last;
}

Result<void> connect_outcome(int fd, const NodeAddress& address) {
  int failure = 0;
  socklen_t size = sizeof failure;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
  if (failure != 0) return errno_error(failure, connect_text(address));
  return {};
}

Result<Fd> listen_tcp(const NodeAddress& address, int backlog) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  if (const int rc = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found); rc != 0) {
    return Error{std::errc::host_unreachable,
                 "look up host " + address.host + ": " + gai_strerror(rc)};
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
  const addrinfo& at = *addresses;
  const std::string what = "listen on " + address.text();
  Fd fd(::socket(at.ai_family, at.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at.ai_protocol));
  if (!fd) return errno_error(errno, what);
  const int on = 1;
  // A restarted server must not wait for the old one's connections to leave TIME_WAIT.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), at.ai_addr, at.ai_addrlen) != 0) return errno_error(errno, what);
  if (::listen(fd.get(), backlog) != 0) return errno_error(errno, what);
  return fd;
}

Result<NodeAddress> local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* any = reinterpret_cast<sockaddr*>(&storage);
  if (::getsockname(fd, any, &size) != 0) return errno_error(errno, "getsockname");
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  const int rc = getnameinfo(any, size, host, sizeof host, port, sizeof port,
                             NI_NUMERICHOST | NI_NUMERICSERV);
  if (rc != 0) return Error{std::errc::invalid_argument, gai_strerror(rc)};
  return NodeAddress{host, static_cast<std::uint16_t>(std::stoi(port))};
}

}  // namespace skein
