#include <cmath>
#include <memory>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/json_line.h"
#include "tools/node_status.h"
#include "tools/printable.h"
#include "tools/session.h"

namespace skein {
namespace {

struct StatusOptions {
  std::vector<std::string> nodes;
  bool human = false;
  bool json = false;
};

// A node as people call it: URL, host:port, id, computer or mDNS name.
bool is_called(const Node& node, const std::string& word) {
  const auto address = parse_node_url(word);
  const std::string computer = node.label().substr(0, node.label().find(" ("));
  return (address && *address == node.address) || word == node.id || word == node.name ||
         word == node.address.host || word == computer;
}

Result<NodeList> chosen_nodes(const NodeList& all, const std::vector<std::string>& words) {
  if (words.empty()) return all;
  NodeList chosen;
  for (const std::string& word : words) {
    const std::size_t before = chosen.size();
    for (const Node& node : all) {
      if (is_called(node, word)) chosen.push_back(node);
    }
    if (chosen.size() == before) {
      return Error{std::errc::no_such_file_or_directory,
                   word + ": no such node is alive; `skein nodes` lists them"};
    }
  }
  return chosen;
}

std::string bytes_text(const std::optional<std::uint64_t>& bytes, bool human) {
  if (!bytes) return "-";
  return human ? human_size(*bytes) : std::to_string(*bytes);
}

std::string used_text(std::optional<std::uint64_t> total, std::optional<std::uint64_t> left) {
  if (!total || !left || *total == 0 || *left > *total) return "-";
  const double share = static_cast<double>(*total - *left) / static_cast<double>(*total);
  return std::to_string(std::lround(share * 100)) + "%";
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : printable(text); }

void show_table(const std::vector<StatusReply>& replies, bool human, Output& out) {
  using Align = Table::Align;
  Table table({Align::kLeft, Align::kLeft, Align::kRight, Align::kRight, Align::kRight,
               Align::kRight, Align::kRight, Align::kRight});
  table.add({"NODE", "VERSION", "UP", "CPU", "MEMORY", "DISK", "FREE", "TOTAL"});
  for (const StatusReply& reply : replies) {
    if (!reply.status) continue;
    const NodeStatus& status = *reply.status;
    const std::string cpu =
        status.cpu_percent ? std::to_string(std::lround(*status.cpu_percent)) + "%" : "-";
    table.add({printable(reply.node.label()), or_dash(status.version), or_dash(status.uptime), cpu,
               used_text(status.memory_total_bytes, status.memory_available_bytes),
               used_text(status.disk_total_bytes, status.disk_free_bytes),
               bytes_text(status.disk_free_bytes, human),
               bytes_text(status.disk_total_bytes, human)});
  }
  const SpaceSum sum = sum_space(replies);
  table.add({"all, each disk once", "", "", "", "", used_text(sum.total_bytes, sum.free_bytes),
             bytes_text(sum.free_bytes, human), bytes_text(sum.total_bytes, human)});
  out.write(table.text());
}

void show_json(const std::vector<StatusReply>& replies, Output& out) {
  for (const StatusReply& reply : replies) {
    JsonLine line;
    line.text("url", reply.node.url()).text("id", reply.node.id);
    line.truth("ok", reply.status.ok());
    if (reply.status) {
      line.json("status", reply.json);
    } else {
      line.text("error", reply.status.error().what);
    }
    out.line(line.str());
  }
  const SpaceSum sum = sum_space(replies);
  out.line(JsonLine()
               .json("sum", JsonLine()
                                .number("nodes", static_cast<std::int64_t>(replies.size()))
                                .number("free_bytes", static_cast<std::int64_t>(sum.free_bytes))
                                .number("total_bytes", static_cast<std::int64_t>(sum.total_bytes))
                                .str())
               .str());
}

ExitStatus run_status(const StatusOptions& options, const Surroundings& with) {
  auto session = Session::open(with);
  if (!session) return refuse(with, session.error());
  const auto nodes = chosen_nodes(*(*session)->nodes(), options.nodes);
  if (!nodes) {
    with.messages.failure(nodes.error().what);
    return ExitStatus::kSomeFailed;
  }
  const auto replies = ask_status(*nodes, with.config.milliseconds("deadline_ms"));
  for (const StatusReply& reply : replies) {
    if (!reply.status) with.messages.failure(reply.node.label(), reply.status.error());
  }
  if (options.json) {
    show_json(replies, with.out);
  } else {
    show_table(replies, options.human, with.out);
  }
  return status_of(with.messages);
}

}  // namespace

Command add_status(CLI::App& parent) {
  CLI::App* app = add_command(
      parent,
      {.name = "status",
       .usage = "[options] [NODE...]",
       .summary = "load and space of nodes, and their sum",
       .description = "Asks the nodes (all of the cluster if none is given) how they are. NODE is\n"
                      "an address, URL, id or computer name as `skein nodes` shows them.",
       .example = "skein status -h"});
  auto options = std::make_shared<StatusOptions>();
  app->add_option("NODE", options->nodes);
  app->add_flag("-h,--human", options->human, "sizes as 1.5G");
  add_json_flag(*app, options->json,
                "node: url, id, ok, status (the node's own words); a last one: sum");
  return {app, [options](const Surroundings& with) { return run_status(*options, with); }};
}

}  // namespace skein
