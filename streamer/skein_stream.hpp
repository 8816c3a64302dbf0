// C++ over skein_stream.h: handles that close themselves, errors as exceptions in the caller's own
// code. Header only, so that no C++ ABI lies between a program and the library. Threads: as there.
#pragma once

#include <skein/skein_stream.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace skein_stream {

// `status` is one of skein_stream.h.
class Error : public std::runtime_error {
 public:
  Error(int status, const char* what) : std::runtime_error(what), status(status) {}
  const int status;
};

inline void check(int status) {
  if (status != SKEIN_OK) throw Error(status, skein_error_text());
}

// As skein_log_to(); empty: standard error. `line` must not throw. By one thread at a time.
inline void log_to(std::function<void(int level, const char* text)> line) {
  static std::function<void(int, const char*)> kept;
  skein_log_to(nullptr, nullptr);  // nothing calls the one before from here on
  kept = std::move(line);
  if (!kept) return;
  skein_log_to([](void*, int level, const char* text) { kept(level, text); }, nullptr);
}

// Calls it once, then it is gone; for `release` in skein_stream.h.
using Release = std::function<void()>;
inline void call_release(void* release) {
  const std::unique_ptr<Release> kept(static_cast<Release*>(release));
  (*kept)();
}

class Cluster {
 public:
  explicit Cluster(const std::string& cluster, const char* nodes = nullptr, int settle_ms = 2000) {
    skein_cluster* opened = nullptr;
    check(skein_cluster_open(cluster.c_str(), nodes, settle_ms, &opened));
    handle_.reset(opened);
  }
  // Returns how many files of the recovery folder could not be sent, and are there still.
  std::uint64_t send_left_behind(const std::string& folder, int wait_ms) {
    std::uint64_t left = 0;
    const int status =
        skein_cluster_send_left_behind(handle_.get(), folder.c_str(), wait_ms, nullptr, &left);
    if (status != SKEIN_INCOMPLETE) check(status);
    return left;
  }
  skein_cluster* get() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(skein_cluster* cluster) const { skein_cluster_close(cluster); }
  };
  std::unique_ptr<skein_cluster, Close> handle_;
};

struct Options : skein_series_options {
  Options() { skein_series_options_init(this); }
};

class Series {
 public:
  Series(const Cluster& cluster, const Options& options) {
    skein_series* created = nullptr;
    check(skein_series_create(cluster.get(), &options, &created));
    handle_.reset(created);
  }
  // Rows of pixels without padding. False if there was no room in time: the frame is not accepted.
  bool submit(std::uint64_t index, const void* pixels, std::size_t size_bytes, int wait_ms) {
    skein_frame frame;
    skein_frame_init(&frame);
    frame.pixels = pixels;
    frame.size_bytes = size_bytes;
    const int status = skein_series_submit(handle_.get(), index, &frame, wait_ms);
    if (status == SKEIN_FULL) return false;
    check(status);
    return true;
  }
  // The same without a copy, as skein_series_submit_given(); `release` must not throw, or be empty.
  bool submit_given(std::uint64_t index, const void* pixels, std::size_t size_bytes, int wait_ms,
                    Release release) {
    skein_frame frame;
    skein_frame_init(&frame);
    frame.pixels = pixels;
    frame.size_bytes = size_bytes;
    const int status = skein_series_submit_given(handle_.get(), index, &frame, wait_ms,
                                                 call_release, new Release(std::move(release)));
    if (status == SKEIN_FULL) return false;
    check(status);
    return true;
  }
  void event(const std::string& name, const std::string& description, double unix_time) {
    check(skein_series_event(handle_.get(), name.c_str(), description.c_str(), unix_time));
  }
  // The numbers of frames that are not stored; none: the series is complete.
  std::vector<std::uint64_t> finish(int wait_ms, const char* metadata_json = nullptr) {
    const int status = skein_series_finish(handle_.get(), metadata_json, wait_ms);
    if (status != SKEIN_INCOMPLETE) check(status);
    if (status == SKEIN_OK) return {};
    std::vector<std::uint64_t> missing(skein_series_missing(handle_.get(), nullptr, 0));
    skein_series_missing(handle_.get(), missing.data(), missing.size());
    return missing;
  }
  skein_series* get() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(skein_series* series) const { skein_series_close(series); }
  };
  std::unique_ptr<skein_series, Close> handle_;
};

struct FilesOptions : skein_files_options {
  FilesOptions() { skein_files_options_init(this); }
};

struct Failure {
  std::uint64_t ticket;
  std::string path;
  std::string reason;
  std::string kept_as;
};

class Files {
 public:
  Files(const Cluster& cluster, const FilesOptions& options) {
    skein_files* opened = nullptr;
    check(skein_files_open(cluster.get(), &options, &opened));
    handle_.reset(opened);
  }
  // The file's ticket; nullopt if there was no room in time: the file is not accepted.
  std::optional<std::uint64_t> put(const std::string& path, const void* bytes,
                                   std::size_t size_bytes, int wait_ms,
                                   const char* key = nullptr) {
    std::uint64_t ticket = 0;
    const int status = skein_files_put(handle_.get(), path.c_str(), bytes, size_bytes, key, wait_ms,
                                       &ticket);
    if (status == SKEIN_FULL) return std::nullopt;
    check(status);
    return ticket;
  }
  // The same without a copy, as skein_files_put_given(); `release` must not throw, or be empty.
  std::optional<std::uint64_t> put_given(const std::string& path, const void* bytes,
                                         std::size_t size_bytes, int wait_ms, Release release,
                                         const char* key = nullptr) {
    std::uint64_t ticket = 0;
    const int status =
        skein_files_put_given(handle_.get(), path.c_str(), bytes, size_bytes, key, wait_ms, &ticket,
                              call_release, new Release(std::move(release)));
    if (status == SKEIN_FULL) return std::nullopt;
    check(status);
    return ticket;
  }
  void wait(std::uint64_t ticket, int wait_ms) {
    check(skein_files_wait(handle_.get(), ticket, wait_ms));
  }
  void flush(int wait_ms) { check(skein_files_flush(handle_.get(), wait_ms)); }
  // What failed so far; none: every file is stored.
  std::vector<Failure> finish(int wait_ms) {
    const int status = skein_files_finish(handle_.get(), wait_ms);
    if (status != SKEIN_INCOMPLETE) check(status);
    if (status == SKEIN_OK) return {};
    std::vector<skein_failure> named(skein_files_failures(handle_.get(), nullptr, 0));
    skein_files_failures(handle_.get(), named.data(), named.size());
    std::vector<Failure> failures;
    for (const skein_failure& one : named) {
      failures.push_back({one.ticket, one.path, one.reason, one.kept_as});
    }
    return failures;
  }
  skein_files* get() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(skein_files* files) const { skein_files_close(files); }
  };
  std::unique_ptr<skein_files, Close> handle_;
};

}  // namespace skein_stream
