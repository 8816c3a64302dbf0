// PUT ?MirrorSource=<url>: this server fetches a file from another one and stores it like any PUT
// (docs/wire.md, "PUT"). Bounded: in how many at once, in how long a source may be silent, and in
// all. Only a reply 200 whose end is known is stored.
//
// A fetch holds its thread, unlike other requests; that is why only a part of the threads may do it
// at the same time, and two servers that mirror from each other cannot block one another.
// Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "core/path.h"
#include "dataserver/body_sink.h"
#include "dataserver/file_store.h"
#include "dataserver/mirror_sources.h"
#include "dataserver/reply.h"

namespace skein {

class Mirror {
 public:
  struct Options {
    int most_at_once = 1;
    std::chrono::milliseconds timeout{5000};  // for the first byte, and for each further 64 KiB
  };
  // A source that keeps the pace, but only just, must not hold a thread for ever.
  static constexpr std::chrono::minutes kLongest{60};

  // Both are borrowed.
  Mirror(FileStore& store, MirrorSources& sources, Options options)
      : store_(store), sources_(sources), options_(options) {}

  // 200; 405 (the name is taken), 400 (no URL as wanted), 403 (not a source), 404 (not there), 507,
  // 503 (too many at once), 502 and 504 (trouble with the source). Nothing is stored but with 200.
  Reply fetch(const ClusterPath& path, const std::string& url);

  // The fetches under way, and later ones, end with 503 within the timeout.
  void stop() { stopping_ = true; }

 private:
  class Place;
  Reply fetch_from(const ClusterPath& path, const MirrorSource& source);

  FileStore& store_;
  MirrorSources& sources_;
  const Options options_;
  std::atomic<int> running_ = 0;
  std::atomic<bool> stopping_ = false;
};

// The request's own body, of which nothing is wanted; the file is fetched when it has ended.
class MirrorBody final : public BodySink {
 public:
  MirrorBody(Mirror& mirror, ClusterPath path, std::string url)
      : mirror_(mirror), path_(std::move(path)), url_(std::move(url)) {}
  void take(std::span<const char>) override {}
  Reply finish() override { return mirror_.fetch(path_, url_); }

 private:
  Mirror& mirror_;
  const ClusterPath path_;
  const std::string url_;
};

}  // namespace skein
