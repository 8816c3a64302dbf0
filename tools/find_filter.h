// The tests of `skein find`, with find(1)'s meaning. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/entry.h"
#include "core/error.h"

namespace skein {

// "+10M": more than; "-4k": less than; "512": exactly. Units c (bytes, also without a unit), k, M,
// G; as in find(1), a size is rounded up to whole units before it is compared.
struct SizeTest {
  enum class Compare { kLess, kEqual, kMore };
  Compare compare = Compare::kEqual;
  std::uint64_t units = 0;
  std::uint64_t unit_bytes = 1;

  bool matches(std::uint64_t size_bytes) const;
};
// Errors: invalid_argument.
Result<SizeTest> parse_size_test(const std::string& text);

struct FindFilter {
  std::optional<std::string> name;    // shell pattern for the last component
  std::optional<std::string> iname;   // the same, without case
  std::optional<char> type;           // 'f' file, 'd' directory, 's' series
  std::optional<SizeTest> size;       // files only

  bool matches(const std::string& entry_name, const Entry& entry) const;
};

}  // namespace skein
