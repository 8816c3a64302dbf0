// Stages that clients name over HTTP (docs/wire.md, "Stages"): bytes kept invisibly until they are
// published or dropped, that come whole or in pieces. They survive a restart of the server, and go
// kLifetime after they were last written. Of those that may have lost bytes in a power cut
// (lost_writes.h) only what was whole, and is proven to be so still, can be published; the others are
// gone, and their clients send them again. Thread-safe: what is done to one stage is done one after
// the other.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "core/checksum.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/path.h"
#include "dataserver/file_mark.h"
#include "dataserver/file_store.h"

namespace skein {

class StageShelf {
 public:
  static constexpr std::chrono::hours kLifetime{24};
  // Stages whose checksum is taken while their pieces come, about 700 bytes each; one that comes
  // beside so many others is published without.
  static constexpr std::size_t kMostSums = 1024;

  // `store` is borrowed. Stages that were published when the server died are dropped now, and those
  // that a power cut may have taken bytes from, unless they were whole.
  explicit StageShelf(FileStore& store);

  // Errors of the three beside those named: timed_out (the stage is busy and stays so).

  // Keeps `stage` under `id`, in place of an earlier one. Precondition: is_uuid(id). Errors: as
  // link(2), rename(2).
  Result<void> keep(const std::string& id, StagedFile& stage);

  // Errors: no_such_file_or_directory (no such stage), file_exists (the stage is kept), timed_out also
  // while it is being compared with its checksum after a power cut, others as FileStore::publish().
  Result<void> publish(const std::string& id, const ClusterPath& path);

  // Errors: no_such_file_or_directory.
  Result<void> drop(const std::string& id);

  void drop_expired();

  // The stage has `size_bytes` bytes from now on: cut, grown by zeros, or, if that is 0, made. Its
  // checksum as far as it is known. Errors: no_such_file_or_directory, as ftruncate(2).
  Result<std::optional<std::uint64_t>> resize(const std::string& id, std::uint64_t size_bytes);

  class Piece;
  // Opens a stage for bytes at `first`; while the piece is there nothing else is done to the stage.
  // Errors: no_such_file_or_directory.
  Result<std::unique_ptr<Piece>> piece(const std::string& id, std::uint64_t first);

 private:
  class Turn;
  // Of the first `end` bytes of a stage, which came one after the other.
  struct Sum {
    Checksum checksum;
    std::uint64_t end = 0;
  };

  Result<std::optional<std::uint64_t>> cut(const std::string& id, int fd, std::uint64_t size_bytes);
  void drop_lost();
  Result<Fd> open_to_change(const std::string& id, int flags);
  bool is_unproven(const std::string& id);
  void forget_unproven(const std::string& id);
  // False: it has lost bytes.
  Result<bool> is_whole(int fd, const FileMark& mark, const ClusterPath& path);
  std::optional<Sum> sum_of(const std::string& id);
  void set_sum(const std::string& id, std::optional<Sum> sum);

  FileStore& store_;

  std::mutex mutex_;  // guards everything below; not held while a stage is worked on
  std::condition_variable freed_;
  std::set<std::string> busy_;  // ids being worked on
  std::set<std::string> unproven_;  // whole before a power cut, to be compared with their checksum
  std::map<std::string, Sum> sums_;  // of stages that come in pieces
};

// Some bytes of a stage on their way. One that ends without complete() leaves undefined bytes in
// its place. One thread at a time.
class StageShelf::Piece {
 public:
  ~Piece();

  // Writes behind what was added before. Errors: no_space_on_device, io_error.
  Result<void> add(std::span<const char> bytes);
  // All of it is there. `size_bytes`: of the whole stage, if it is to have just that. The stage's
  // checksum as far as it is known. Errors: as ftruncate(2).
  Result<std::optional<std::uint64_t>> complete(std::optional<std::uint64_t> size_bytes);

 private:
  friend class StageShelf;
  Piece(StageShelf& shelf, const std::string& id, std::unique_ptr<Turn> turn, Fd fd,
        std::uint64_t first);

  StageShelf& shelf_;
  const std::string id_;
  const std::unique_ptr<Turn> turn_;
  const Fd fd_;
  const std::uint64_t first_;
  std::uint64_t end_;
  std::optional<Sum> sum_;  // of all up to end_
};

}  // namespace skein
