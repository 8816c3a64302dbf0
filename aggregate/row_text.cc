#include "aggregate/row_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "core/json_text.h"

namespace skein {
namespace {

using Kind = RowField::Kind;

// One element of one field.
struct Column {
  std::string name;
  std::size_t offset = 0;
  Kind kind = Kind::kBytes;
  std::size_t item_bytes = 0;
  bool big_endian = false;
};

void add_columns(std::vector<Column>& columns, const RowType& type, const std::string& prefix,
                 std::size_t offset) {
  for (const RowField& field : type.fields) {
    for (std::size_t i = 0; i < field.elements(); ++i) {
      std::string name = prefix + field.name;
      if (!field.dimensions.empty()) name += "_" + std::to_string(i);
      const std::size_t at = offset + field.offset + i * field.item_bytes;
      if (field.kind == Kind::kRow) {
        add_columns(columns, field.row, name + "_", at);
      } else {
        columns.push_back({std::move(name), at, field.kind, field.item_bytes, field.big_endian});
      }
    }
  }
}

std::vector<Column> columns_of(const RowType& type) {
  std::vector<Column> columns;
  add_columns(columns, type, "", 0);
  return columns;
}

template <typename Number>
Number load(const char* from, const Column& column) {
  char bytes[sizeof(Number)];
  std::memcpy(bytes, from, sizeof bytes);
  if (column.big_endian) std::reverse(bytes, bytes + sizeof bytes);
  Number value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

template <typename Number>
void append_number(std::string& out, Number value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.append(text, end);
  // "1" would be taken for a whole number by who reads it.
  if constexpr (std::is_floating_point_v<Number>) {
    if (std::find_if(text, end, [](char c) { return c == '.' || c == 'e' || c == 'n'; }) == end) {
      out += ".0";
    }
  }
}

// IEEE 754 binary16.
float half_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const float fraction = static_cast<float>(bits & 1023);
  float value = exponent == 0    ? std::ldexp(fraction, -24)
                : exponent == 31 ? (fraction == 0 ? INFINITY : NAN)
                                 : std::ldexp(fraction + 1024, exponent - 25);
  return (bits & 0x8000) != 0 ? -value : value;
}

double float_value(const char* from, const Column& column) {
  if (column.item_bytes == 2) return half_value(load<std::uint16_t>(from, column));
  if (column.item_bytes == 4) return load<float>(from, column);
  return load<double>(from, column);
}

void append_float(std::string& out, const char* from, const Column& column) {
  if (column.item_bytes <= 4) {
    append_number(out, static_cast<float>(float_value(from, column)));
  } else {
    append_number(out, load<double>(from, column));
  }
}

void append_whole(std::string& out, const char* from, const Column& column) {
  const bool sign = column.kind == Kind::kInt;
  switch (column.item_bytes) {
    case 1: return sign ? append_number(out, int{load<std::int8_t>(from, column)})
                        : append_number(out, unsigned{load<std::uint8_t>(from, column)});
    case 2: return sign ? append_number(out, load<std::int16_t>(from, column))
                        : append_number(out, load<std::uint16_t>(from, column));
    case 4: return sign ? append_number(out, load<std::int32_t>(from, column))
                        : append_number(out, load<std::uint32_t>(from, column));
    default: return sign ? append_number(out, load<std::int64_t>(from, column))
                         : append_number(out, load<std::uint64_t>(from, column));
  }
}

void append_complex(std::string& out, const char* from, Column part) {
  part.item_bytes /= 2;
  out += '(';
  append_float(out, from, part);
  const double imaginary = float_value(from + part.item_bytes, part);
  if (!(imaginary < 0)) out += '+';
  append_float(out, from + part.item_bytes, part);
  out += "j)";
}

std::string_view text_of(const char* from, const Column& column) {
  return {from, ::strnlen(from, column.item_bytes)};
}

void append_json_value(std::string& out, const char* from, const Column& column) {
  switch (column.kind) {
    case Kind::kBool: out += *from != 0 ? "true" : "false"; return;
    case Kind::kInt:
    case Kind::kUnsigned: return append_whole(out, from, column);
    case Kind::kFloat:
      if (!std::isfinite(float_value(from, column))) {
        out += "null";
        return;
      }
      return append_float(out, from, column);
    case Kind::kComplex:
      out += '"';
      append_complex(out, from, column);
      out += '"';
      return;
    default:
      out += '"';
      append_json_text(out, text_of(from, column));
      out += '"';
  }
}

void append_csv_text(std::string& out, std::string_view text) {
  if (text.find_first_of(",\"\r\n") == text.npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += c;
    out += c;
  }
  out += '"';
}

void append_csv_value(std::string& out, const char* from, const Column& column) {
  switch (column.kind) {
    case Kind::kBool: out += *from != 0 ? "True" : "False"; return;
    case Kind::kInt:
    case Kind::kUnsigned: return append_whole(out, from, column);
    case Kind::kFloat:
      if (!std::isnan(float_value(from, column))) append_float(out, from, column);
      return;
    case Kind::kComplex: return append_complex(out, from, column);
    default: append_csv_text(out, text_of(from, column));
  }
}

}  // namespace

std::string json_of_rows(const Rows& rows) {
  std::string out = "{";
  for (const Column& column : columns_of(rows.type)) {
    if (out.size() > 1) out += ',';
    out += '"';
    append_json_text(out, column.name);
    out += "\":{";
    const char* from = rows.bytes.data() + column.offset;
    for (std::size_t i = 0; i < rows.count; ++i, from += rows.type.size_bytes) {
      out += i > 0 ? ",\"" : "\"";
      append_number(out, i);
      out += "\":";
      append_json_value(out, from, column);
    }
    out += '}';
  }
  return out += '}';
}

std::string csv_of_rows(const Rows& rows) {
  const std::vector<Column> columns = columns_of(rows.type);
  std::string out;
  for (const Column& column : columns) {
    out += ',';
    append_csv_text(out, column.name);
  }
  out += '\n';
  for (std::size_t i = 0; i < rows.count; ++i) {
    append_number(out, i);
    const char* row = rows.bytes.data() + i * rows.type.size_bytes;
    for (const Column& column : columns) {
      out += ',';
      append_csv_value(out, row + column.offset, column);
    }
    out += '\n';
  }
  return out;
}

}  // namespace skein
