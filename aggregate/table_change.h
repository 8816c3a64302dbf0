// What one request asks of an HDF5 file, read and checked as far as it can be without the file.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "aggregate/append_target.h"
#include "aggregate/loose_rows.h"
#include "aggregate/row_type.h"
#include "core/error.h"

namespace skein {

struct AddRows {
  std::string table;
  std::variant<Rows, LooseRows> rows;
};
struct AddFrame {
  std::int32_t number = 0;
  std::string frame;
};
struct MergeMetadata {
  std::string json;
};
using TableChange = std::variant<AddRows, AddFrame, MergeMetadata>;

// `content_type` as in the header field; "" if there is none, then the body tells. Errors:
// not_supported (415: the text names what is taken), bad_message (400), no_such_file_or_directory
// (a series keeps no member of that name).
Result<TableChange> parse_table_change(const AppendTarget& target, std::string_view content_type,
                                       std::string body);

// "frame00042.pzf" -> 42.
std::optional<std::int32_t> frame_number(std::string_view member);
std::string frame_name(std::int32_t number);

}  // namespace skein
