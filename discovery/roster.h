// What the sources name and what the probes found, and when to probe whom next: the rules of
// membership without threads or network. Not thread-safe; its owner holds a lock.
//
// One place per address. Places that turn out to be one node (same node id; for servers without
// one, same mDNS instance name) are shown as one, by the best address: this host's registry, then
// the static list, then mDNS. A place that no source names any more stays as long as it answers:
// mDNS may be wrong, an answer can't.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/node.h"
#include "discovery/membership.h"
#include "discovery/status_json.h"

namespace skein {

class Roster {
 public:
  // In order of preference for the address of a node.
  enum class Source { kRegistry, kStatic, kMdns };
  static constexpr std::size_t kSources = 3;

  using Interval = std::chrono::milliseconds;
  static constexpr Interval kRoutine{2000};  // so that a dead node is noticed within 3 s
  // Second look at a node that missed one probe, or that a source ceased to name.
  static constexpr Interval kSecondLook{150};
  static constexpr int kSecondLooks = 4;         // after a goodbye, then routine
  static constexpr int kMissesUntilSetAside = 2;
  static constexpr Interval kFirstBackoff{500};
  static constexpr Interval kLongestBackoff{15000};
  // A refusal costs one round trip, and means a machine that is up and may soon serve again.
  static constexpr Interval kLongestBackoffRefused{2000};
  // Between two probes of one address, however many callers report it.
  static constexpr Interval kLeast{50};

  Roster(std::string filter, Clock now) : filter_(std::move(filter)), now_(std::move(now)) {}

  // Replaces what `source` names. Nodes outside the filter are passed over, except static ones.
  void set_source(Source source, const std::vector<Node>& named);

  // Addresses to probe now; the caller owes an answered() or failed() for each. At most `most`,
  // those of live nodes first; of the others at most `most_unproven` are under way at any time.
  std::vector<NodeAddress> take_due(std::size_t most, std::size_t most_unproven);
  // The next time that take_due() may have something; nullopt: nothing is waiting.
  std::optional<TimePoint> next_due() const;

  void answered(const NodeAddress& address, const ProbedStatus& status);
  void failed(const NodeAddress& address, const Error& why);

  // A caller saw the node of this Node::key() fail: its next failed probe sets it aside.
  void suspect(const std::string& key, const Error& why);

  NodeList alive() const;  // sorted by key
  std::vector<NodeState> states() const;
  // What a person must know: two servers that run at the same time under one node id, as after a
  // copy of a node's folder with its private files; only one of them is used. Each said once.
  std::vector<std::string> take_warnings() { return std::exchange(warnings_, {}); }
  // True if every place was probed at least once.
  bool all_probed() const;
  // Changes whenever alive() may have changed.
  std::uint64_t revision() const { return revision_; }

 private:
  struct Place {
    NodeAddress address;
    std::map<Source, Node> hints;  // by those sources that name it
    NodeState::Kind kind = NodeState::Kind::kUnproven;
    ProbedStatus status;  // the last answer's
    std::string why;    // of the last failure
    bool in_flight = false;
    bool again = false;      // asked for while in flight
    bool suspected = false;  // one more miss is enough
    bool rivaled = false;    // another instance came up under its id
    int misses = 0;          // in a row
    int second_looks = 0;    // left
    Interval backoff{0};
    TimePoint last_probe{};
    TimePoint due{};
  };
  using Places = std::map<std::string, Place>;  // by address text

  void hint(Source source, const Node& node);
  void unhint(Source source, Place& place);
  void probe_soon(Place& place);
  Place* awaited(const NodeAddress& address);
  void set_aside(Place& place, const Error& why);
  // A server started anew elsewhere makes its former address doubtful.
  void look_at_rivals(Place& place, bool is_news);
  // Outside the filter by its own word: the address was taken over by another cluster's server.
  bool foreign(const Place& place, const ProbedStatus& status) const;

  static Node node_of(const Place& place);
  static std::string identity(const Place& place);
  static bool better(const Place& a, const Place& b);

  const std::string filter_;
  const Clock now_;
  Places places_;
  std::vector<std::string> warnings_;
  std::uint64_t revision_ = 0;
};

}  // namespace skein
