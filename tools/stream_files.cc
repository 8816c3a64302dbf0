#include "tools/stream_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>

#include "client/locate.h"
#include "streamer/file_streamer.h"
#include "tools/recording.h"

namespace skein {
namespace {

namespace fs = std::filesystem;

Result<std::vector<fs::path>> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code failed;
  for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    std::error_code unknown;
    if (!at->is_regular_file(unknown)) {
      return Error{std::errc::invalid_argument,
                   at->path().string() + ": not a file; `skein put -r` stores whole trees"};
    }
    files.push_back(at->path());
  }
  if (failed) return errno_error(failed.value(), folder.string());
  if (files.empty()) return Error{std::errc::invalid_argument, folder.string() + ": no files"};
  std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) {
    return a.filename().string() < b.filename().string();
  });
  return files;
}

Result<std::string> read_whole(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (!in.is_open() || in.bad()) return Error{std::errc::io_error, file.string() + ": cannot be read"};
  return bytes;
}

}  // namespace

ExitStatus stream_files(const StreamOptions& options, const Surroundings& with, Session& session,
                        const Target& target) {
  if (options.preflight) {
    return refuse(with, {std::errc::invalid_argument,
                         "--preflight of a folder: give --simulate with the frames' size"});
  }
  const auto files = files_of(options.source());
  if (!files) {
    with.messages.failure(files.error().what);
    return ExitStatus::kSomeFailed;
  }
  const std::uint64_t most = files->size();
  Recording recording(with, {.noun = "files",
                             .per_second = options.per_second,
                             .count = std::min(most, options.count.value_or(most)),
                             .camera_buffer = std::chrono::milliseconds(options.buffer_ms),
                             .json = options.json});
  FileStreamer::Options stream;
  stream.queue_bytes = options.queue_mb << 20;
  if (options.spill) stream.overload = FileStreamer::Overload::kSpill;
  stream.spill_bytes = options.spill_mb << 20;
  stream.recovery_folder = options.recovery;
  stream.on_done = [&](const FileStreamer::Done& done) {
    const auto at = std::lower_bound(files->begin(), files->end(), done.path.name(),
                                     [](const fs::path& file, const std::string& name) {
                                       return file.filename().string() < name;
                                     });
    recording.acknowledged(static_cast<std::uint64_t>(at - files->begin()), done.node, done.error,
                           done.latency);
  };
  FileStreamer streamer(session.membership(), session.client(), std::move(stream));
  std::uint64_t current = most;  // the file that `bytes` is
  std::shared_ptr<const std::string> bytes;
  Recording::Parts parts;
  parts.submit = [&](std::uint64_t index, Deadline deadline) -> Result<std::uint64_t> {
    const fs::path& file = (*files)[index];
    const auto path = target.path.child(file.filename().string());
    if (!path) return path.error();
    if (current != index) {
      auto read = read_whole(file);
      if (!read) return read.error();
      bytes = std::make_shared<const std::string>(std::move(*read));
      current = index;
      // A name that any node has is refused, as `skein put` does; the PUT asks one node only.
      if (!locate(session.client(), *session.nodes(), *path).copies.empty()) {
        return Error{std::errc::file_exists, target.shown(*path) + ": file exists"};
      }
    }
    const auto ticket = streamer.put_given(*path, {}, {*bytes, bytes}, deadline);
    if (!ticket) return ticket.error();
    return bytes->size();
  };
  parts.progress = [&] { return Recording::Progress{streamer.counters(), 0}; };
  parts.finish = [&](Deadline deadline) -> Result<void> {
    const auto failures = streamer.finish(deadline);
    return failures ? Result<void>() : failures.error();
  };
  const auto ran = recording.run(parts);
  if (!ran) with.messages.failure(ran.error().what);
  const bool all_stored = ran && recording.lost() == 0;
  recording.conclude(all_stored, target.shown(target.path));
  return all_stored ? status_of(with.messages) : ExitStatus::kSomeFailed;
}

}  // namespace skein
