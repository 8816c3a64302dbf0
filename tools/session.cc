#include "tools/session.h"

#include <chrono>

namespace skein {
namespace {

// mDNS answers of a local network come within a second; static nodes are probed within one.
constexpr std::chrono::milliseconds kSettle{2000};

struct Wanted {
  MembershipOptions options;
  bool cluster_given = false;  // by flag or URI, so that a node of another one is an error
};

Result<Wanted> wanted_nodes(const Surroundings& with, const std::optional<std::string>& cluster) {
  Wanted wanted;
  wanted.cluster_given = cluster || with.flags.cluster;
  wanted.options.filter = cluster ? *cluster : with.config.text("cluster");
  const bool only_static = !with.flags.nodes.empty();
  wanted.options.mdns = !only_static && with.config.flag("mdns");
  wanted.options.registry = !only_static && with.config.flag("registry");
  for (const std::string& url : with.config.list("nodes")) {
    auto address = parse_node_url(url);
    if (!address) return address.error();
    wanted.options.static_nodes.push_back(std::move(*address));
  }
  return wanted;
}

Error no_node(const MembershipOptions& options, const std::vector<NodeState>& states) {
  std::string what = "no node found";
  if (options.static_nodes.empty()) {
    what += options.filter.empty() ? "" : " of cluster '" + options.filter + "'";
    if (states.empty()) what += "; name one with --node URL, or another cluster with --cluster";
  }
  if (!states.empty()) {
    const NodeState& first = states.front();
    what += ": " + first.node.label() + ": " + (first.why.empty() ? "no answer yet" : first.why);
    if (states.size() > 1) what += " (and " + std::to_string(states.size() - 1) + " more)";
  }
  return {std::errc::host_unreachable, what};
}

}  // namespace

Session::Session(std::unique_ptr<Membership> membership, std::chrono::milliseconds timeout)
    : membership_(std::move(membership)),
      client_(timeout),
      placement_(real_clock()),
      downloader_(client_, *membership_),
      uploader_(client_, placement_, *membership_) {}

Session::Opened Session::open_even_without(const Surroundings& with,
                                           const std::optional<std::string>& cluster) {
  auto wanted = wanted_nodes(with, cluster);
  if (!wanted) return wanted.error();
  auto session = std::unique_ptr<Session>(new Session(
      Membership::start(wanted->options), with.config.milliseconds("deadline_ms")));
  session->membership_->wait_settled(Deadline::after(kSettle));
  return session;
}

Session::Opened Session::open(const Surroundings& with,
                              const std::optional<std::string>& cluster) {
  auto wanted = wanted_nodes(with, cluster);
  if (!wanted) return wanted.error();
  auto session = open_even_without(with, cluster);
  if (!session) return session;
  const NodeSnapshot nodes = (*session)->nodes();
  if (nodes->empty()) return no_node(wanted->options, (*session)->membership().states());
  // Static nodes pass every filter; but a file is not put into a cluster that was not meant.
  for (const Node& node : *nodes) {
    if (!wanted->cluster_given) break;
    if (node.cluster.empty() || belongs_to(node, wanted->options.filter)) continue;
    return Error{std::errc::host_unreachable, "no node found of cluster '" +
                                                  wanted->options.filter + "': " + node.label() +
                                                  " is of '" + node.cluster + "'"};
  }
  return session;
}

void Session::report_set_aside(Messages& messages) {
  for (const NodeState& state : membership_->states()) {
    if (state.kind == NodeState::Kind::kSetAside) messages.missing_node(state.node, state.why);
  }
}

Result<Listing> Session::list(const ClusterPath& path, Messages& messages) {
  report_set_aside(messages);
  auto found = list_union(client_, *nodes(), path);
  if (!found) return found.error();
  for (const Node& node : found->silent) messages.missing_node(node, "no answer");
  return std::move(found->listing);
}

ExitStatus refuse(const Surroundings& with, const Error& why) {
  with.messages.failure(why.what);
  return why.code == std::errc::host_unreachable ? ExitStatus::kNoNode : ExitStatus::kWrongUsage;
}

}  // namespace skein
