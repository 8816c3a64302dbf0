// Which nodes are alive now: merged from a static list, the registry of this host and mDNS, and
// believed only after an answer. mDNS news and registry files are hints; a probe (GET /__status)
// decides, and tells id, host id and cluster. A node that fails is set aside, probed again with
// back-off, never forgotten while a source still names it.
//
// Thread-safe. Owns its threads; the destructor joins them within the probe deadline.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/node.h"

namespace skein {

struct MembershipOptions {
  std::string filter;                      // docs/wire.md, "Filter rule"; static nodes always pass
  std::vector<NodeAddress> static_nodes;
  bool mdns = true;                        // absent avahi-daemon: logged once, awaited, no error
  bool registry = true;
  std::chrono::milliseconds probe_timeout{1000};
};

// For people (`skein nodes`) and scripts: every node a source names, alive or not.
struct NodeState {
  enum class Kind { kUnproven, kAlive, kSetAside };
  Node node;
  Kind kind = Kind::kUnproven;
  std::string sources;  // "static", "registry", "mdns", joined by "+"
  std::string why;      // last failure, when set aside
};

class Membership {
 public:
  // Errors: none of the sources can fail the start; invalid options are asserted; std::system_error,
  // as std::thread.
  static std::unique_ptr<Membership> start(MembershipOptions options);
  virtual ~Membership() = default;

  // The nodes alive now. Never null, cheap, the same object until something changes.
  virtual NodeSnapshot nodes() const = 0;
  virtual std::vector<NodeState> states() const = 0;

  // Waits until every static and registered node was probed once and mDNS has reported what it
  // knows (or is not there), then returns nodes(); on the deadline returns what there is.
  virtual NodeSnapshot wait_settled(Deadline deadline) = 0;

  // A caller saw this node fail (by Node::key()): it is probed at once, and set aside if the probe
  // fails too. Returns without waiting.
  virtual void report_failure(const std::string& key, const Error& why) = 0;

  // Called after each change of nodes(), from a thread of the membership, without locks held.
  // Must be set before the first change matters and may be set once.
  virtual void on_change(std::function<void(NodeSnapshot)> callback) = 0;
};

}  // namespace skein
