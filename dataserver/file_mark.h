// What the server knew of a file when it published it, kept with the file in an extended attribute,
// so that later it can be told from what the disk gives back.
//
// A power cut may leave a file with its name and less than its bytes: filesystems with delayed
// allocation write the name with the journal, and the bytes when they come to it. The attribute goes
// with the name. A file whose length is another one, though nobody changed it since (its modification
// time says so), is such a torn one; lost_writes.h tells whose bytes are compared, too. One that
// somebody changed is his: the mark does not speak of it any more.
//
// Attribute user.skein.mark: "<bytes> <mtime, ns since 1970> <sum>", where sum is the xxh3-64 as 16
// hex digits; without one "dense", when every byte was written (no holes), else "-".
// Measured: with 96 bytes for attributes inside an ext4 inode (its default) it needs no block.
#pragma once

#include <cstdint>
#include <optional>

#include "core/error.h"
#include "dataserver/beneath.h"

namespace skein {

struct FileMark {
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;
  std::optional<std::uint64_t> checksum;  // core/checksum.h
  bool dense = false;  // has no holes; said of files without a checksum
};

// No byte of the file lies in a hole, or in a block that was reserved and never written.
bool is_dense(int fd, std::uint64_t size_bytes);

// Precondition: the file is still writable by its mode, or its owner may not mark it. A filesystem
// without such attributes is no error. Errors: no_space_on_device, io_error.
Result<void> write_mark(int fd, const FileMark& mark);

// The file is about to become another one.
void remove_mark(int fd);

// Nothing if the file has none, or one that cannot be read.
std::optional<FileMark> read_mark(int fd);

// What the mark says of the file as it is.
enum class MarkVerdict {
  kWhole,    // as it was published
  kTorn,     // nobody changed it, and it has not the length that was acknowledged
  kChanged,  // somebody changed it
};
MarkVerdict judge(const FileMark& mark, const Found& found);

}  // namespace skein
