#include <memory>

#include "client/locate.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/entry_text.h"
#include "tools/printable.h"
#include "tools/session.h"
#include "tools/targets.h"
#include "tools/tree_walk.h"

namespace skein {
namespace {

struct StatOptions {
  std::vector<std::string> paths;
  bool json = false;
};

void show(const StatOptions& options, const Surroundings& with, const std::string& path,
          const Entry& entry, const Located& located) {
  std::int64_t mtime_s = 0;
  for (const Copy& copy : located.copies) {
    if (copy.info.is_directory != entry.is_directory()) continue;
    if (mtime_s == 0 || (copy.info.mtime_s > 0 && copy.info.mtime_s < mtime_s)) {
      mtime_s = copy.info.mtime_s;
    }
  }
  if (options.json) {
    std::vector<std::string> nodes;
    for (const Copy& copy : located.copies) nodes.push_back(json_string(copy.node.url()));
    const std::string name = path.substr(path.find_last_of('/') + 1);
    with.out.line(entry_json(path, name, entry)
                      .number("mtime_s", mtime_s)
                      .json("nodes", json_array(nodes))
                      .str());
    return;
  }
  const std::string bytes =
      entry.size < 0 ? "growing"
                     : std::to_string(entry.size) + " bytes (" +
                           human_size(static_cast<std::uint64_t>(entry.size)) + ")";
  with.out.line("  path: " + with.out.name(path));
  with.out.line(entry.is_directory() ? "  type: directory" + series_text(entry) : "  type: file");
  with.out.line(entry.is_directory() ? "  size: " + std::to_string(entry.size) + " entries"
                                     : "  size: " + bytes);
  if (mtime_s != 0) with.out.line("stored: " + local_time(mtime_s));
  for (const Copy& copy : located.copies) with.out.line("    on: " + copy.node.label());
}

ExitStatus run_stat(const StatOptions& options, const Surroundings& with) {
  const auto targets = parse_targets(options.paths);
  if (!targets) return refuse(with, targets.error());
  auto session = Session::open(with, targets->cluster);
  if (!session) return refuse(with, session.error());
  for (const Target& target : targets->targets) {
    const auto found = find_path(**session, with.messages, target.path);
    if (!found) {
      with.messages.failure(target.shown(target.path), found.error());
      continue;
    }
    const Located located = locate((*session)->client(), *(*session)->nodes(), target.path);
    show(options, with, target.shown(target.path), found->entry, located);
  }
  return status_of(with.messages);
}

}  // namespace

Command add_stat(CLI::App& parent) {
  CLI::App* app = add_command(
      parent, {.name = "stat",
               .usage = "[options] PATH...",
               .summary = "type, size, time and nodes of files",
               .description = "Shows type, size, time stored and the nodes that have it. Of all\n"
                              "copies, the earliest time counts.",
               .example = "skein stat /2024_05_02/scan"});
  auto options = std::make_shared<StatOptions>();
  app->add_option("PATH", options->paths)->required();
  add_json_flag(*app, options->json, "path: as `ls --json`, and mtime_s, nodes");
  return {app, [options](const Surroundings& with) { return run_stat(*options, with); }};
}

}  // namespace skein
