// One directory asked of many nodes at once, put together while their listings come (docs/wire.md,
// "Listings in pieces"). One thread at a time; the pool outlives it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/ask.h"
#include "client/node_client.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/listing.h"
#include "core/node.h"
#include "core/path.h"

namespace skein {

class ListingRound {
 public:
  // Names given at once by take_final(), at least.
  static constexpr std::size_t kLeastFinal = 1024;

  // The requests go out. `known_etags` by Node::key().
  ListingRound(ConnectionPool& pool, NodeSnapshot nodes, const ClusterPath& path,
               const std::map<std::string, std::string>& known_etags,
               std::chrono::milliseconds timeout);
  ~ListingRound();

  bool done() const { return inquiries_->done(); }
  // Waits until something comes, but not beyond `deadline`, and takes it.
  void advance(Deadline deadline) { inquiries_->advance(deadline); }

  // A node said that it needs time, or lists in pieces.
  bool takes_long() const;
  // Names not given before that no node can add to any more, in byte order, merged: those up to the
  // least "last received" of all nodes that are still listing. Empty when done: the rest is in
  // take_listings().
  std::vector<NamedEntry> take_final();

  // In the order of the nodes. nullopt: no such directory. Errors: as NodeClient::list().
  // Precondition: done().
  std::vector<Result<std::optional<NodeListing>>> take_listings();

 private:
  class Part;

  const NodeSnapshot nodes_;
  std::vector<std::unique_ptr<Part>> parts_;  // in the order of the nodes
  std::vector<std::string> texts_;            // of the questions, for messages
  std::unique_ptr<Inquiries> inquiries_;
};

}  // namespace skein
