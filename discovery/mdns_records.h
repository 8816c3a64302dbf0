// What Skein's nodes say by mDNS, in both directions. Source: docs/wire.md, "Names, discovery,
// URIs". PYME's nodes have an empty TXT record.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/node.h"

namespace skein {

inline constexpr const char* kMdnsType = "_pyme-http._tcp";

// TXT strings are key=value; a string holds at most 255 bytes (RFC 6763), so what does not fit is
// left out rather than cut.
inline constexpr std::size_t kMaxTxtBytes = 255;

std::vector<std::string> txt_of(const Node& node);  // v=1, id=, host=, cluster=
// Puts what a TXT string tells into `node`. Unknown keys and an id that is no UUID are passed over.
void apply_txt(const std::string& text, Node& node);

// The same service is heard of once per interface and IP version. One node each and address; the
// IPv6 ones only of those names that have no IPv4 address.
std::vector<Node> prefer_ipv4(std::vector<Node> heard);

}  // namespace skein
