// A local file that appears under its name only when it is whole: written without a name
// (O_TMPFILE), so that not even kill -9 leaves a part behind; where the filesystem can't do that,
// under a temporary name ".NAME.skein-XXXXXX" beside the final one.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "core/error.h"
#include "core/fd.h"

namespace skein {

class LocalFile {
 public:
  // `path`: the final name; its folder exists. Errors: as open(2).
  static Result<std::unique_ptr<LocalFile>> create(std::filesystem::path path);
  ~LocalFile();
  LocalFile(const LocalFile&) = delete;
  LocalFile& operator=(const LocalFile&) = delete;

  // Errors: no_space_on_device and others of write(2).
  Result<void> write(std::span<const char> piece);

  enum class IfThere { kRefuse, kReplace };
  // Gives the file its name. Errors: file_exists; as close(2) and rename(2). Once.
  Result<void> publish(IfThere if_there);

 private:
  LocalFile(std::filesystem::path path, Fd fd, std::filesystem::path temporary)
      : path_(std::move(path)), fd_(std::move(fd)), temporary_(std::move(temporary)) {}
  Result<void> link_under_temporary_name();

  const std::filesystem::path path_;
  Fd fd_;
  std::filesystem::path temporary_;  // "" while the file has no name
};

// An unlinked file for bytes that have to be kept whole before they can be sent, in $TMPDIR or
// /tmp. Errors: as open(2).
Result<Fd> open_scratch();

}  // namespace skein
