// Where the mount of one user keeps what it remembers, for the mount and for `skein recover`.
#pragma once

#include <filesystem>

#include "core/config.h"

namespace skein {

// mount.cache_dir; unset: $XDG_CACHE_HOME/skein, ~/.cache/skein, /var/cache/skein for a root
// without a home (as started by init). Absolute.
std::filesystem::path cache_folder(const Config& config);
// mount.spool_dir; unset: "spool" in the cache folder. Absolute.
std::filesystem::path spool_folder(const Config& config);

}  // namespace skein
