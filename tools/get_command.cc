#include <sys/stat.h>

#include <filesystem>
#include <memory>

#include "aggregate/append_target.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/local_file.h"
#include "tools/session.h"
#include "tools/targets.h"
#include "tools/transfer_report.h"
#include "tools/tree_walk.h"

namespace skein {
namespace {

namespace fs = std::filesystem;

struct GetOptions {
  std::vector<std::string> words;  // sources, and the destination
  bool recursive = false;
  bool force = false;
  bool json = false;
};

bool is_folder(const fs::path& path) {
  std::error_code ignored;  // what can't be looked at is reported when it is written to
  return fs::is_directory(path, ignored);
}

class Get {
 public:
  Get(const GetOptions& options, const Surroundings& with, Session& session)
      : options_(options),
        session_(session),
        messages_(with.messages),
        report_(with, {.done = "fetched", .from_key = "path", .to_key = "file"}, options.json) {}

  void fetch_all(const std::vector<Target>& sources, const std::string& destination) {
    const bool into_folder =
        sources.size() > 1 || destination.ends_with('/') || is_folder(destination);
    for (const Target& source : sources) plan(source, destination, into_folder);
    std::uint64_t total_bytes = 0;
    for (const Job& job : jobs_) total_bytes += job.size_bytes.value_or(0);
    report_.bar().expect(total_bytes);
    for (const Job& job : jobs_) fetch(job);
    report_.conclude();
  }

 private:
  struct Job {
    std::string shown;  // the cluster path as messages show it
    ClusterPath path;
    fs::path file;
    std::optional<std::uint64_t> size_bytes;  // nullopt: not said
    bool is_directory = false;
    bool may_grow = false;  // what comes may be longer
  };

  void plan(const Target& source, const fs::path& destination, bool into_folder) {
    const std::string shown = source.shown(source.path);
    const auto located = source.path.is_root()
                             ? Error{std::errc::is_a_directory, ""}
                             : session_.downloader().find(source.path);
    if (located && source.is_folder) {
      return report_.failed(shown, destination, {std::errc::not_a_directory, "it is a file"});
    }
    if (located) {
      const fs::path file = into_folder ? destination / source.path.name() : destination;
      const FileInfo& info = located->copies.front().info;
      jobs_.push_back({shown, source.path, file, info.size_bytes, false, info.grows()});
      return;
    }
    if (located.error().code != std::errc::is_a_directory) {
      return report_.failed(shown, destination, without_path(located.error(), source.path));
    }
    if (!options_.recursive) {
      return report_.failed(shown, destination,
                            {std::errc::is_a_directory, "it is a directory; -r gets it whole"});
    }
    plan_tree(source, source.path.is_root() ? destination : destination / source.path.name());
  }

  void plan_tree(const Target& source, const fs::path& folder) {
    auto listing = session_.list(source.path, messages_);
    if (!listing) {
      return report_.failed(source.shown(source.path), folder,
                            without_path(listing.error(), source.path));
    }
    const std::size_t above = source.path.components().size();
    const auto local = [&](const ClusterPath& path) {
      fs::path file = folder;
      for (std::size_t i = above; i < path.components().size(); ++i) file /= path.components()[i];
      return file;
    };
    jobs_.push_back({source.shown(source.path), source.path, folder, {}, true});
    walk(session_, messages_, source.path, std::move(*listing),
         {.visit =
              [&](const ClusterPath& path, const Entry& entry, std::size_t) {
                Job job{source.shown(path), path, local(path), {}, entry.is_directory()};
                job.may_grow = path.components().front() == kGrowingFolder;
                if (!job.is_directory && entry.size >= 0) {
                  job.size_bytes = static_cast<std::uint64_t>(entry.size);
                }
                jobs_.push_back(std::move(job));
                return true;
              },
          .failed =
              [&](const ClusterPath& path, const Error& why) {
                report_.failed(source.shown(path), local(path), why);
              }});
  }

  void fetch(const Job& job) {
    if (job.is_directory) {
      // The name may be a link to a folder; mkdir -p does not mind.
      if (auto made = make_folder(job.file); !made) {
        report_.failed(job.shown, job.file, made.error());
      }
      return;
    }
    const auto fetched = fetch_file(job);
    if (fetched) {
      report_.done(job.shown, job.file, *fetched);
    } else {
      report_.failed(job.shown, job.file, without_path(fetched.error(), job.path));
    }
  }

  static Result<void> make_folder(const fs::path& folder) {
    std::error_code failed;
    fs::create_directories(folder, failed);
    if (!failed || is_folder(folder)) return {};
    return errno_error(failed.value(), folder.string());
  }

  Result<std::uint64_t> fetch_file(const Job& job) {
    struct stat present {};
    const bool there = ::lstat(job.file.c_str(), &present) == 0;
    if (there && S_ISDIR(present.st_mode)) {
      return Error{std::errc::is_a_directory, job.file.string() + " is a directory"};
    }
    if (there && !options_.force) {
      return Error{std::errc::file_exists, job.file.string() + " exists; --force replaces it"};
    }
    if (job.file.has_parent_path()) {
      if (auto made = make_folder(job.file.parent_path()); !made) return made.error();
    }
    auto file = LocalFile::create(job.file);
    if (!file) return file.error();
    report_.bar().begin_file(job.shown);
    std::uint64_t taken_bytes = 0;
    std::optional<Error> unwritten;
    const auto streamed = session_.downloader().stream(job.path, [&](std::span<const char> piece) {
      if (auto written = (*file)->write(piece); !written) unwritten = written.error();
      taken_bytes += piece.size();
      report_.bar().at(taken_bytes);
      return !unwritten;
    });
    if (unwritten) return *unwritten;
    if (!streamed) return streamed.error();
    const std::uint64_t expected = job.size_bytes.value_or(taken_bytes);
    if (taken_bytes < expected || (taken_bytes > expected && !job.may_grow)) {
      return Error{std::errc::io_error, "got " + std::to_string(taken_bytes) + " bytes of " +
                                            std::to_string(expected)};
    }
    const auto published = (*file)->publish(options_.force ? LocalFile::IfThere::kReplace
                                                           : LocalFile::IfThere::kRefuse);
    if (!published) return published.error();
    return taken_bytes;
  }

  const GetOptions& options_;
  Session& session_;
  Messages& messages_;
  TransferReport report_;
  std::vector<Job> jobs_;
};

ExitStatus run_get(const GetOptions& options, const Surroundings& with) {
  if (options.words.size() < 2) {
    return refuse(with, {std::errc::invalid_argument,
                         "both SOURCE and DESTINATION are needed; see skein get --help"});
  }
  const std::string& destination = options.words.back();
  if (destination.empty()) return refuse(with, {std::errc::invalid_argument, "empty DESTINATION"});
  const auto sources =
      parse_targets({options.words.begin(), options.words.end() - 1});
  if (!sources) return refuse(with, sources.error());
  auto session = Session::open(with, sources->cluster);
  if (!session) return refuse(with, session.error());
  Get(options, with, **session).fetch_all(sources->targets, destination);
  return status_of(with.messages);
}

}  // namespace

Command add_get(CLI::App& parent) {
  CLI::App* app = add_command(
      parent,
      {.name = "get",
       .usage = "[options] SOURCE... DESTINATION",
       .summary = "copy files out of the cluster",
       .description =
           "Copies files of the cluster to this computer. DESTINATION is a folder if it ends in\n"
           "/, is one already, or there are several sources; else it is the new file's name. With\n"
           "-r a directory arrives in DESTINATION under its own name (of /, what is in it).\n"
           "Folders are made as needed. A file appears under its name when it is whole and its\n"
           "size is right; existing files are refused and counted. Of a file that grows the new one\n"
           "has what was appended when it was asked for.",
       .example = "skein get -r /2024_05_02/scan ~/data/"});
  auto options = std::make_shared<GetOptions>();
  app->add_option("SOURCE", options->words)->required();
  app->add_flag("-r,--recursive", options->recursive, "directories with all that is in them");
  app->add_flag("-f,--force", options->force, "replace existing files");
  add_json_flag(*app, options->json, "file: path, file, ok, size_bytes or error");
  return {app, [options](const Surroundings& with) { return run_get(*options, with); }};
}

}  // namespace skein
