// One refresh of one directory, step by step: asks all nodes, decides whose share holds, and stores
// the result. The rules are in directories.h. Of a directory of which nothing is stored yet, names
// are stored as soon as no node can add to them. One thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/tree.h"
#include "client/listing_round.h"
#include "client/node_client.h"
#include "client/union_listing.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/node.h"
#include "core/path.h"
#include "discovery/membership.h"

namespace skein {

class Refresh {
 public:
  struct Parts {
    Tree& tree;
    NodeClient& client;
    Membership& membership;
    // Whether a node that no source names has left for good.
    std::function<bool(const std::string& node_key)> has_left;
    Clock now;
  };
  struct Outcome {
    std::vector<Node> missing;  // share stale or not there
    bool complete = false;      // every node answered
    std::uint64_t version = 0;  // of what is stored now (ShareHeads::version)
  };

  // `in_full`: without the ETags, so that every node lists anew.
  Refresh(Parts parts, Inode directory, ClusterPath path, bool in_full)
      : parts_(std::move(parts)), directory_(directory), path_(std::move(path)), in_full_(in_full) {}

  // Waits for the nodes, not beyond `deadline`, and stores what is known then. True: it is over.
  bool advance(Deadline deadline);
  // A node said that it needs time, or lists in pieces.
  bool takes_long() const { return takes_long_; }
  // All names up to this one that the nodes have are stored; "" none yet.
  const std::string& stored_through() const { return stored_through_; }
  // Precondition: it is over. Errors: as Directories::refresh().
  Result<Outcome> take_outcome() { return std::move(*outcome_); }

 private:
  struct Sorted;
  Result<void> begin();
  void store_final();
  Result<Outcome> conclude(bool overwrite);
  Result<Outcome> store(Sorted sorted, bool complete, bool overwrite);
  Sorted sort(const NodeList& asked, std::vector<NodeShare> shares) const;
  Result<Outcome> without_answer(std::vector<Node> missing) const;
  Result<Outcome> gone() const;

  const Parts parts_;
  const Inode directory_;
  const ClusterPath path_;
  const bool in_full_;

  // Of one try: what was stored before, and who is asked.
  ShareHeads heads_;
  NodeSnapshot asked_;
  TimePoint asked_at_{};
  std::unique_ptr<ListingRound> round_;
  bool stores_final_ = false;

  int tries_ = 0;
  bool takes_long_ = false;
  std::string stored_through_;
  std::optional<Result<Outcome>> outcome_;
};

}  // namespace skein
