#include "client/locate.h"

#include <algorithm>

namespace skein {

Located locate(NodeClient& client, const NodeList& nodes, const ClusterPath& path) {
  static const std::string this_host = local_host_id();  // read from a file, and never changes
  auto infos = client.stat_all(nodes, path);
  Located located;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (!infos[i]) {
      located.silent.push_back(nodes[i]);
    } else if (*infos[i]) {
      located.copies.push_back({nodes[i], std::move(**infos[i])});
    }
  }
  std::stable_partition(located.copies.begin(), located.copies.end(),
                        [](const Copy& copy) { return copy.node.host_id == this_host; });
  return located;
}

}  // namespace skein
