// The shape of one table row, as numpy, HDF5 and the text formats all see it: named fields at
// offsets, each a scalar, a fixed-length byte string, an array of those, or rows of its own.
// Plain values; all functions are pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace skein {

// Bounds on what a body may claim; the largest known tables of localizations have about 60 fields.
inline constexpr std::size_t kMaxRowBytes = 1 << 20;
inline constexpr std::size_t kMaxFields = 4096;      // of one row, nested ones included
inline constexpr std::size_t kMaxNesting = 8;
inline constexpr std::size_t kMaxFieldDimensions = 8;

struct RowField;

struct RowType {
  std::vector<RowField> fields;
  std::size_t size_bytes = 0;  // of a row, padding included

  bool operator==(const RowType&) const;
};

struct RowField {
  enum class Kind { kBool, kInt, kUnsigned, kFloat, kComplex, kBytes, kRow };

  std::string name;
  Kind kind = Kind::kBytes;
  std::size_t item_bytes = 0;           // of one element
  bool big_endian = false;              // numbers of more than one byte
  std::vector<std::size_t> dimensions;  // empty: one element
  std::size_t offset = 0;               // in the row that holds it
  RowType row;                          // kRow only

  std::size_t elements() const;
  std::size_t size_bytes() const { return item_bytes * elements(); }
  bool operator==(const RowField&) const;
};

// Rows as they lie in memory: count * type.size_bytes bytes.
struct Rows {
  RowType type;
  std::size_t count = 0;
  std::string bytes;
};

// Checks what every reader of a foreign description has to: names are there and differ, sizes and
// counts are within the bounds above, fields lie inside the row. Errors: bad_message.
Result<void> check_row_type(const RowType& type);

// What about `got` keeps its rows out of a table of type `table`, for people; nullopt: nothing.
// Fields match by name; order, offsets and byte order may differ.
std::optional<std::string> mismatch(const RowType& table, const RowType& got);

// The same fields without padding, little-endian, in the same order.
RowType packed(const RowType& type);

// A field of that element type behind those already there, unaligned.
void add_field(RowType& type, RowField field);

// "int32", "float64[3]", "bytes32": for messages.
std::string describe(const RowField& field);

// numpy's code with byte order: "<f8", "|S10", "|b1". Precondition: not kRow.
std::string numpy_code(const RowField& field);
// Sets kind, size and order from such a code ("<f8", "f4", ">i2", "|S10", "?"). Errors:
// not_supported (objects, unicode, dates, ...), bad_message.
Result<void> set_numpy_code(RowField& field, std::string_view code);

}  // namespace skein
