#include "dataserver/file_mark.h"

#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>

#include "core/checksum.h"

namespace skein {
namespace {

constexpr const char* kName = "user.skein.mark";
constexpr const char* kDense = "dense";
constexpr std::size_t kMostBytes = 64;

template <typename Number>
bool take_number(std::string_view& text, Number& number) {
  const char* const end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, number);
  if (failure != std::errc() || stop == end || *stop != ' ') return false;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()) + 1);
  return true;
}

}  // namespace

bool is_dense(int fd, std::uint64_t size_bytes) {
  // The end of a file counts as a hole; dirty pages count as data.
  const off_t hole = ::lseek(fd, 0, SEEK_HOLE);
  return size_bytes == 0 || hole == static_cast<off_t>(size_bytes);
}

Result<void> write_mark(int fd, const FileMark& mark) {
  const std::string text = std::to_string(mark.size_bytes) + " " + std::to_string(mark.mtime_ns) +
                           " " + (mark.checksum ? checksum_text(*mark.checksum)
                                          : mark.dense  ? kDense
                                                        : "-");
  if (::fsetxattr(fd, kName, text.data(), text.size(), 0) == 0) return {};
  switch (errno) {
    case ENOSPC:
    case EDQUOT: return errno_error(ENOSPC, "mark file");
    case EIO: return errno_error(EIO, "mark file");
    default: return {};  // no such attributes here; the file goes without
  }
}

void remove_mark(int fd) { ::fremovexattr(fd, kName); }

std::optional<FileMark> read_mark(int fd) {
  std::array<char, kMostBytes> buffer{};
  const ssize_t size = ::fgetxattr(fd, kName, buffer.data(), buffer.size());
  if (size <= 0) return std::nullopt;
  std::string_view text(buffer.data(), static_cast<std::size_t>(size));
  FileMark mark;
  if (!take_number(text, mark.size_bytes) || !take_number(text, mark.mtime_ns)) return std::nullopt;
  mark.checksum = parse_checksum_text(text);
  mark.dense = text == kDense;
  if (!mark.checksum && !mark.dense && text != "-") return std::nullopt;
  return mark;
}

MarkVerdict judge(const FileMark& mark, const Found& found) {
  if (found.mtime_ns != mark.mtime_ns) return MarkVerdict::kChanged;
  return found.size_bytes == mark.size_bytes ? MarkVerdict::kWhole : MarkVerdict::kTorn;
}

}  // namespace skein
