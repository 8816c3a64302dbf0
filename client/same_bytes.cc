#include "client/same_bytes.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
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

// The same of bytes in pieces; `room` holds those that lie across two of them.
std::span<const char> part_of(std::span<const std::span<const char>> pieces, std::uint64_t offset,
                              std::size_t size, std::vector<char>& room) {
  room.clear();
  for (const auto piece : pieces) {
    if (offset >= piece.size()) {
      offset -= piece.size();
      continue;
    }
    const auto part = piece.subspan(offset, std::min(size - room.size(), piece.size() - offset));
    if (part.size() == size) return part;
    room.insert(room.end(), part.begin(), part.end());
    offset = 0;
    if (room.size() == size) break;
  }
  return room;
}

// `mine`: the bytes at an offset, so many of them.
using MineAt =
    std::function<Result<std::span<const char>>(std::uint64_t offset, std::size_t size)>;

Result<Sameness> compare(NodeClient& client, const Node& node, const ClusterPath& path,
                         std::uint64_t size_bytes, const MineAt& mine_at) {
  const auto info = client.stat(node, path);
  if (!info) return info.error();
  if (!*info) return Sameness::kAbsent;
  if ((*info)->is_directory || (*info)->size_bytes != size_bytes) return Sameness::kDifferent;

  std::uint64_t offset = 0;
  bool same = true;
  std::optional<Error> unreadable;
  const auto streamed = client.stream(node, path, 0, [&](std::span<const char> piece) {
    if (piece.size() > size_bytes - offset) return same = false;
    const auto mine = mine_at(offset, piece.size());
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
  return same && offset == size_bytes ? Sameness::kSame : Sameness::kDifferent;
}

}  // namespace

Result<Sameness> same_bytes(NodeClient& client, const Node& node, const ClusterPath& path,
                            const PutBody& body) {
  std::vector<char> room;
  return compare(client, node, path, size_of(body), [&](std::uint64_t offset, std::size_t size) {
    return part_of(body, offset, size, room);
  });
}

Result<Sameness> same_bytes(NodeClient& client, const Node& node, const ClusterPath& path,
                            std::span<const std::span<const char>> pieces) {
  std::uint64_t size_bytes = 0;
  for (const auto piece : pieces) size_bytes += piece.size();
  std::vector<char> room;
  return compare(client, node, path, size_bytes, [&](std::uint64_t offset, std::size_t size) {
    return Result(part_of(pieces, offset, size, room));
  });
}

}  // namespace skein
