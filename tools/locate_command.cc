#include "client/locate.h"

#include <memory>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/json_line.h"
#include "tools/printable.h"
#include "tools/session.h"
#include "tools/targets.h"

namespace skein {
namespace {

struct LocateOptions {
  std::vector<std::string> paths;
  bool json = false;
};

std::string json_of(const std::string& path, const Located& located, const ClusterPath& where) {
  std::vector<std::string> copies;
  for (const auto& [node, info] : located.copies) {
    const std::string url = "http://" + node.address.text() +
                            (info.is_directory ? where.directory_target() : where.target());
    JsonLine copy;
    copy.text("node", node.label()).text("id", node.id).text("url", url);
    copy.text("type", info.is_directory ? "directory" : "file");
    if (!info.is_directory) copy.number("size_bytes", static_cast<std::int64_t>(info.size_bytes));
    copies.push_back(copy.str());
  }
  std::vector<std::string> silent;
  for (const Node& node : located.silent) silent.push_back(json_string(node.url()));
  return JsonLine()
      .text("path", path)
      .json("copies", json_array(copies))
      .json("silent", json_array(silent))
      .str();
}

ExitStatus run_locate(const LocateOptions& options, const Surroundings& with) {
  const auto targets = parse_targets(options.paths);
  if (!targets) return refuse(with, targets.error());
  auto session = Session::open(with, targets->cluster);
  if (!session) return refuse(with, session.error());
  Table table({Table::Align::kLeft, Table::Align::kRight, Table::Align::kLeft});
  for (const Target& target : targets->targets) {
    const std::string path = target.shown(target.path);
    const Located located = locate((*session)->client(), *(*session)->nodes(), target.path);
    for (const Node& node : located.silent) with.messages.missing_node(node, "no answer");
    if (options.json) with.out.line(json_of(path, located, target.path));
    if (located.copies.empty()) with.messages.failure(path + ": no such file or directory");
    if (options.json) continue;
    for (const auto& [node, info] : located.copies) {
      table.add({node.label(),
                 info.is_directory ? "directory" : std::to_string(info.size_bytes),
                 with.out.name(path)});
    }
  }
  with.out.write(table.text());
  return status_of(with.messages);
}

}  // namespace

Command add_locate(CLI::App& parent) {
  CLI::App* app = add_command(
      parent, {.name = "locate",
               .usage = "[options] PATH...",
               .summary = "which nodes have a file",
               .description = "One line for each copy: node, bytes, path. Copies on this host are\n"
                              "first.",
               .example = "skein locate /2024_05_02/scan/metadata.json"});
  auto options = std::make_shared<LocateOptions>();
  app->add_option("PATH", options->paths)->required();
  add_json_flag(*app, options->json, "path: copies with url and size_bytes, silent nodes");
  return {app, [options](const Surroundings& with) { return run_locate(*options, with); }};
}

}  // namespace skein
