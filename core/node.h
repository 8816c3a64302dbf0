// A running data server, as seen from outside, and the immutable set of those alive now.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"

namespace skein {

struct NodeAddress {
  std::string host;  // numeric address or host name
  std::uint16_t port = 0;

  std::string text() const;  // "host:port"; IPv6 in brackets
  bool operator==(const NodeAddress&) const = default;
};

// "http://host:port/", "host:port" or "host" (default port 15348). Errors: invalid_argument.
Result<NodeAddress> parse_node_url(std::string_view text);

inline constexpr std::uint16_t kDefaultPort = 15348;  // PYME's default, docs/wire.md

struct Node {
  NodeAddress address;
  std::string id;       // UUID kept with the store; "" for a server that is not Skein's
  std::string host_id;  // equal for processes on one machine; "" unknown
  std::string name;     // mDNS instance name, "" if not advertised
  std::string cluster;  // "" unknown
  std::string lane;     // path of the lane's socket on that host; "" = none

  // Stands for the same store across restarts where that is known: the id, else the address.
  std::string key() const { return id.empty() ? address.text() : id; }
  // For messages and tables: "cam2 (10.0.0.2:15348)" or just the address.
  std::string label() const;
  std::string url() const { return "http://" + address.text() + "/"; }
  bool is_skein() const { return !id.empty(); }
  bool operator==(const Node&) const = default;
};

// Immutable once shared; sorted by key, so that every holder sees one order.
using NodeList = std::vector<Node>;
using NodeSnapshot = std::shared_ptr<const NodeList>;

// The instance name of docs/wire.md: "PYMEDataServer [<cluster>]:<computer> - PID:<pid>", the part
// before "PID:" cut so that the whole has at most 63 bytes.
std::string instance_name(const std::string& cluster, const std::string& computer, long pid);

// A node belongs to `filter` iff filter is a substring of its instance name (docs/wire.md); a node
// without an instance name is matched by its cluster name being equal; "" matches all.
bool belongs_to(const Node& node, const std::string& filter);

// $PYME_COMPUTERNAME, or the host name up to the first dot. Also the default cluster name.
std::string computer_name();

// Same text in every process of this machine until it is reinstalled: from /etc/machine-id, or the
// kernel's boot id where there is none.
std::string local_host_id();

}  // namespace skein
