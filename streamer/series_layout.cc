#include "streamer/series_layout.h"

#include <charconv>

namespace skein {
namespace {

constexpr std::string_view kPrefix = "frame";
constexpr std::size_t kDigits = 5;

}  // namespace

std::string frame_name(std::uint64_t index, std::string_view suffix) {
  std::string digits = std::to_string(index);
  if (digits.size() < kDigits) digits.insert(0, kDigits - digits.size(), '0');
  return std::string(kPrefix) + digits + std::string(suffix);
}

std::optional<FrameName> parse_frame_name(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  FrameName frame;
  const char* const digits = name.data() + kPrefix.size();
  const char* const end = name.data() + name.size();
  const auto [after, failed] = std::from_chars(digits, end, frame.index);
  if (failed != std::errc()) return std::nullopt;
  frame.suffix = {after, static_cast<std::size_t>(end - after)};
  if (frame.suffix != ".pzf" && frame.suffix != ".szf") return std::nullopt;
  if (frame_name(frame.index, frame.suffix) != name) return std::nullopt;
  return frame;
}

}  // namespace skein
