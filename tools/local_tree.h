// What `skein put` is given, as a list of files: named ones, and all that is in folders.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/path.h"

namespace skein {

struct LocalEntry {
  std::filesystem::path file;
  ClusterPath path;              // where it goes
  std::uint64_t size_bytes = 0;  // as of now; 0 for what is no regular file
  bool is_folder = false;        // an empty one; others come into being with their files
};

using TreeFailure = std::function<void(const std::filesystem::path& file, const Error& why)>;

// All below `folder`, to go below `path`, names sorted. Links to files are followed; links to
// folders (they may lead in circles), devices, pipes and sockets are failures, as are names
// that are too long for a cluster.
void list_local_tree(const std::filesystem::path& folder, const ClusterPath& path,
                     std::vector<LocalEntry>& found, const TreeFailure& failed);

}  // namespace skein
