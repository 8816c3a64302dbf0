#include "client/same_bytes.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

namespace skein {
namespace {

// The bytes of `body` at `offset`; `room` holds them when they must be read from a file.
Result<std::span<const char>> part_of(const PutBody& body, std::uint64_t offset, std::size_t size,
                                      std::vector<char>& room) {
  if (const auto* memory = std::get_if<std::span<const char>>(&body)) {
    return memory->subspan(offset, size);
  }
  const FileRange& file = std::get<FileRange>(body);
  room.resize(size);
  std::size_t got = 0;
  while (got < size) {
    const ssize_t n = ::pread(file.fd, room.data() + got, size - got,
                              static_cast<off_t>(file.offset + offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read back what was sent");
    if (n == 0) return Error{std::errc::io_error, "file became shorter after it was sent"};
    got += static_cast<std::size_t>(n);
  }
  return std::span<const char>(room);
}

}  // namespace

Result<Sameness> same_bytes(NodeClient& client, const Node& node, const ClusterPath& path,
                            const PutBody& body) {
  const auto info = client.stat(node, path);
  if (!info) return info.error();
  if (!*info) return Sameness::kAbsent;
  if ((*info)->is_directory || (*info)->size_bytes != size_of(body)) return Sameness::kDifferent;

  std::vector<char> room;
  std::uint64_t offset = 0;
  bool same = true;
  std::optional<Error> unreadable;
  const auto streamed = client.stream(node, path, 0, [&](std::span<const char> piece) {
    if (piece.size() > size_of(body) - offset) return same = false;
    const auto mine = part_of(body, offset, piece.size(), room);
    if (!mine) {
      unreadable = mine.error();
      return false;
    }
    same = std::memcmp(mine->data(), piece.data(), piece.size()) == 0;
    offset += piece.size();
    return same;
  });
  if (unreadable) return *unreadable;
  if (!streamed) return streamed.error();
  return same && offset == size_of(body) ? Sameness::kSame : Sameness::kDifferent;
}

}  // namespace skein
