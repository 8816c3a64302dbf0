#include "core/cluster_uri.h"

namespace skein {

Result<ClusterUri> parse_cluster_uri(std::string_view text) {
  ClusterUri uri;
  const std::size_t scheme_end = text.find("://");
  // A path may hold "://" further on ("a/b://c" is three odd names); a scheme holds no slash.
  if (scheme_end != std::string_view::npos && text.find('/') == scheme_end + 1) {
    const std::string_view scheme = text.substr(0, scheme_end);
    if (scheme != "PYME-CLUSTER" && scheme != "pyme-cluster" && scheme != "skein") {
      return Error{std::errc::invalid_argument,
                   "unknown scheme '" + std::string(scheme) + "' in '" + std::string(text) +
                       "': use skein://CLUSTER/PATH or PYME-CLUSTER://CLUSTER/PATH"};
    }
    const std::string_view rest = text.substr(scheme_end + 3);
    const std::size_t slash = rest.find('/');
    uri.cluster = std::string(rest.substr(0, slash));
    text = slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
  }
  bool climbed = false;
  auto path = ClusterPath::parse(text, &climbed);
  if (!path) return path.error();
  if (climbed) {
    return Error{std::errc::invalid_argument,
                 "path climbs above the cluster's root: '" + std::string(text) + "'"};
  }
  uri.path = std::move(*path);
  return uri;
}

}  // namespace skein
