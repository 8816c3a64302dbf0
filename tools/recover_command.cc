#include "fuse/recovery.h"

#include <sys/stat.h>

#include <map>
#include <memory>
#include <optional>

#include "client/lane_client.h"
#include "client/locate.h"
#include "client/same_bytes.h"
#include "fuse/folders.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/json_line.h"
#include "tools/printable.h"
#include "tools/session.h"
#include "tools/targets.h"
#include "tools/transfer_report.h"

namespace skein {
namespace {

namespace fs = std::filesystem;

struct RecoverOptions {
  std::vector<std::string> words;  // what to do, then ids
  bool all = false;
  std::string as;     // cluster path in place of the noted one
  std::string spool;  // "" = the settings'
  bool human = false;
  bool json = false;
};

Error usage(const std::string& what) {
  return {std::errc::invalid_argument, what + "; see skein recover --help"};
}

// A file in a spool's recover/, or one that a node of this host keeps because its writer's mount
// died between close and seal (docs/wire.md, "Lane").
struct Found {
  Recoverable file;
  std::optional<Node> keeper;  // of a kept one
};

std::string shown_path(const Recoverable& one) {
  return one.note.path.is_root() ? "?" : "/" + one.note.path.text();
}

// More than this on one node means that nobody ever looked.
constexpr std::size_t kMostKept = 100'000;

// What the nodes of this host keep.
std::vector<Found> kept_by(LaneClient& lanes, Session& session) {
  std::vector<Found> found;
  const NodeSnapshot nodes = session.nodes();
  for (const Node& node : *nodes) {
    std::string after;
    for (std::size_t count = 0; count < kMostKept; ++count) {
      auto kept = lanes.next_kept(node, after);
      if (!kept || !*kept) break;  // not of this host, or no more
      struct stat st {};
      ::fstat((*kept)->fd.get(), &st);
      after = (*kept)->id;
      found.push_back({{(*kept)->id,
                        {(*kept)->path, "kept by " + node.label() + ": its mount died before the "
                                        "seal", "", node.url(), node.cluster},
                        (*kept)->size_bytes,
                        st.st_mtim.tv_sec,
                        false},
                       node});
    }
  }
  return found;
}

std::string json_of(const Recoverable& one) {
  return JsonLine()
      .text("id", one.id)
      .text("path", one.note.path.is_root() ? "" : "/" + one.note.path.text())
      .text("cluster", one.note.cluster)
      .number("size_bytes", static_cast<std::int64_t>(one.size_bytes))
      .number("written_s", one.written_s)
      .truth("in_use", one.in_use)
      .text("why", one.note.why)
      .str();
}

ExitStatus list(const RecoverOptions& options, const std::vector<Found>& found,
                const Surroundings& with) {
  Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kRight,
               Table::Align::kLeft, Table::Align::kLeft});
  table.add({"ID", "WRITTEN", "SIZE", "PATH", "WHY"});
  for (const auto& [one, keeper] : found) {
    if (options.json) {
      with.out.line(json_of(one));
      continue;
    }
    const std::string why = one.in_use ? "in use: a mount will store it" : one.note.why;
    table.add({one.id, local_time(one.written_s),
               options.human ? human_size(one.size_bytes) : std::to_string(one.size_bytes),
               with.out.name(shown_path(one)), printable(why)});
  }
  if (!options.json && !found.empty()) with.out.write(table.text());
  return ExitStatus::kDone;
}

// The files that the words after the action name, each by its id or the beginning of it.
Result<std::vector<Found>> choose(const RecoverOptions& options,
                                  const std::vector<Found>& found) {
  const std::vector<std::string> ids(options.words.begin() + 1, options.words.end());
  if (options.all != ids.empty()) return usage("name files by their ID, or give --all");
  std::vector<Found> chosen;
  for (const Found& one : found) {
    if (options.all && !one.file.in_use) chosen.push_back(one);
  }
  for (const std::string& id : ids) {
    const Found* match = nullptr;
    for (const Found& one : found) {
      if (!one.file.id.starts_with(id)) continue;
      if (match != nullptr) return usage(id + " is the beginning of several IDs");
      match = &one;
    }
    if (match == nullptr || id.empty()) return usage("no such ID: " + id);
    chosen.push_back(*match);
  }
  return chosen;
}

// What the mount had sent of a file. A node that is not there drops it by age.
void drop_stage(const RecoveryNote& note, Session& session) {
  if (note.stage_id.empty()) return;
  const NodeSnapshot nodes = session.nodes();
  for (const Node& node : *nodes) {
    if (node.url() == note.node_url) (void)session.client().drop_stage(node, note.stage_id);
  }
}

// Puts files of one cluster.
class Recovery {
 public:
  Recovery(fs::path spool, LaneClient& lanes, Session& session, TransferReport& report)
      : spool_(std::move(spool)), lanes_(lanes), session_(session), report_(report) {}

  void put(const Found& found, const ClusterPath& path) {
    const Recoverable& one = found.file;
    report_.bar().begin_file(path.name());
    std::string node_url;
    auto stored = found.keeper ? publish_kept(*found.keeper, one.id, path, node_url)
                               : store(one, path, node_url);
    if (stored) return report_.done(one.id, "/" + path.text(), one.size_bytes, node_url);
    report_.failed(one.id, "/" + path.text(), stored.error());
  }

 private:
  Result<void> store(const Recoverable& one, const ClusterPath& path, std::string& node_url) {
    if (path.is_root()) {
      return Error{std::errc::invalid_argument, "its name is not known; give one with --as PATH"};
    }
    auto file = RecoveredFile::take(spool_, one.id);
    if (!file) return file.error();
    struct stat st {};
    if (::fstat(file->fd(), &st) != 0) return errno_error(errno, "size");
    const FileRange bytes{file->fd(), 0, static_cast<std::uint64_t>(st.st_size)};
    auto there = find_same(path, bytes);
    if (!there) return there.error();
    drop_stage(one.note, session_);  // the disk may have no room for both
    if (!there->empty()) {
      node_url = *there;  // an earlier try came through, and could not say so
    } else {
      const auto stored = session_.uploader().upload(
          path, bytes, [&](std::uint64_t sent_bytes) { report_.bar().at(sent_bytes); });
      if (!stored) return without_path(stored.error(), path);
      node_url = stored->url();
    }
    file->remove();  // only now: whatever comes between, the bytes are somewhere
    return {};
  }

  // The node that has these bytes under the name already; "" if the name is free. Errors:
  // file_exists, if it is somebody else's.
  Result<std::string> find_same(const ClusterPath& path, const FileRange& bytes) {
    for (const Copy& copy : locate(session_.client(), *session_.nodes(), path).copies) {
      const auto same = same_bytes(session_.client(), copy.node, path, bytes);
      if (same && *same == Sameness::kSame) return copy.node.url();
      return Error{std::errc::file_exists, "/" + path.text() + " exists on " + copy.node.label() +
                                               " with other bytes; give another name with --as"};
    }
    return std::string();
  }

  Result<void> publish_kept(const Node& keeper, const std::string& id, const ClusterPath& path,
                            std::string& node_url) {
    node_url = keeper.url();
    // The keeper judges its own folder; the others are asked here.
    for (const Copy& copy : locate(session_.client(), *session_.nodes(), path).copies) {
      return Error{std::errc::file_exists, "/" + path.text() + " exists on " + copy.node.label() +
                                               "; give another name with --as"};
    }
    return lanes_.publish_kept(keeper, id, path);
  }

  const fs::path spool_;
  LaneClient& lanes_;
  Session& session_;
  TransferReport& report_;
};

ExitStatus put(const RecoverOptions& options, const fs::path& spool,
               const std::vector<Found>& chosen, LaneClient& lanes, const Surroundings& with) {
  std::optional<ClusterPath> as;
  if (!options.as.empty()) {
    if (chosen.size() != 1) return refuse(with, usage("--as names one file"));
    const auto target = parse_targets({options.as});
    if (!target) return refuse(with, target.error());
    as = target->targets.front().path;
  }
  TransferReport report(with, {.done = "stored", .from_key = "id", .to_key = "path"},
                        options.json);
  std::uint64_t total_bytes = 0;
  std::map<std::string, std::vector<const Found*>> by_cluster;
  for (const Found& one : chosen) {
    total_bytes += one.file.size_bytes;
    by_cluster[one.file.note.cluster].push_back(&one);
  }
  report.bar().expect(total_bytes);
  const bool told_where = with.flags.cluster || !with.flags.nodes.empty();
  for (const auto& [cluster, files] : by_cluster) {
    auto session = Session::open(with, told_where ? std::nullopt : std::optional(cluster));
    if (!session) return refuse(with, session.error());
    Recovery recovery(spool, lanes, **session, report);
    for (const Found* one : files) recovery.put(*one, as ? *as : one->file.note.path);
  }
  report.conclude();
  return status_of(with.messages);
}

Result<void> drop_one(const Found& found, const fs::path& spool, LaneClient& lanes,
                      Session& session) {
  if (found.keeper) return lanes.drop_kept(*found.keeper, found.file.id);
  auto file = RecoveredFile::take(spool, found.file.id);
  if (!file) return file.error();
  file->remove();
  drop_stage(found.file.note, session);
  return {};
}

ExitStatus drop(const RecoverOptions& options, const fs::path& spool,
                const std::vector<Found>& chosen, LaneClient& lanes, Session& session,
                const Surroundings& with) {
  TransferReport report(with, {.done = "dropped", .from_key = "id", .to_key = "path"},
                        options.json);
  for (const Found& one : chosen) {
    if (auto dropped = drop_one(one, spool, lanes, session); !dropped) {
      report.failed(one.file.id, shown_path(one.file), dropped.error());
    } else {
      report.done(one.file.id, shown_path(one.file), one.file.size_bytes);
    }
  }
  report.conclude();
  return status_of(with.messages);
}

ExitStatus run_recover(const RecoverOptions& options, const Surroundings& with) {
  const std::string action = options.words.empty() ? "list" : options.words.front();
  if (action == "list" && options.words.size() > 1) {
    return refuse(with, usage("list takes no ID"));
  }
  if (action != "list" && action != "put" && action != "drop") {
    return refuse(with, usage("unknown action " + action));
  }
  const fs::path spool =
      options.spool.empty() ? spool_folder(with.config) : fs::absolute(options.spool);
  const auto spooled = list_recoverable(spool);
  if (!spooled) {
    with.messages.failure(spooled.error().what);
    return ExitStatus::kSomeFailed;
  }
  std::vector<Found> found;
  for (const Recoverable& one : *spooled) found.push_back({one, std::nullopt});
  LaneClient lanes(with.config.milliseconds("deadline_ms"));
  // Whatever their cluster: without flags every node of this host is asked that can be found.
  const bool told_where = with.flags.cluster || !with.flags.nodes.empty();
  auto session = Session::open_even_without(
      with, told_where ? std::nullopt : std::optional<std::string>(""));
  if (!session) return refuse(with, session.error());
  for (Found& one : kept_by(lanes, **session)) found.push_back(std::move(one));
  if (action == "list") return list(options, found, with);
  const auto chosen = choose(options, found);
  if (!chosen) return refuse(with, chosen.error());
  return action == "put" ? put(options, spool, *chosen, lanes, with)
                         : drop(options, spool, *chosen, lanes, **session, with);
}

}  // namespace

Command add_recover(CLI::App& parent) {
  CLI::App* app = add_command(
      parent,
      {.name = "recover",
       .usage = "[list | put ID... | drop ID...] [options]",
       .summary = "files that a mount could not store",
       .description =
           "Lists what programs wrote into this user's mounts and no node has: the name was\n"
           "taken meanwhile, no node could be reached, or the mount was killed before the file\n"
           "was sealed. `put` stores it in the cluster, under its own name or the one of --as,\n"
           "and forgets it here when a node has it; `drop` throws it away. An ID may be cut\n"
           "short. Files that a node of this host keeps are listed too: of a mount that was killed\n"
           "between close and seal. A file that a living mount is about to store is in use, and left alone.",
       .example = "skein recover put --all",
       .exit_status = "0 done, also if there is nothing; 1 some failed; 2 wrong usage; 3 no node "
                      "found"});
  auto options = std::make_shared<RecoverOptions>();
  app->add_option("WHAT", options->words, "list, put or drop, and IDs  [default: list]");
  app->add_flag("--all", options->all, "every file that is not in use");
  app->add_option("--as", options->as, "store the one file under this name")->type_name("PATH");
  app->add_option("--spool", options->spool,
                  "spool folder of the mount  [default: the settings' mount.spool_dir]")
      ->type_name("DIR");
  app->add_flag("-h,--human", options->human, "sizes as 1.5G");
  add_json_flag(*app, options->json,
                "file: id, path, cluster, size_bytes, written_s, in_use, why; of put and drop: id, "
                "path, ok");
  return {app, [options](const Surroundings& with) { return run_recover(*options, with); }};
}

}  // namespace skein
