#include "core/node.h"

#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>

namespace skein {

std::string NodeAddress::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<NodeAddress> parse_node_url(std::string_view text) {
  const Error bad{std::errc::invalid_argument,
                  "not a node URL: '" + std::string(text) + "', expected http://HOST:PORT"};
  std::string_view rest = text;
  if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else if (rest.find("://") != std::string_view::npos) {
    return bad;
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.empty() || rest.find_first_of("/?#@ ") != std::string_view::npos) return bad;

  NodeAddress address{std::string(), kDefaultPort};
  std::string_view port;
  if (rest.front() == '[') {
    const std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return bad;
    address.host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (!rest.empty() && rest.front() != ':') return bad;
    if (!rest.empty()) port = rest.substr(1);
    if (!rest.empty() && port.empty()) return bad;
  } else {
    const std::size_t colon = rest.find(':');
    address.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port = rest.substr(colon + 1);
    if (colon != std::string_view::npos && port.empty()) return bad;
  }
  if (address.host.empty()) return bad;
  if (!port.empty()) {
    const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (ec != std::errc() || end != port.data() + port.size() || address.port == 0) return bad;
  }
  return address;
}

std::string Node::label() const {
  // The computer part of "PYMEDataServer [cluster]:computer - PID:123".
  const std::size_t open = name.find("]:");
  const std::size_t end = name.rfind(" - PID:");
  if (open == std::string::npos || end == std::string::npos || end <= open + 2) {
    return address.text();
  }
  return name.substr(open + 2, end - open - 2) + " (" + address.text() + ")";
}

std::string instance_name(const std::string& cluster, const std::string& computer, long pid) {
  constexpr std::size_t kMostBytes = 63;  // a DNS label (RFC 1035)
  const std::string tail = "PID:" + std::to_string(pid);
  std::string front = "PYMEDataServer [" + cluster + "]:" + computer + " - ";
  std::size_t most = kMostBytes - tail.size();
  if (front.size() > most) {
    // Never cut inside a UTF-8 sequence: the record would not be valid text.
    while (most > 0 && (static_cast<unsigned char>(front[most]) & 0xc0) == 0x80) --most;
    front.resize(most);
  }
  return front + tail;
}

bool belongs_to(const Node& node, const std::string& filter) {
  if (filter.empty()) return true;
  if (node.name.empty()) return node.cluster == filter;
  return node.name.find(filter) != std::string::npos;
}

std::string computer_name() {
  if (const char* given = std::getenv("PYME_COMPUTERNAME"); given && *given) return given;
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') return "localhost";
  const std::string name = host.data();
  return name.substr(0, name.find('.'));
}

std::string local_host_id() {
  for (const char* source : {"/etc/machine-id", "/proc/sys/kernel/random/boot_id"}) {
    std::ifstream in(source);
    std::string id;
    if (in >> id && !id.empty()) return id;
  }
  return computer_name();
}

}  // namespace skein
