#include <memory>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/entry_text.h"
#include "tools/printable.h"
#include "tools/session.h"
#include "tools/targets.h"
#include "tools/tree_walk.h"

namespace skein {
namespace {

struct LsOptions {
  std::vector<std::string> paths;
  bool details = false;
  bool recursive = false;
  bool human = false;
  bool json = false;
};

class Ls {
 public:
  Ls(const LsOptions& options, const Surroundings& with, Session& session)
      : options_(options), with_(with), session_(session) {}

  void show_all(const std::vector<Target>& targets) {
    with_headings_ = (targets.size() > 1 || options_.recursive) && !options_.json;
    std::vector<std::pair<const Target*, Listing>> directories;
    Table files = new_table();
    // Files first, as ls(1) does.
    for (const Target& target : targets) {
      auto found = find_path(session_, with_.messages, target.path);
      if (!found) {
        with_.messages.failure(target.shown(target.path), found.error());
      } else if (found->entry.is_directory()) {
        directories.emplace_back(&target, std::move(found->listing));
      } else {
        const std::string path = target.shown(target.path);
        show_entry(path, {path, found->entry}, files);
      }
    }
    with_.out.write(files.text());
    for (auto& [target, listing] : directories) show_tree(*target, std::move(listing));
  }

 private:
  struct Pending {
    ClusterPath path;
    std::optional<Listing> listing;  // nullopt: not asked for yet
  };

  static Table new_table() {
    return Table({Table::Align::kLeft, Table::Align::kRight, Table::Align::kLeft});
  }

  void show_tree(const Target& target, Listing top) {
    std::vector<Pending> pending;
    pending.push_back({target.path, std::move(top)});
    while (!pending.empty()) {
      Pending now = std::move(pending.back());
      pending.pop_back();
      if (!now.listing) {
        auto listing = session_.list(now.path, with_.messages);
        if (!listing) {
          with_.messages.failure(target.shown(now.path), without_path(listing.error(), now.path));
          continue;
        }
        now.listing = std::move(*listing);
      }
      show_directory(target, now.path, *now.listing);
      if (!options_.recursive) continue;
      const auto& entries = now.listing->entries();
      for (auto named = entries.rbegin(); named != entries.rend(); ++named) {
        auto child = now.path.child(named->name);
        if (named->entry.is_directory() && child) pending.push_back({std::move(*child), {}});
      }
    }
  }

  void show_directory(const Target& target, const ClusterPath& path, const Listing& listing) {
    if (with_headings_) {
      with_.out.line((shown_before_ ? "\n" : "") + with_.out.name(target.shown(path)) + ":");
      shown_before_ = true;
    }
    Table table = new_table();
    for (const NamedEntry& named : listing.entries()) {
      const auto child = path.child(named.name);
      if (child) {
        show_entry(target.shown(*child), named, table);
      } else {
        with_.messages.failure(target.shown(path), child.error());
      }
    }
    with_.out.write(table.text());
  }

  void show_entry(const std::string& path, const NamedEntry& named, Table& table) {
    if (options_.json) {
      const std::string name = path.substr(path.find_last_of('/') + 1);
      return with_.out.line(entry_json(path, name, named.entry).str());
    }
    const std::string name = with_.out.name(named.name) + (named.entry.is_directory() ? "/" : "");
    if (!options_.details) {
      with_.out.line(name);
      shown_before_ = true;
      return;
    }
    table.add({mode_text(named.entry), size_text(named.entry, options_.human),
               name + series_text(named.entry)});
    shown_before_ = true;
  }

  const LsOptions& options_;
  const Surroundings& with_;
  Session& session_;
  bool with_headings_ = false;
  bool shown_before_ = false;  // an empty line goes before the next heading
};

ExitStatus run_ls(const LsOptions& options, const Surroundings& with) {
  const auto targets = parse_targets(options.paths);
  if (!targets) return refuse(with, targets.error());
  auto session = Session::open(with, targets->cluster);
  if (!session) return refuse(with, session.error());
  Ls(options, with, **session).show_all(targets->targets);
  return status_of(with.messages);
}

}  // namespace

Command add_ls(CLI::App& parent) {
  CLI::App* app = add_command(
      parent,
      {.name = "ls",
       .usage = "[options] [PATH...]",
       .summary = "list directories",
       .description =
           "Lists files and directories as all nodes together show them; / if no PATH is given.\n"
           "With -l: mode, bytes (of a directory: number of entries), name. Listings carry no\n"
           "times, `skein stat` shows them. A node that does not answer is named on standard\n"
           "error, and its files are missing.",
       .example = "skein ls -l -h skein://lab/2024_05_02"});
  auto options = std::make_shared<LsOptions>();
  options->paths = {"/"};
  app->add_option("PATH", options->paths);
  app->add_flag("-l", options->details, "mode and size too");
  app->add_flag("-R,--recursive", options->recursive, "directories within directories too");
  app->add_flag("-h,--human", options->human, "sizes as 1.5M");
  add_json_flag(*app, options->json, "entry: path, name, type, size_bytes or entries");
  return {app, [options](const Surroundings& with) { return run_ls(*options, with); }};
}

}  // namespace skein
