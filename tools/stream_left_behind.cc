#include "tools/stream_left_behind.h"

#include <unistd.h>

#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "streamer/file_streamer.h"
#include "streamer/kept_files.h"
#include "streamer/series_end.h"
#include "streamer/series_layout.h"
#include "tools/grouped.h"
#include "tools/json_line.h"
#include "tools/printable.h"
#include "tools/progress_bar.h"
#include "tools/series_text.h"
#include "tools/session.h"
#include "tools/targets.h"

namespace skein {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kRefresh{100};
// Without any answer for so long the cluster takes nothing; the files stay where they are.
constexpr std::chrono::seconds kMostSilence{60};

fs::path state_folder() {
  const char* xdg = std::getenv("XDG_STATE_HOME");
  if (xdg != nullptr && *xdg == '/') return fs::path(xdg) / "skein";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') return fs::absolute(home) / ".local/state/skein";
  if (::geteuid() == 0) return "/var/lib/skein";
  return "/tmp/skein-" + std::to_string(::geteuid()) + "/state";
}

// One component of a path, never the same for two clusters.
std::string component_of(const std::string& cluster) {
  if (cluster.empty()) return "%";
  std::string text;
  for (const char c : cluster) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = std::isalnum(byte) != 0 || c == '-' || c == '_' || (c == '.' && !text.empty());
    char escape[4];
    std::snprintf(escape, sizeof escape, "%%%02X", byte);
    text += is_plain ? std::string(1, c) : escape;
  }
  return text;
}

// What became of each file, told by the streamer's threads and printed by the main one.
class Answers {
 public:
  Answers(const StreamOptions& options, const Surroundings& with)
      : with_(with), json_(options.json), bar_(!with.flags.quiet) {
    with_.messages.before_line([this] { bar_.clear(); });
  }
  ~Answers() { with_.messages.before_line({}); }
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;

  ProgressBar& bar() { return bar_; }

  // Those that failed are told by FileStreamer::finish(), which knows where they lie.
  void add(const FileStreamer::Done& done) {
    if (done.node == nullptr) return;
    const std::lock_guard lock(mutex_);
    new_.push_back({done.path, done.node->url(), done.size_bytes});
    const std::string name = done.path.name();
    if (parse_frame_name(name)) series_.insert(done.path.parent());
  }

  // Returns how many were new.
  std::size_t print() {
    std::vector<Stored> files;
    {
      const std::lock_guard lock(mutex_);
      files.swap(new_);
    }
    for (const Stored& file : files) {
      ++stored_;
      bar_.end_file(file.size_bytes);
      if (!json_) continue;
      with_.out.line(JsonLine()
                         .text("path", "/" + file.path.text())
                         .truth("ok", true)
                         .number("size_bytes", static_cast<std::int64_t>(file.size_bytes))
                         .text("node", file.node_url)
                         .str());
    }
    return files.size();
  }

  void conclude(const std::vector<FileStreamer::Failure>& failures, const std::string& folder) {
    bar_.clear();
    for (const FileStreamer::Failure& failure : failures) {
      with_.messages.failure("/" + failure.path.text() + ": " + failure.error.what + "; kept as " +
                             failure.kept_as.string());
      if (!json_) continue;
      with_.out.line(JsonLine()
                         .text("path", "/" + failure.path.text())
                         .truth("ok", false)
                         .text("error", failure.error.what)
                         .text("kept_as", failure.kept_as.string())
                         .str());
    }
    if (json_) return;
    with_.out.line(printable(folder) + ": " + grouped(stored_) + " files sent, " +
                   grouped(failures.size()) + " left");
  }

  // What the files sent are frames of, but for series that still lack one: where another file has a
  // frame's name, its place only looks taken.
  std::set<ClusterPath> series_without(const std::vector<FileStreamer::Failure>& failures) const {
    std::set<ClusterPath> whole = series_;
    for (const FileStreamer::Failure& failure : failures) whole.erase(failure.path.parent());
    return whole;
  }

 private:
  struct Stored {
    ClusterPath path;
    std::string node_url;
    std::uint64_t size_bytes;
  };
  const Surroundings& with_;
  const bool json_;
  ProgressBar bar_;
  std::uint64_t stored_ = 0;

  std::mutex mutex_;  // guards the two below, while the streamer is there
  std::vector<Stored> new_;
  std::set<ClusterPath> series_;
};

// A killed recording could not end its series. It is ended where every frame is there; else it is
// said what is missing.
void end_series_of(const std::set<ClusterPath>& all, const StreamOptions& options, Session& session,
                   const Surroundings& with) {
  for (const ClusterPath& path : all) {
    const std::string shown = "/" + path.text();
    auto state = check_series(session.client(), session.downloader(), *session.nodes(), path,
                              CheckDepth::kNames);
    if (!state) {
      with.messages.failure(shown, without_path(state.error(), path));
      continue;
    }
    if (lacks_only_its_end(*state)) {
      if (auto ended = end_series(session.uploader(), path, *state); !ended) {
        with.messages.failure(shown, without_path(ended.error(), path));
        continue;
      }
    }
    if (options.json) {
      with.out.line(JsonLine().json("series", series_json(shown, *state)).str());
    } else {
      with.out.line(series_sentence(shown, *state));
    }
    if (!state->has_marker) {
      with.messages.note("its recording ended before " + printable(shown) +
                         " was complete; `skein series complete " + printable(shown) +
                         "` ends it with the frames that are there, if none is missing between them");
    }
  }
}

// Of ended programs. They are free again on return.
Result<std::vector<KeptFiles::Kept>> look_into(const fs::path& folder) {
  return KeptFiles(folder).left_behind();
}

}  // namespace

fs::path default_recovery_folder(const std::string& cluster) {
  return state_folder() / "stream" / component_of(cluster);
}

ExitStatus send_left_behind(const StreamOptions& options, const Surroundings& with) {
  const auto there = look_into(options.recovery);
  if (!there) {
    with.messages.failure(there.error().what);
    return ExitStatus::kSomeFailed;
  }
  if (there->empty()) {
    with.messages.note("nothing is left behind in " + options.recovery);
    return ExitStatus::kDone;
  }
  const auto session = Session::open(with);
  if (!session) return refuse(with, session.error());
  Answers answers(options, with);
  FileStreamer::Options stream;
  stream.queue_bytes = options.queue_mb << 20;
  stream.recovery_folder = options.recovery;
  stream.on_done = [&](const FileStreamer::Done& done) { answers.add(done); };
  FileStreamer streamer((*session)->membership(), (*session)->client(), std::move(stream));
  if (const auto taken = streamer.send_left_behind(); !taken) {
    with.messages.failure(taken.error().what);
    return ExitStatus::kSomeFailed;
  }
  answers.bar().expect(streamer.counters().accepted_bytes);
  auto last_news = std::chrono::steady_clock::now();
  auto failures = streamer.finish(Deadline::after(kRefresh));
  while (!failures && std::chrono::steady_clock::now() - last_news <= kMostSilence) {
    if (answers.print() > 0) last_news = std::chrono::steady_clock::now();
    failures = streamer.finish(Deadline::after(kRefresh));
  }
  if (!failures) failures = streamer.abandon();
  answers.print();
  answers.conclude(*failures, options.recovery);
  end_series_of(answers.series_without(*failures), options, **session, with);
  return status_of(with.messages);
}

void say_what_is_left_behind(const fs::path& folder, const Surroundings& with) {
  const auto there = look_into(folder);
  if (!there || there->empty()) return;
  std::uint64_t bytes = 0;
  for (const KeptFiles::Kept& file : *there) bytes += file.size_bytes;
  with.messages.note(grouped(there->size()) + " files (" + human_size(bytes) + ") that no node has are in " +
                     folder.string() + "; `skein stream --left-behind --recovery " +
                     folder.string() + "` sends them");
}

}  // namespace skein
