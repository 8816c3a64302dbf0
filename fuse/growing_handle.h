// What one open(2) of a growing file holds: reads ask the owner for the bytes as they are now, writes
// are appends of their own, whatever offset the kernel names. Nothing is kept between calls, so a
// reader sees growth at its next read. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>

#include "aggregate/appender.h"
#include "client/download.h"
#include "client/node_client.h"
#include "core/error.h"
#include "core/path.h"
#include "fuse/read_ahead.h"

namespace skein {

class GrowingHandle {
 public:
  struct Sources {
    Appender& appender;
    Downloader& finder;
    NodeClient& client;
  };
  GrowingHandle(const Sources& sources, ClusterPath path, bool writes)
      : sources_(sources), path_(std::move(path)), writes_(writes) {}

  // Finds the file, and keeps the appender to the node that has it. Errors: as Downloader::find().
  Result<void> find();
  // Makes the file, empty, if it is not there. Errors: as Appender::append().
  Result<void> make();

  // One unbroken range. Returns the file's size after it. Errors: bad_file_descriptor (not open for
  // writing), as Appender::append().
  Result<std::uint64_t> append(std::span<const char> bytes);

  // Fewer bytes than asked for at the end there is now. Errors: as NodeClient::read().
  Result<Slices> read(std::uint64_t offset, std::size_t size);

 private:
  const Sources sources_;
  const ClusterPath path_;
  const bool writes_;

  std::mutex mutex_;  // guards the copies
  Located copies_;
};

// Errors: operation_not_permitted for flags of open(2) that would write otherwise than by appends;
// operation_not_supported for a file that does not grow line by line
// below _aggregate.
Result<void> may_append(const ClusterPath& path, int flags);

}  // namespace skein
