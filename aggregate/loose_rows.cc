#include "aggregate/loose_rows.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace skein {
namespace {

using Kind = RowField::Kind;

constexpr std::size_t kTextRounding = 32;

Error unfit(const std::string& name, const std::string& why) {
  return {std::errc::invalid_argument, "column " + name + ": " + why};
}

std::string shown(const LooseCell& cell) {
  if (std::holds_alternative<std::monostate>(cell)) return "an empty cell";
  if (const auto* truth = std::get_if<bool>(&cell)) return *truth ? "true" : "false";
  if (const auto* whole = std::get_if<std::int64_t>(&cell)) return std::to_string(*whole);
  if (const auto* number = std::get_if<double>(&cell)) return std::to_string(*number);
  constexpr std::size_t kMostShown = 40;
  return "'" + std::get<std::string>(cell).substr(0, kMostShown) + "'";
}

// Appends the low bytes of a number, in the field's order.
void put_bytes(char* to, const void* native, const RowField& field) {
  std::memcpy(to, native, field.item_bytes);
  if (field.big_endian) std::reverse(to, to + field.item_bytes);
}

bool put_whole(char* to, std::int64_t value, const RowField& field) {
  const std::size_t bits = 8 * field.item_bytes;
  if (field.kind == Kind::kUnsigned) {
    if (value < 0 || (bits < 64 && static_cast<std::uint64_t>(value) >> bits != 0)) return false;
  } else if (bits < 64) {
    const std::int64_t most = (std::int64_t{1} << (bits - 1)) - 1;
    if (value > most || value < -most - 1) return false;
  }
  put_bytes(to, &value, field);
  return true;
}

bool put_number(char* to, double value, const RowField& field) {
  if (field.item_bytes == 4) {
    const float narrow = static_cast<float>(value);
    put_bytes(to, &narrow, field);
  } else {
    put_bytes(to, &value, field);
  }
  return true;
}

// False: the cell does not fit.
bool put_cell(char* to, const LooseCell& cell, const RowField& field) {
  const auto* whole = std::get_if<std::int64_t>(&cell);
  switch (field.kind) {
    case Kind::kBool: {
      const auto* truth = std::get_if<bool>(&cell);
      if (truth == nullptr && (whole == nullptr || (*whole != 0 && *whole != 1))) return false;
      *to = static_cast<char>(truth != nullptr ? *truth : *whole == 1);
      return true;
    }
    case Kind::kInt:
    case Kind::kUnsigned: return whole != nullptr && put_whole(to, *whole, field);
    case Kind::kFloat:
      if (field.item_bytes < 4) return false;
      if (whole != nullptr) return put_number(to, static_cast<double>(*whole), field);
      if (const auto* number = std::get_if<double>(&cell)) return put_number(to, *number, field);
      return std::holds_alternative<std::monostate>(cell) &&
             put_number(to, std::numeric_limits<double>::quiet_NaN(), field);
    case Kind::kBytes: {
      if (std::holds_alternative<std::monostate>(cell)) return true;
      const auto* text = std::get_if<std::string>(&cell);
      if (text == nullptr || text->size() > field.item_bytes) return false;
      std::memcpy(to, text->data(), text->size());
      return true;
    }
    case Kind::kComplex:
    case Kind::kRow: return false;
  }
  return false;
}

}  // namespace

Result<RowType> natural_type(const LooseRows& rows) {
  RowType type;
  for (std::size_t i = 0; i < rows.names.size(); ++i) {
    bool texts = false, numbers = false, fractions = false, truths = false, empty = false;
    std::size_t longest = 0;
    for (const LooseCell& cell : rows.columns[i]) {
      if (const auto* text = std::get_if<std::string>(&cell)) {
        texts = true;
        longest = std::max(longest, text->size());
      }
      truths = truths || std::holds_alternative<bool>(cell);
      fractions = fractions || std::holds_alternative<double>(cell);
      numbers = numbers || std::holds_alternative<std::int64_t>(cell);
      empty = empty || std::holds_alternative<std::monostate>(cell);
    }
    numbers = numbers || fractions;
    if (int{texts} + int{numbers} + int{truths} != 1) {
      return Error{std::errc::bad_message,
                   "column " + rows.names[i] + ": its values are all empty, or of several kinds"};
    }
    RowField field;
    field.name = rows.names[i];
    field.item_bytes = 8;
    field.kind = fractions || (numbers && empty) ? Kind::kFloat : Kind::kInt;
    if (truths) {
      if (empty) return Error{std::errc::bad_message, "column " + field.name + ": a value is empty"};
      field.kind = Kind::kBool;
      field.item_bytes = 1;
    } else if (texts) {
      field.kind = Kind::kBytes;
      field.item_bytes = (std::max<std::size_t>(longest, 1) + kTextRounding - 1) / kTextRounding *
                         kTextRounding;
    }
    add_field(type, std::move(field));
  }
  if (auto checked = check_row_type(type); !checked) return checked.error();
  return type;
}

Result<Rows> fit(const LooseRows& rows, const RowType& type) {
  for (const std::string& name : rows.names) {
    const auto same_name = [&](const RowField& field) { return field.name == name; };
    if (std::none_of(type.fields.begin(), type.fields.end(), same_name)) {
      return unfit(name, "the table has no such field");
    }
  }
  Rows fitted;
  fitted.type = type;
  fitted.count = rows.count;
  fitted.bytes.resize(rows.count * type.size_bytes);
  for (const RowField& field : type.fields) {
    const auto name = std::find(rows.names.begin(), rows.names.end(), field.name);
    if (name == rows.names.end()) return unfit(field.name, "it is missing");
    if (!field.dimensions.empty() || field.kind == Kind::kRow) {
      return unfit(field.name, "the table has " + describe(field) + " there, send .npy");
    }
    const auto& cells = rows.columns[static_cast<std::size_t>(name - rows.names.begin())];
    char* to = fitted.bytes.data() + field.offset;
    for (const LooseCell& cell : cells) {
      if (!put_cell(to, cell, field)) {
        return unfit(field.name, shown(cell) + " is no " + describe(field));
      }
      to += type.size_bytes;
    }
  }
  return fitted;
}

}  // namespace skein
