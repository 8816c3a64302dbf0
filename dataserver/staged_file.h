// Bytes on their way into the store: a file that nobody can see yet. It has no name at all
// (O_TMPFILE), or, on filesystems that know no such thing, a private one in the stage folder.
// Dropped with the object unless published (FileStore::publish). One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/error.h"
#include "core/fd.h"
#include "dataserver/parent_directory.h"

namespace skein {

class StagedFile {
 public:
  // `name` in `stage_directory` is removed with this object; "" for an unnamed file.
  // `stage_directory` is borrowed and outlives this.
  StagedFile(Fd fd, int stage_directory, std::string name);
  StagedFile(StagedFile&& other) noexcept;
  StagedFile& operator=(StagedFile&& other) = delete;
  ~StagedFile();

  int fd() const { return fd_.get(); }
  const std::string& name() const { return name_; }
  std::uint64_t appended_bytes() const { return appended_; }

  // Of all the bytes (core/checksum.h), if somebody took it; goes with the file when published.
  std::optional<std::uint64_t> checksum() const { return checksum_; }
  void set_checksum(std::uint64_t checksum) { checksum_ = checksum; }

  // Writes at the end and starts write-back of large files early, so that memory never fills with
  // dirty pages. Errors: no_space_on_device (quota too), file_too_large, io_error.
  Result<void> append(std::span<const char> data);

  // Gives the writable descriptor away and keeps a read-only one. Errors: as open(2).
  Result<Fd> hand_out();

  // Gives this file `name` in `directory`, where nothing may have it yet. Errors: file_exists,
  // cross_device_link, others as link(2).
  Result<void> link_as(int directory, const std::string& name);

  // The directory that the file is meant for, as it was found when this, or another stage for it, was
  // made; null: none is known.
  const std::shared_ptr<const ParentDirectory>& parent() const { return parent_; }
  void remember_parent(std::shared_ptr<const ParentDirectory> parent) { parent_ = std::move(parent); }

  // The private name stays when this object goes.
  void keep_name() { name_.clear(); }

 private:
  Fd fd_;
  int stage_directory_;
  std::string name_;
  std::uint64_t appended_ = 0;
  std::optional<std::uint64_t> checksum_;
  std::shared_ptr<const ParentDirectory> parent_;
  std::uint64_t flushing_ = 0;  // bytes from the start whose write-back was asked for
};

}  // namespace skein
