#include <algorithm>
#include <memory>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/json_line.h"
#include "tools/node_status.h"
#include "tools/printable.h"
#include "tools/session.h"

namespace skein {
namespace {

struct NodesOptions {
  bool all = false;
  bool human = false;
  bool json = false;
};

std::string_view kind_text(NodeState::Kind kind) {
  switch (kind) {
    case NodeState::Kind::kAlive:
      return "alive";
    case NodeState::Kind::kSetAside:
      return "set-aside";
    case NodeState::Kind::kUnproven:
      break;
  }
  return "unproven";
}

std::string bytes_text(const std::optional<std::uint64_t>& bytes, bool human) {
  if (!bytes) return "-";
  return human ? human_size(*bytes) : std::to_string(*bytes);
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : printable(text); }

std::string json_of(const NodeState& state, const NodeStatus& status) {
  JsonLine line;
  line.text("url", state.node.url())
      .text("state", kind_text(state.kind))
      .text("computer", status.computer)
      .text("cluster", state.node.cluster)
      .text("id", state.node.id)
      .text("host_id", state.node.host_id)
      .text("name", state.node.name)
      .text("sources", state.sources);
  const auto number = [&](const char* key, const std::optional<std::uint64_t>& value) {
    if (value) line.number(key, static_cast<std::int64_t>(*value));
  };
  number("free_bytes", status.disk_free_bytes);
  number("total_bytes", status.disk_total_bytes);
  if (!state.why.empty()) line.text("why", state.why);
  return line.str();
}

ExitStatus run_nodes(const NodesOptions& options, const Surroundings& with) {
  auto session =
      Session::open_even_without(with, options.all ? std::optional<std::string>("") : std::nullopt);
  if (!session) return refuse(with, session.error());
  const std::vector<NodeState> states = (*session)->membership().states();
  NodeList alive;
  for (const NodeState& state : states) {
    if (state.kind == NodeState::Kind::kAlive) alive.push_back(state.node);
  }
  const auto replies = ask_status(alive, with.config.milliseconds("deadline_ms"));
  Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft,
               Table::Align::kRight, Table::Align::kLeft, Table::Align::kLeft});
  table.add({"STATE", "ADDRESS", "COMPUTER", "CLUSTER", "FREE", "FOUND BY", "WHY"});
  for (const NodeState& state : states) {
    NodeStatus status;
    std::string why = state.why;
    for (const StatusReply& reply : replies) {
      if (reply.node.key() != state.node.key()) continue;
      if (reply.status) status = *reply.status;
      if (!reply.status) why = reply.status.error().what;
    }
    if (options.json) {
      with.out.line(json_of(state, status));
    } else {
      table.add({std::string(kind_text(state.kind)), state.node.address.text(),
                 or_dash(status.computer), or_dash(state.node.cluster),
                 bytes_text(status.disk_free_bytes, options.human), or_dash(state.sources),
                 printable(why)});
    }
  }
  if (!options.json && !states.empty()) with.out.write(table.text());
  if (!alive.empty()) return ExitStatus::kDone;
  with.messages.failure(states.empty() ? "no node found" : "no node found that answers");
  return ExitStatus::kNoNode;
}

}  // namespace

Command add_nodes(CLI::App& parent) {
  CLI::App* app = add_command(
      parent,
      {.name = "nodes",
       .usage = "[options]",
       .summary = "all known nodes, alive or set aside",
       .description = "One line for each node of the cluster that mDNS, the registry of this host\n"
                      "or the settings name, whether it answers or not, and why not.",
       .example = "skein nodes --all",
       .exit_status =
           "0 at least one node is alive; 1 output failed; 2 wrong usage; 3 no node found"});
  auto options = std::make_shared<NodesOptions>();
  app->add_flag("-a,--all", options->all, "of every cluster");
  app->add_flag("-h,--human", options->human, "sizes as 1.5G");
  add_json_flag(*app, options->json, "node: url, state, cluster, id, free_bytes, why, ...");
  return {app, [options](const Surroundings& with) { return run_nodes(*options, with); }};
}

}  // namespace skein
