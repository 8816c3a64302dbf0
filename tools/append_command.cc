#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "aggregate/append_target.h"
#include "aggregate/appender.h"
#include "core/fd.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/json_line.h"
#include "tools/session.h"
#include "tools/targets.h"

namespace skein {
namespace {

// One append takes what is there, up to so much: a busy source has few round trips, a slow one no
// delay.
constexpr std::size_t kBlockBytes = 1 << 20;

struct AppendOptions {
  std::vector<std::string> words;  // sources, and the target
  bool whole = false;
  bool json = false;
};

struct SealOptions {
  std::vector<std::string> paths;
  bool json = false;
};

// One source on its way into the growing file.
class Appending {
 public:
  Appending(Appender& appender, const ClusterPath& path, bool whole)
      : appender_(appender), path_(path), whole_(whole) {}

  // Reads to the end of `fd` and appends whole lines as they come, or all at once.
  Result<void> run(int fd) {
    for (;;) {
      const std::size_t had = text_.size();
      text_.resize(had + kBlockBytes);
      const ssize_t n = ::read(fd, text_.data() + had, kBlockBytes);
      text_.resize(had + (n > 0 ? static_cast<std::size_t>(n) : 0));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno_error(errno, "read");
      if (n == 0) break;
      if (text_.size() > Appender::kMostBytes) {
        return Error{std::errc::file_too_large, whole_ ? "more than 256 MiB at once"
                                                       : "a line of more than 256 MiB"};
      }
      const std::size_t end = whole_ ? std::string::npos : text_.rfind('\n');
      if (end == std::string::npos) continue;
      if (auto sent = send(end + 1); !sent) return sent;
    }
    // A last line may lack its end; of nothing at all the file is made.
    return text_.empty() && appends_ > 0 ? Result<void>() : send(text_.size());
  }

  std::uint64_t bytes() const { return bytes_; }
  std::int64_t appends() const { return appends_; }
  const std::optional<Node>& node() const { return node_; }

 private:
  Result<void> send(std::size_t size) {
    auto done = appender_.append(path_, std::span(text_).first(size));
    if (!done) return done.error();
    text_.erase(0, size);
    bytes_ += size;
    ++appends_;
    node_ = done->node;
    return {};
  }

  Appender& appender_;
  const ClusterPath& path_;
  const bool whole_;
  std::string text_;
  std::uint64_t bytes_ = 0;
  std::int64_t appends_ = 0;
  std::optional<Node> node_;
};

void report(const Surroundings& with, const AppendOptions& options, const std::string& source,
            const std::string& path, const Appending& done, const Result<void>& outcome) {
  const std::string taken = std::to_string(done.bytes()) + " bytes were appended before";
  if (!outcome) {
    with.messages.failure(source, {outcome.error().code, outcome.error().what + "; " + taken});
  }
  if (!options.json) return;
  JsonLine line;
  line.text("file", source).text("path", path).truth("ok", outcome.ok());
  line.number("bytes", static_cast<std::int64_t>(done.bytes())).number("appends", done.appends());
  if (done.node()) line.text("node", done.node()->url());
  if (!outcome) line.text("error", outcome.error().what);
  with.out.line(line.str());
}

ExitStatus run_append(const AppendOptions& options, const Surroundings& with) {
  std::vector<std::string> sources(options.words.begin(), options.words.end() - 1);
  if (sources.empty()) sources.emplace_back("-");
  const auto targets = parse_targets({options.words.back()});
  if (!targets) return refuse(with, targets.error());
  const Target& target = targets->targets.front();
  if (target.is_folder || target.path.is_private()) {
    return refuse(with, {std::errc::invalid_argument, "TARGET must be the name of a file"});
  }
  if (names_append(target.path)) {
    const auto grows = parse_append_target(target.path);
    if (!grows) return refuse(with, grows.error());
  }
  auto session = Session::open(with, targets->cluster);
  if (!session) return refuse(with, session.error());
  Session& cluster = **session;
  Appender appender(cluster.client(), cluster.placement(), cluster.membership());
  for (const std::string& source : sources) {
    const bool is_stdin = source == "-";
    const Fd opened(is_stdin ? -1 : ::open(source.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    Appending appending(appender, target.path, options.whole);
    const bool can = is_stdin || opened.valid();
    const auto outcome = can ? appending.run(is_stdin ? STDIN_FILENO : opened.get())
                             : Result<void>(errno_error(errno, "open"));
    report(with, options, source, target.shown(target.path), appending, outcome);
  }
  return status_of(with.messages);
}

ExitStatus run_seal(const SealOptions& options, const Surroundings& with) {
  const auto targets = parse_targets(options.paths);
  if (!targets) return refuse(with, targets.error());
  auto session = Session::open(with, targets->cluster);
  if (!session) return refuse(with, session.error());
  Session& cluster = **session;
  Appender appender(cluster.client(), cluster.placement(), cluster.membership());
  for (const Target& target : targets->targets) {
    const std::string path = target.shown(target.path);
    const auto node = appender.seal(target.path);
    if (!node) with.messages.failure(path, node.error());
    if (!options.json) continue;
    JsonLine line;
    line.text("path", path).truth("ok", node.ok());
    if (node) line.text("node", node->url());
    if (!node) line.text("error", node.error().what);
    with.out.line(line.str());
  }
  return status_of(with.messages);
}

}  // namespace

Command add_append(CLI::App& parent) {
  CLI::App* app = add_command(
      parent,
      {.name = "append",
       .usage = "[options] [FILE...] TARGET",
       .summary = "add lines to a growing file of the cluster",
       .description =
           "Appends each FILE, or standard input (also as -), to the growing text file TARGET,\n"
           "which is made if need be: below /_aggregate by its extension (.txt .csv .log .json\n"
           ".ndjson .jsonl), elsewhere under any name. Lines go as they come, and stay whole\n"
           "whatever else is appended at the same time; their order among several writers is not\n"
           "promised. One node owns the file: while it is down appends fail, and nothing is\n"
           "started elsewhere. A failure says how much was appended before.",
       .example = "tail -f run.log | skein append /_aggregate/run.log"});
  auto options = std::make_shared<AppendOptions>();
  app->add_option("FILE", options->words, "sources, then the TARGET")->required();
  app->add_flag("--whole", options->whole, "each FILE as one unbroken range (up to 256 MiB)");
  add_json_flag(*app, options->json, "FILE: file, path, ok, bytes, appends, node, or error");
  return {app, [options](const Surroundings& with) { return run_append(*options, with); }};
}

Command add_seal(CLI::App& parent) {
  CLI::App* app = add_command(
      parent, {.name = "seal",
               .usage = "[options] PATH...",
               .summary = "end the growth of a file",
               .description = "Makes growing files ordinary ones, which never change again. A file\n"
                              "that was sealed before is no failure.",
               .example = "skein seal /_aggregate/run.log"});
  auto options = std::make_shared<SealOptions>();
  app->add_option("PATH", options->paths)->required();
  add_json_flag(*app, options->json, "path: path, ok, node, or error");
  return {app, [options](const Surroundings& with) { return run_seal(*options, with); }};
}

}  // namespace skein
