// What the mount tells about a file or directory beside stat(2), as extended attributes:
//   user.skein.locations   of a file: URLs of its copies, comma-separated
//   user.skein.node        of a file: the node that it is read from
//   user.skein.checksum    of a file: "xxh3-64:<16 hexadecimal digits>", where its node knows it
//   user.skein.series      of a directory with metadata.json: "frames=N expected=N complete=yes|no"
//   user.skein.incomplete  of a directory: the nodes whose share is missing or old
// "expected" counts up to the highest frame number seen (docs/wire.md, "Series").
//
// Thread-safe; asks nodes, within the deadlines of the parts below.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/download.h"
#include "core/error.h"
#include "fuse/mounted_tree.h"

namespace skein {

// Counts the frames of a series by their names.
class FrameCount {
 public:
  void add(std::string_view name);
  bool is_series() const { return has_metadata_; }
  // "frames=41 expected=42 complete=no"
  std::string text() const;

 private:
  std::uint64_t frames_ = 0;
  std::uint64_t expected_ = 0;
  bool has_metadata_ = false;
  bool complete_ = false;
};

class FileFacts {
 public:
  FileFacts(MountedTree& tree, Downloader& finder) : tree_(tree), finder_(finder) {}

  // Errors: ENODATA (no such attribute, or nothing to tell); as MountedTree and Downloader::find().
  Result<std::string> value(Inode inode, std::string_view name);
  // Names of those that value() would give now.
  Result<std::vector<std::string>> names(Inode inode);

 private:
  Result<std::string> of_directory(Inode inode, std::string_view name);
  Result<std::string> of_file(Inode inode, std::string_view name);
  Result<std::string> series(Inode inode);

  MountedTree& tree_;
  Downloader& finder_;
};

}  // namespace skein
