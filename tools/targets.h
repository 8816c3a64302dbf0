// Cluster paths as people write them on a command line, and the rule that names what is copied.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/path.h"

namespace skein {

struct Target {
  ClusterPath path;
  std::string prefix;       // "skein://lab" as written, or ""; set before paths that are printed
  bool is_folder = false;   // written with a slash at its end, or the root

  std::string shown(const ClusterPath& below) const { return prefix + "/" + below.text(); }
};

struct Targets {
  std::vector<Target> targets;
  std::optional<std::string> cluster;  // named by URIs; "" = every visible node
};

// Errors: invalid_argument (bad path or URI, or two different clusters in one command),
// filename_too_long.
Result<Targets> parse_targets(const std::vector<std::string>& words);

// The name under which a local source is stored in a folder: its last component; "" for sources
// that end in "." or "..", or are "/", which stand for what is in them.
std::string source_name(std::string_view source);

// Why, when the client's words begin with the path that the message begins with already:
// "get /a/b: no such file" for a/b is "no such file".
Error without_path(const Error& error, const ClusterPath& path);

}  // namespace skein
