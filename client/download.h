// Reads files of the cluster: from the nearest live copy, from the next copy when one fails, at the
// byte where the first one stopped. Thread-safe; the references outlive it.
#pragma once

#include <cstdint>
#include <span>

#include "client/locate.h"
#include "client/node_client.h"
#include "core/error.h"
#include "core/path.h"
#include "discovery/membership.h"

namespace skein {

class Downloader {
 public:
  Downloader(NodeClient& client, Membership& membership);

  // The copies, nearest first. Errors: no_such_file_or_directory (every node answered, none has
  // it), is_a_directory, host_unreachable (not found, but nodes were silent).
  Result<Located> find(const ClusterPath& path);

  // Whole file in pieces. Errors: as find(), NodeClient::read(); io_error if copies differ in size.
  Result<std::uint64_t> stream(const ClusterPath& path, const NodeClient::Take& take);

  // Up to into.size() bytes at `offset` from one of `copies`, fewer only at the end of the file.
  // Copies on nodes that are set aside are asked last, so that a stopped node delays one read, not
  // all. Errors: NodeClient::read(), of the last copy; io_error if copies differ in size or a file
  // is shorter than `copies` says; host_unreachable if `copies` is empty.
  Result<std::size_t> read(const ClusterPath& path, const Located& copies, std::uint64_t offset,
                           std::span<char> into);

 private:
  NodeClient& client_;
  Membership& membership_;
};

}  // namespace skein
