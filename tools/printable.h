// Text for people: names that can't disturb a terminal, sizes, rates, aligned columns.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace skein {

// Control characters and bytes that are no UTF-8 become \n, \t, \x1b and so on; a backslash stays.
std::string printable(std::string_view text);

// As `ls -h`: 1023, 1.0K, 10K, 3.4G; powers of 1024, rounded up.
std::string human_size(std::uint64_t bytes);

// Seconds since 1970 as local time, "2026-11-21 02:39:05"; "-" for 0.
std::string local_time(std::int64_t seconds);

// Columns one can read: widths fit the content, two spaces between, nothing after the last one.
class Table {
 public:
  enum class Align { kLeft, kRight };
  explicit Table(std::vector<Align> columns) : columns_(std::move(columns)) {}

  // Precondition: as many cells as columns.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  std::string text() const;

 private:
  const std::vector<Align> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace skein
