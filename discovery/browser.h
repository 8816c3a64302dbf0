// Hears of nodes by mDNS, through the Avahi daemon. Only hears: whether a node is there is for
// probes to find out. While the daemon is away, what it said last stays said. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/node.h"

namespace skein {

// Avahi's daemon gives one client at most 1024 objects; each record takes one, the browser another.
inline constexpr std::size_t kMostMdnsRecords = 1000;

class MdnsBrowser {
 public:
  // `named`: all that is named now, one entry per name and address. `complete`: the daemon has
  // said what it knows, or is not there. Called from the browser's thread, after each change.
  using Report = std::function<void(std::vector<Node> named, bool complete)>;
  static std::unique_ptr<MdnsBrowser> start(Report report);
  virtual ~MdnsBrowser() = default;
};

}  // namespace skein
