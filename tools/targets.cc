#include "tools/targets.h"

#include "core/cluster_uri.h"

namespace skein {

Result<Targets> parse_targets(const std::vector<std::string>& words) {
  Targets parsed;
  bool first = true;
  for (const std::string& word : words) {
    if (word.empty()) return Error{std::errc::invalid_argument, "empty path; the root is /"};
    auto uri = parse_cluster_uri(word);
    if (!uri) return uri.error();
    if (!first && uri->cluster != parsed.cluster) {
      return Error{std::errc::invalid_argument,
                   "one command works with one cluster, '" + word + "' names another"};
    }
    first = false;
    parsed.cluster = uri->cluster;
    Target target;
    target.path = std::move(uri->path);
    target.is_folder = target.path.is_root() || word.ends_with('/');
    if (uri->cluster) target.prefix = word.substr(0, word.find("://") + 3) + *uri->cluster;
    parsed.targets.push_back(std::move(target));
  }
  return parsed;
}

std::string source_name(std::string_view source) {
  while (source.ends_with('/')) source.remove_suffix(1);
  const std::string_view name = source.substr(source.find_last_of('/') + 1);
  return name == "." || name == ".." ? std::string() : std::string(name);
}

Error without_path(const Error& error, const ClusterPath& path) {
  for (const std::string_view verb : {"get", "put", "list"}) {
    const std::string front = std::string(verb) + " /" + path.text() + ": ";
    if (error.what.starts_with(front)) return {error.code, error.what.substr(front.size())};
  }
  return error;
}

}  // namespace skein
