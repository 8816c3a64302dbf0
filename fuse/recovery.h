// The folder recover/ of a spool: files that a writer closed and no node shows yet. A mount adds to
// it (fuse/spool.h); `skein recover` lists it, and puts or drops what no mount is going to store.
//
//   ID.data   the bytes; a read lock (fcntl(2), F_OFD_SETLK) is on it while a mount means to store
//             them itself, a write lock while somebody puts or drops them
//   ID.json   {"path", "target", "cluster", "size_bytes", "why", "stage", "node"}; "target" is the
//             path percent-encoded, because a name need not be UTF-8
// The .json is written last and removed first: a .data alone belongs to a close() that did not
// return, or to a removal that was cut short.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/fd.h"
#include "core/path.h"

namespace skein {

// Why bytes lie in recover/, and where a stage of them may be: to be dropped, for what it holds may
// be older.
struct RecoveryNote {
  ClusterPath path;  // the root: not known
  std::string why;
  std::string stage_id;  // "" = not staged on a node
  std::string node_url;  // of the stage
  std::string cluster = "";
  bool operator==(const RecoveryNote&) const = default;
};

std::string to_json(const RecoveryNote& note, std::uint64_t size_bytes);
// Errors: bad_message.
Result<RecoveryNote> parse_recovery_note(const std::string& json);

struct Recoverable {
  std::string id;
  RecoveryNote note;
  std::uint64_t size_bytes = 0;
  std::int64_t written_s = 0;  // seconds since 1970: the last write of its bytes
  bool in_use = false;         // a mount will store it itself, or somebody has it in hand
};

// Oldest first. Errors: as opendir(3) but ENOENT, which is an empty list.
Result<std::vector<Recoverable>> list_recoverable(const std::filesystem::path& spool);

// One of them, in hand: nobody else puts or drops it meanwhile.
class RecoveredFile {
 public:
  // Errors: no_such_file_or_directory, device_or_resource_busy (in use), as open(2).
  static Result<RecoveredFile> take(const std::filesystem::path& spool, const std::string& id);

  int fd() const { return data_.get(); }
  // Its bytes are wanted here no longer.
  void remove();

 private:
  RecoveredFile(Fd data, std::filesystem::path path)
      : data_(std::move(data)), path_(std::move(path)) {}

  Fd data_;
  std::filesystem::path path_;  // without extension
};

// The mount's own lock on a .data, for as long as the descriptor is open. Errors: as open(2).
Result<Fd> hold_for_mount(const std::filesystem::path& data);

}  // namespace skein
