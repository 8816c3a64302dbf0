// The address that other hosts reach this one at.
#pragma once

#include <string>

namespace skein {

// The IPv4 address that the default route leaves from; else that of the first interface that is up
// and not loopback; else 127.0.0.1.
std::string own_ipv4();

}  // namespace skein
