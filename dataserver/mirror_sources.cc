#include "dataserver/mirror_sources.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <system_error>

#include "core/fd.h"

namespace skein {
namespace {

constexpr std::uint16_t kHttpPort = 80;

// An address of this machine can be bound to.
bool is_own(const std::string& host) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return false;
  const Fd probe(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return probe && ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&address),
                         sizeof address) == 0;
}

// A server that listens on all addresses is known by one of them and may be named by another.
bool same_place(const NodeAddress& a, const NodeAddress& b) {
  return a.port == b.port && (a.host == b.host || (is_own(a.host) && is_own(b.host)));
}

bool of_cluster(const Node& node, const std::string& cluster) {
  if (!node.cluster.empty()) return node.cluster == cluster;
  return !node.name.empty() && belongs_to(node, "[" + cluster + "]");
}

// nullopt: a control character.
std::optional<std::string> escape(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return std::nullopt;
    if (byte > 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out.append({'%', kDigits[byte >> 4], kDigits[byte & 15]});
    }
  }
  return out;
}

}  // namespace

Result<MirrorSource> parse_mirror_source(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  const Error wrong{std::errc::invalid_argument, "MirrorSource must be http://host:port/path"};
  if (!url.starts_with(kScheme)) return wrong;
  url.remove_prefix(kScheme.size());
  const std::size_t slash = url.find('/');
  if (slash == 0 || slash == std::string_view::npos) return wrong;
  std::string authority(url.substr(0, slash));
  if (authority.find('@') != std::string::npos) return wrong;
  const std::size_t bracket = authority.find(']');
  const std::size_t from = bracket == std::string::npos ? 0 : bracket;
  if (authority.find(':', from) == std::string::npos) authority += ":" + std::to_string(kHttpPort);
  auto address = parse_node_url(authority);
  if (!address) return wrong;
  const std::string_view path = url.substr(slash, url.find('#') - slash);
  auto target = escape(path);
  if (!target || path.substr(0, path.find('?')).ends_with('/')) return wrong;
  return MirrorSource{std::move(*address), std::move(*target)};
}

bool MirrorSources::listed(const NodeAddress& address) const {
  return std::any_of(options_.allowed.begin(), options_.allowed.end(), [&](const std::string& one) {
    return one == address.host || one == address.text();
  });
}

Result<bool> MirrorSources::allows(const NodeAddress& address) {
  if (listed(address)) return true;
  const auto found = members();
  if (!found) return found.error();
  if (*found == nullptr) return false;
  const NodeSnapshot nodes = (*found)->wait_settled(Deadline::after(kSearchTime));
  return std::any_of(nodes->begin(), nodes->end(), [&](const Node& node) {
    return of_cluster(node, options_.cluster) && same_place(node.address, address);
  });
}

Result<NodeList> MirrorSources::settled() {
  NodeList cluster;
  const auto found = members();
  if (!found) return found.error();
  if (*found == nullptr) return cluster;
  const NodeSnapshot nodes = (*found)->wait_settled(Deadline::after(kSearchTime));
  for (const Node& node : *nodes) {
    if (of_cluster(node, options_.cluster)) cluster.push_back(node);
  }
  return cluster;
}

void MirrorSources::report_failure(const std::string& key, const Error& why) {
  const auto found = members();
  if (found && *found != nullptr) (*found)->report_failure(key, why);
}

Result<Membership*> MirrorSources::members() {
  if (!options_.mdns && !options_.registry) return nullptr;
  const std::lock_guard lock(mutex_);
  if (!members_) {
    MembershipOptions how;
    how.filter = options_.cluster;
    how.mdns = options_.mdns;
    how.registry = options_.registry;
    try {
      members_ = Membership::start(std::move(how));
    } catch (const std::system_error& error) {
      return Error{std::errc::resource_unavailable_try_again,
                   std::string("the cluster cannot be looked at, no thread is to be had: ") +
                       error.what()};
    }
  }
  return members_.get();
}

}  // namespace skein
