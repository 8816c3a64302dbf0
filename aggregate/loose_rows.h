// Rows from texts that do not say their types: JSON records and CSV. The first ones make a table's
// type, later ones are fitted to it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "aggregate/row_type.h"
#include "core/error.h"

namespace skein {

// One value as it was written. monostate: an empty CSV cell or a JSON null.
using LooseCell = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

// Column by column; all columns have `count` cells.
struct LooseRows {
  std::vector<std::string> names;
  std::vector<std::vector<LooseCell>> columns;
  std::size_t count = 0;
};

// An array of flat objects with the same keys, [{"x":1,"y":2.5}, ...], such objects one per line,
// or columns as this server writes them, {"x":{"0":1,...},"y":{...}}. Errors: bad_message,
// not_supported (nested values).
Result<LooseRows> parse_json_rows(std::string_view text);

// RFC 4180 with a header line; tabs may stand for the commas, a '#' may stand before the first
// name, blanks around cells do not count. Errors: bad_message.
Result<LooseRows> parse_csv_rows(std::string_view text);

// The type that a table made for `rows` gets: int64 where all cells are whole numbers, float64
// where all are numbers (empty: NaN), bool, else bytes of the longest text rounded up to 32.
// Errors: bad_message (a column of nothing, or of numbers and texts).
Result<RowType> natural_type(const LooseRows& rows);

// The rows in that type, which has no nested or array fields. Errors: invalid_argument: a column is
// missing or unknown, or a cell does not fit (text in a number, 1.5 or 300 in an int8, a text that
// is too long); the text says which.
Result<Rows> fit(const LooseRows& rows, const RowType& type);

}  // namespace skein
