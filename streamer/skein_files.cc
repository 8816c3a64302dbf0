// The C interface: files as they are.
#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "streamer/c_interface.h"

using skein::Error;
using skein::FileStreamer;
using skein::Result;
using skein::c_interface::deadline_of;
using skein::c_interface::error_text;
using skein::c_interface::fill;
using skein::c_interface::guarded;
using skein::c_interface::owner_of;
using skein::c_interface::say;
using skein::c_interface::wrong;

// Opaque to callers.
struct skein_files {
  std::unique_ptr<FileStreamer> streamer;
  // After finish, with the texts that skein_files_failures() points to.
  std::vector<FileStreamer::Failure> failures;
  std::vector<std::string> paths;
};

namespace {

Result<FileStreamer::Options> options_of(const skein_files_options& from) {
  const auto refuse = [](const char* why) { return Error{std::errc::invalid_argument, why}; };
  if (from.struct_bytes != sizeof from) return refuse("options: skein_files_options_init() first");
  if (from.files_per_chunk == 0) return refuse("options: files_per_chunk is 0");
  auto options = skein::c_interface::stream_options_of(from, from.files_per_chunk);
  if (options && from.on_done != nullptr) {
    options->on_done = [call = from.on_done, context = from.context](const FileStreamer::Done& done) {
      call(context, done.ticket, done.path.text().c_str(),
           done.error == nullptr ? nullptr : done.error->what.c_str());
    };
  }
  return options;
}

using Put = std::function<Result<FileStreamer::Ticket>(
    FileStreamer& streamer, const skein::ClusterPath& path, std::span<const char> bytes)>;

int put(skein_files* files, const char* path, const void* bytes, size_t size_bytes,
        uint64_t* ticket, const Put& by) {
  if (files == nullptr || path == nullptr || (bytes == nullptr && size_bytes > 0)) {
    return wrong("NULL argument");
  }
  const auto parsed = skein::ClusterPath::parse(path);
  if (!parsed) return say(parsed.error());
  const auto taken =
      by(*files->streamer, *parsed, std::span(static_cast<const char*>(bytes), size_bytes));
  if (!taken) return say(taken.error());
  if (ticket != nullptr) *ticket = *taken;
  return SKEIN_OK;
}

int finish(skein_files& files, int wait_ms) {
  auto failures = files.streamer->finish(deadline_of(wait_ms));
  if (!failures) return say(failures.error());
  files.failures = std::move(*failures);
  files.paths.clear();
  for (const auto& failure : files.failures) files.paths.push_back(failure.path.text());
  if (files.failures.empty()) return SKEIN_OK;
  error_text() = std::to_string(files.failures.size()) +
                 " files are not stored: " + files.failures.front().error.what;
  return SKEIN_INCOMPLETE;
}

}  // namespace

void skein_files_options_init(skein_files_options* options) {
  *options = {};
  options->struct_bytes = sizeof *options;
  options->queue_bytes = 256u << 20;
  options->files_per_chunk = 1;
  options->spill_bytes = std::uint64_t{16} << 30;
}

int skein_files_open(skein_cluster* cluster, const skein_files_options* options,
                     skein_files** opened) {
  return guarded([&] {
    if (cluster == nullptr || options == nullptr || opened == nullptr) return wrong("NULL argument");
    auto made = options_of(*options);
    if (!made) return say(made.error());
    auto files = std::make_unique<skein_files>();
    files->streamer =
        std::make_unique<FileStreamer>(*cluster->membership, cluster->client, std::move(*made));
    *opened = files.release();
    return static_cast<int>(SKEIN_OK);
  });
}

int skein_files_put(skein_files* files, const char* path, const void* bytes, size_t size_bytes,
                    const char* key, int wait_ms, uint64_t* ticket) {
  return guarded([&] {
    return put(files, path, bytes, size_bytes, ticket,
               [&](FileStreamer& streamer, const auto& to, std::span<const char> all) {
                 return streamer.put(to, all, deadline_of(wait_ms), key == nullptr ? "" : key);
               });
  });
}

int skein_files_put_given(skein_files* files, const char* path, const void* bytes,
                          size_t size_bytes, const char* key, int wait_ms, uint64_t* ticket,
                          skein_release_function release, void* context) {
  return guarded([&] {
    auto owner = owner_of(release, context);
    return put(files, path, bytes, size_bytes, ticket,
               [&](FileStreamer& streamer, const auto& to, std::span<const char> all) {
                 return streamer.put_given(to, {}, {all, std::move(owner)}, deadline_of(wait_ms),
                                           key == nullptr ? "" : key);
               });
  });
}

int skein_files_wait(skein_files* files, uint64_t ticket, int wait_ms) {
  return guarded([&] {
    if (files == nullptr) return wrong("NULL argument");
    const auto stored = files->streamer->wait(ticket, deadline_of(wait_ms));
    return stored ? static_cast<int>(SKEIN_OK) : say(stored.error());
  });
}

int skein_files_flush(skein_files* files, int wait_ms) {
  return guarded([&] {
    if (files == nullptr) return wrong("NULL argument");
    const auto done = files->streamer->flush(deadline_of(wait_ms));
    return done ? static_cast<int>(SKEIN_OK) : say(done.error());
  });
}

int skein_files_finish(skein_files* files, int wait_ms) {
  return guarded([&] { return files == nullptr ? wrong("NULL argument") : finish(*files, wait_ms); });
}

size_t skein_files_failures(skein_files* files, skein_failure* failures, size_t most) {
  if (files == nullptr) return 0;
  for (std::size_t i = 0; i < std::min(most, files->failures.size()); ++i) {
    const FileStreamer::Failure& from = files->failures[i];
    failures[i] = {from.ticket, files->paths[i].c_str(), from.error.what.c_str(),
                   from.kept_as.c_str()};
  }
  return files->failures.size();
}

int skein_files_counters(skein_files* files, skein_counters* counters) {
  return guarded([&] {
    if (files == nullptr || counters == nullptr || counters->struct_bytes != sizeof *counters) {
      return wrong("counters: set struct_bytes");
    }
    fill(*counters, files->streamer->counters());
    return static_cast<int>(SKEIN_OK);
  });
}

void skein_files_close(skein_files* files) { delete files; }
