#include "tools/find_filter.h"

#include <fnmatch.h>

#include <charconv>

namespace skein {

bool SizeTest::matches(std::uint64_t size_bytes) const {
  const std::uint64_t rounded = size_bytes / unit_bytes + (size_bytes % unit_bytes != 0 ? 1 : 0);
  switch (compare) {
    case Compare::kLess:
      return rounded < units;
    case Compare::kMore:
      return rounded > units;
    case Compare::kEqual:
      break;
  }
  return rounded == units;
}

Result<SizeTest> parse_size_test(const std::string& text) {
  const Error bad{std::errc::invalid_argument,
                  "-size '" + text + "': expected [+-]N[ckMG], for example +10M"};
  SizeTest test;
  std::string_view rest = text;
  if (rest.starts_with('+') || rest.starts_with('-')) {
    test.compare = rest.front() == '+' ? SizeTest::Compare::kMore : SizeTest::Compare::kLess;
    rest.remove_prefix(1);
  }
  const char* const end = rest.data() + rest.size();
  const auto parsed = std::from_chars(rest.data(), end, test.units);
  if (parsed.ec != std::errc()) return bad;
  const std::string_view unit(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  if (unit == "k") {
    test.unit_bytes = 1u << 10;
  } else if (unit == "M") {
    test.unit_bytes = 1u << 20;
  } else if (unit == "G") {
    test.unit_bytes = 1u << 30;
  } else if (!unit.empty() && unit != "c") {
    return bad;
  }
  return test;
}

bool FindFilter::matches(const std::string& entry_name, const Entry& entry) const {
  if (name && ::fnmatch(name->c_str(), entry_name.c_str(), 0) != 0) return false;
  if (iname && ::fnmatch(iname->c_str(), entry_name.c_str(), FNM_CASEFOLD) != 0) return false;
  if (type == 'f' && entry.is_directory()) return false;
  if (type == 'd' && !entry.is_directory()) return false;
  if (type == 's' && (!entry.is_directory() || (entry.type & Entry::kSeries) == 0)) return false;
  if (!size) return true;
  return !entry.is_directory() && entry.size >= 0 &&
         size->matches(static_cast<std::uint64_t>(entry.size));
}

}  // namespace skein
