#include "dataserver/own_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

#include "core/fd.h"

namespace skein {
namespace {

std::string text_of(const sockaddr_in& address) {
  std::array<char, INET_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
  return text.data();
}

std::string by_default_route() {
  const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);
  // A documentation address (RFC 5737). Connecting a datagram socket sends nothing.
  ::inet_pton(AF_INET, "192.0.2.1", &address.sin_addr);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (!fd || ::connect(fd.get(), any, size) != 0) return {};
  if (::getsockname(fd.get(), any, &size) != 0) return {};
  return text_of(address);
}

std::string by_interface() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  std::string found;
  for (const ifaddrs* one = list; one != nullptr && found.empty(); one = one->ifa_next) {
    const bool usable = one->ifa_addr != nullptr && one->ifa_addr->sa_family == AF_INET &&
                        (one->ifa_flags & IFF_UP) != 0 && (one->ifa_flags & IFF_LOOPBACK) == 0;
    if (usable) found = text_of(*reinterpret_cast<const sockaddr_in*>(one->ifa_addr));
  }
  ::freeifaddrs(list);
  return found;
}

}  // namespace

std::string own_ipv4() {
  std::string address = by_default_route();
  if (address.empty()) address = by_interface();
  return address.empty() ? "127.0.0.1" : address;
}

}  // namespace skein
