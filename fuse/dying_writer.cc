#include "fuse/dying_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <string>

#include "core/fd.h"

namespace skein {
namespace {

constexpr int kFlagsField = 9;
constexpr int kExitCodeField = 52;
constexpr std::uint64_t kExitingBit = 0x4;  // PF_EXITING
constexpr std::uint64_t kSignalBits = 0x7f;

}  // namespace

bool was_killed(std::string_view proc_stat) {
  // Field 2, the program's name, may hold anything, also ") ".
  const std::size_t name_end = proc_stat.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 > proc_stat.size()) return false;
  std::string_view rest = proc_stat.substr(name_end + 2);
  bool exiting = false;
  for (int field = 3; field <= kExitCodeField && !rest.empty(); ++field) {
    const std::size_t space = rest.find_first_of(" \n");
    const std::string_view text = rest.substr(0, space);
    rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
    if (field != kFlagsField && field != kExitCodeField) continue;
    std::uint64_t value = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) {
      return false;
    }
    if (field == kFlagsField) exiting = (value & kExitingBit) != 0;
    if (field == kExitCodeField) return exiting && (value & kSignalBits) != 0;
  }
  return false;
}

bool is_dying_of_signal(int thread) {
  if (thread <= 0) return false;
  const std::string folder = "/proc/" + std::to_string(thread);
  // A process that ends has given up its memory, and with it its program, before it closes files.
  // Asking for that costs a third of reading `stat`, at every close().
  char program[1];
  if (::readlink((folder + "/exe").c_str(), program, sizeof program) > 0) return false;
  const Fd file(::open((folder + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return false;
  char text[2048];
  const ssize_t n = ::read(file.get(), text, sizeof text);
  return n > 0 && was_killed({text, static_cast<std::size_t>(n)});
}

}  // namespace skein
