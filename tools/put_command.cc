#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>

#include "client/locate.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/local_file.h"
#include "tools/local_tree.h"
#include "tools/session.h"
#include "tools/targets.h"
#include "tools/transfer_report.h"

namespace skein {
namespace {

namespace fs = std::filesystem;

struct PutOptions {
  std::vector<std::string> words;  // sources, and the target
  bool recursive = false;
  bool json = false;
};

// A file's bytes with a known length, that can be sent again: itself, or a copy of a stream.
struct Readable {
  Fd fd;
  std::uint64_t size_bytes = 0;
  bool is_copy = false;
  struct stat info {};  // of the file itself, when it was opened
};

// Reads `from` to its end. A read that fails is an error: a cut file is never stored.
Result<Readable> copy_stream(int from, const std::string& name) {
  auto scratch = open_scratch();
  if (!scratch) return scratch.error();
  Readable copy{std::move(*scratch), 0, true, {}};
  std::vector<char> block(1 << 20);
  for (;;) {
    const ssize_t got = ::read(from, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read " + name);
    if (got == 0) return copy;
    for (ssize_t at = 0; at < got;) {
      const auto left = static_cast<std::size_t>(got - at);
      const ssize_t written = ::write(copy.fd.get(), block.data() + at, left);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return errno_error(errno, "temporary copy of " + name);
      at += written;
    }
    copy.size_bytes += static_cast<std::uint64_t>(got);
  }
}

Result<Readable> open_source(const fs::path& file) {
  if (file == "-") return copy_stream(STDIN_FILENO, "standard input");
  Readable readable{Fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)), 0, false, {}};
  if (!readable.fd || ::fstat(readable.fd.get(), &readable.info) != 0) {
    const auto why = static_cast<std::errc>(errno);
    return Error{why, std::make_error_code(why).message()};
  }
  // Files of /proc say that they are empty and are not.
  char byte = 0;
  const bool says_empty = S_ISREG(readable.info.st_mode) && readable.info.st_size == 0;
  if (!S_ISREG(readable.info.st_mode) ||
      (says_empty && ::pread(readable.fd.get(), &byte, 1, 0) == 1)) {
    return copy_stream(readable.fd.get(), file.string());
  }
  readable.size_bytes = static_cast<std::uint64_t>(readable.info.st_size);
  return readable;
}

bool changed_since(const Readable& readable) {
  struct stat now {};
  if (readable.is_copy || ::fstat(readable.fd.get(), &now) != 0) return false;
  return now.st_size != readable.info.st_size ||
         now.st_mtim.tv_sec != readable.info.st_mtim.tv_sec ||
         now.st_mtim.tv_nsec != readable.info.st_mtim.tv_nsec;
}

class Put {
 public:
  Put(const PutOptions& options, const Surroundings& with, Session& session)
      : options_(options),
        session_(session),
        report_(with, {.done = "stored", .from_key = "file", .to_key = "path"}, options.json) {}

  void store_all(const std::vector<std::string>& sources, const Target& target) {
    target_ = &target;
    const bool into_folder = target.is_folder || sources.size() > 1 || is_directory(target.path);
    for (const std::string& source : sources) plan(source, into_folder);
    std::uint64_t total_bytes = 0;
    for (const LocalEntry& entry : entries_) total_bytes += entry.size_bytes;
    report_.bar().expect(total_bytes);
    for (const LocalEntry& entry : entries_) store(entry);
    report_.conclude();
  }

 private:
  bool is_directory(const ClusterPath& path) {
    for (const Copy& copy : locate(session_.client(), *session_.nodes(), path).copies) {
      if (copy.info.is_directory) return true;
    }
    return false;
  }

  void failed(const fs::path& file, const ClusterPath& path, const Error& why) {
    report_.failed(file, target_->shown(path), why);
  }

  void plan(const std::string& source, bool into_folder) {
    const ClusterPath& target = target_->path;
    const bool is_stdin = source == "-";
    struct stat info {};
    if (!is_stdin && ::stat(source.c_str(), &info) != 0) {
      const auto why = static_cast<std::errc>(errno);
      return failed(source, target, {why, std::make_error_code(why).message()});
    }
    const bool is_local_folder = !is_stdin && S_ISDIR(info.st_mode);
    if (is_local_folder && !options_.recursive) {
      return failed(source, target,
                    {std::errc::is_a_directory, "it is a folder; -r puts it whole"});
    }
    if (is_stdin && into_folder) {
      return failed(source, target, {std::errc::is_a_directory,
                                     "standard input needs a name, and " +
                                         target_->shown(target) + " is a directory"});
    }
    const std::string name = source_name(source);
    Result<ClusterPath> path = target;
    if ((into_folder || is_local_folder) && !name.empty()) path = target.child(name);
    if (!path) return failed(source, target, path.error());
    if (is_local_folder) {
      list_local_tree(source, *path, entries_, [&](const fs::path& file, const Error& why) {
        failed(file, *path, why);
      });
    } else {
      const bool is_regular = !is_stdin && S_ISREG(info.st_mode);
      entries_.push_back({source, std::move(*path),
                          is_regular ? static_cast<std::uint64_t>(info.st_size) : 0, false});
    }
  }

  void store(const LocalEntry& entry) {
    if (entry.is_folder) {
      if (auto made = make_directory(entry.path); !made) {
        failed(entry.file, entry.path, without_path(made.error(), entry.path));
      }
      return;
    }
    const auto readable = open_source(entry.file);
    if (!readable) return failed(entry.file, entry.path, readable.error());
    report_.bar().begin_file(entry.file.string());
    const auto node = session_.uploader().upload(
        entry.path, FileRange{readable->fd.get(), 0, readable->size_bytes},
        [this](std::uint64_t sent_bytes) { report_.bar().at(sent_bytes); });
    if (!node) return failed(entry.file, entry.path, without_path(node.error(), entry.path));
    if (changed_since(*readable)) {
      return failed(entry.file, entry.path,
                    {std::errc::io_error, "changed while it was read; what was stored as " +
                                              target_->shown(entry.path) + " may be a mixture"});
    }
    report_.done(entry.file, target_->shown(entry.path), readable->size_bytes, node->url());
  }

  Result<void> make_directory(const ClusterPath& path) {
    if (path.is_root() || is_directory(path)) return {};
    auto node = session_.placement().choose(*session_.nodes());
    if (!node) return node.error();
    return session_.client().make_directory(*node, path);
  }

  const PutOptions& options_;
  Session& session_;
  TransferReport report_;
  const Target* target_ = nullptr;
  std::vector<LocalEntry> entries_;
};

ExitStatus run_put(const PutOptions& options, const Surroundings& with) {
  if (options.words.size() < 2) {
    return refuse(with, {std::errc::invalid_argument,
                         "both FILE and TARGET are needed; see skein put --help"});
  }
  const std::vector<std::string> sources(options.words.begin(), options.words.end() - 1);
  const auto target = parse_targets({options.words.back()});
  if (!target) return refuse(with, target.error());
  for (const std::string& source : sources) {
    if (source.empty()) return refuse(with, {std::errc::invalid_argument, "empty FILE"});
    if (source != "-") continue;
    if (sources.size() > 1 || target->targets.front().is_folder) {
      return refuse(with, {std::errc::invalid_argument,
                           "standard input (-) is one file, and TARGET its whole name"});
    }
  }
  auto session = Session::open(with, target->cluster);
  if (!session) return refuse(with, session.error());
  Put(options, with, **session).store_all(sources, target->targets.front());
  return status_of(with.messages);
}

}  // namespace

Command add_put(CLI::App& parent) {
  CLI::App* app = add_command(
      parent,
      {.name = "put",
       .usage = "[options] FILE... TARGET",
       .summary = "store files in the cluster",
       .description =
           "Stores each file once, on the node written to longest ago. TARGET is a cluster\n"
           "directory if it ends in /, is one already, or there are several files; else it is the\n"
           "new file's name. With -r a folder goes into TARGET under its own name; FOLDER/.\n"
           "stands for what is in it. Directories are made as needed. Links to files are\n"
           "followed; links to folders, pipes and devices inside a folder are refused. FILE - is\n"
           "standard input, kept in $TMPDIR until its end. Existing names are refused and\n"
           "counted: what is in the cluster never changes.",
       .example = "skein put -r scan /2024_05_02/"});
  auto options = std::make_shared<PutOptions>();
  app->add_option("FILE", options->words)->required();
  app->add_flag("-r,--recursive", options->recursive, "folders with all that is in them");
  add_json_flag(*app, options->json, "file: file, path, ok, size_bytes and node, or error");
  return {app, [options](const Surroundings& with) { return run_put(*options, with); }};
}

}  // namespace skein
