// A directory as a page for people with a browser. Pure.
#pragma once

#include <string>

#include "core/listing.h"
#include "core/path.h"

namespace skein {

// More names than this make a page that browsers choke on; the rest is counted, not shown.
inline constexpr std::size_t kMaxPageNames = 20'000;

// Nothing in it runs: names are escaped, and the reply forbids scripts (kPagePolicy).
std::string directory_page(const ClusterPath& path, const Listing& listing);

// Value of Content-Security-Policy for it.
inline constexpr const char* kPagePolicy = "default-src 'none'; style-src 'unsafe-inline'";

}  // namespace skein
