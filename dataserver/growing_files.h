// The growing text files of this node (docs/wire.md, "Appends"): which there are, where the last
// complete append of each ends, making a new one, and its end, the seal. Whatever has a journal in
// ROOT/.skein/append/ grows; everything else is written once.
//
// Growing files have kGrowingMode, sealed ones 0440 as all others. A file is made by its first append;
// if that fails, nothing is left. Thread-safe; making new files is done by one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "aggregate/growing_file.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/path.h"
#include "dataserver/file_store.h"

namespace skein {

class GrowingFiles {
 public:
  // Files held open between appends, two descriptors each.
  static constexpr std::size_t kMostOpen = 256;

  // Takes up what grew when the server stopped, and cuts off what was not acknowledged. `store` is
  // borrowed. Errors: as open(2) of the journals' folder; a file that cannot be taken up is logged,
  // and takes no appends.
  static Result<std::unique_ptr<GrowingFiles>> open(FileStore& store);

  // The bytes of a growing file that count; nullopt: `path` does not grow here.
  std::optional<std::uint64_t> committed_bytes(const ClusterPath& path) const;

  // Makes the file if there is none. With FileStore::Options::sync the caller lets a ticket of
  // gate() be released before it acknowledges. Errors: file_exists (something is at `path` that does
  // not grow: sealed, put, or a directory), no_space_on_device, others as GrowingFile::append().
  Result<GrowingFile::Appended> append(const ClusterPath& path, const AppendBytes& body,
                                       const std::optional<RequestId>& request);

  // Ends growth: the file is an ordinary one from now on. True also if it was sealed before.
  // Errors: no_such_file_or_directory, is_a_directory, io_error.
  Result<void> seal(const ClusterPath& path);

  std::size_t count() const;

 private:
  struct Entry;
  using EntryPtr = std::shared_ptr<Entry>;

  GrowingFiles(FileStore& store, Fd journals);
  void take_up(const std::string& journal_name);
  EntryPtr find(const ClusterPath& path) const;
  Result<EntryPtr> find_or_make(const ClusterPath& path);
  Result<EntryPtr> make(const ClusterPath& path);
  Result<Fd> make_file(const ClusterPath& path);
  Result<std::shared_ptr<GrowingFile>> opened(Entry& entry, const ClusterPath& path);
  void close_least_recent();
  void forget(const ClusterPath& path, const EntryPtr& entry);
  void abandon(const ClusterPath& path, const EntryPtr& entry);
  void note_growth(Entry& entry, const ClusterPath& path);
  GrowingFile::Flush flush();

  FileStore& store_;
  const Fd journals_;

  std::mutex making_;  // held while a file is made, so that two first appends make one

  mutable std::mutex mutex_;  // guards the map, and Entry::file and used
  std::unordered_map<std::string, EntryPtr> entries_;  // by path text
  std::uint64_t uses_ = 0;
  std::size_t open_ = 0;
};

}  // namespace skein
