#include "aggregate/row_type.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace skein {
namespace {

using Kind = RowField::Kind;

Error malformed(const std::string& why) { return {std::errc::bad_message, "table rows: " + why}; }

Result<void> check_fields(const RowType& type, std::size_t depth, std::size_t& count) {
  if (depth > kMaxNesting) return malformed("nested too deeply");
  if (type.fields.empty()) return malformed("they have no fields");
  if (type.size_bytes == 0 || type.size_bytes > kMaxRowBytes) {
    return malformed("a row of " + std::to_string(type.size_bytes) + " bytes");
  }
  count += type.fields.size();
  if (count > kMaxFields) return malformed("too many fields");
  std::set<std::string_view> names;
  for (const RowField& field : type.fields) {
    if (field.name.empty() || field.name.find('\0') != std::string::npos) {
      return malformed("a field without a name");
    }
    if (!names.insert(field.name).second) return malformed("two fields named " + field.name);
    if (field.dimensions.size() > kMaxFieldDimensions) {
      return malformed(field.name + " has too many dimensions");
    }
    std::size_t room = type.size_bytes;
    for (const std::size_t n : field.dimensions) {
      if (n == 0 || n > room) return malformed(field.name + " is empty or does not fit its row");
      room /= n;
    }
    if (field.item_bytes == 0 || field.item_bytes > room || field.offset > type.size_bytes ||
        field.size_bytes() > type.size_bytes - field.offset) {
      return malformed(field.name + " is empty or does not fit its row");
    }
    if (field.kind != Kind::kRow) continue;
    if (field.row.size_bytes != field.item_bytes) return malformed(field.name + " has two sizes");
    if (auto inner = check_fields(field.row, depth + 1, count); !inner) return inner;
  }
  return {};
}

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kUnsigned: return "uint";
    case Kind::kFloat: return "float";
    case Kind::kComplex: return "complex";
    case Kind::kBytes: return "bytes";
    case Kind::kRow: return "row";
  }
  return "";
}

}  // namespace

bool RowType::operator==(const RowType& other) const {
  return size_bytes == other.size_bytes && fields == other.fields;
}

bool RowField::operator==(const RowField&) const = default;

std::size_t RowField::elements() const {
  std::size_t n = 1;
  for (const std::size_t dimension : dimensions) n *= dimension;
  return n;
}

Result<void> check_row_type(const RowType& type) {
  std::size_t count = 0;
  return check_fields(type, 1, count);
}

std::optional<std::string> mismatch(const RowType& table, const RowType& got) {
  for (const RowField& field : got.fields) {
    const auto same_name = [&](const RowField& other) { return other.name == field.name; };
    if (std::none_of(table.fields.begin(), table.fields.end(), same_name)) {
      return "the table has no field " + field.name;
    }
  }
  for (const RowField& wanted : table.fields) {
    const auto found = std::find_if(got.fields.begin(), got.fields.end(), [&](const RowField& f) {
      return f.name == wanted.name;
    });
    if (found == got.fields.end()) return "the field " + wanted.name + " is missing";
    if (found->kind != wanted.kind || found->dimensions != wanted.dimensions ||
        (wanted.kind != Kind::kRow && found->item_bytes != wanted.item_bytes)) {
      return "the field " + wanted.name + " is " + describe(wanted) + " in the table, " +
             describe(*found) + " in what was sent";
    }
    if (wanted.kind != Kind::kRow) continue;
    if (const auto inner = mismatch(wanted.row, found->row)) {
      return "in the field " + wanted.name + ": " + *inner;
    }
  }
  return std::nullopt;
}

RowType packed(const RowType& type) {
  RowType result;
  for (RowField field : type.fields) {
    field.big_endian = false;
    if (field.kind == Kind::kRow) {
      field.row = packed(field.row);
      field.item_bytes = field.row.size_bytes;
    }
    add_field(result, std::move(field));
  }
  return result;
}

void add_field(RowType& type, RowField field) {
  field.offset = type.size_bytes;
  type.size_bytes += field.size_bytes();
  type.fields.push_back(std::move(field));
}

std::string describe(const RowField& field) {
  std::string text(kind_name(field.kind));
  if (field.kind == Kind::kBytes) text += std::to_string(field.item_bytes);
  if (field.kind != Kind::kBytes && field.kind != Kind::kRow && field.kind != Kind::kBool) {
    text += std::to_string(field.item_bytes * 8);
  }
  if (field.dimensions.empty()) return text;
  text += "[";
  for (std::size_t i = 0; i < field.dimensions.size(); ++i) {
    text += (i > 0 ? "," : "") + std::to_string(field.dimensions[i]);
  }
  return text + "]";
}

std::string numpy_code(const RowField& field) {
  const bool ordered = field.item_bytes > 1 && field.kind != Kind::kBytes;
  std::string code(1, !ordered ? '|' : field.big_endian ? '>' : '<');
  switch (field.kind) {
    case Kind::kBool: code += 'b'; break;
    case Kind::kInt: code += 'i'; break;
    case Kind::kUnsigned: code += 'u'; break;
    case Kind::kFloat: code += 'f'; break;
    case Kind::kComplex: code += 'c'; break;
    case Kind::kBytes: code += 'S'; break;
    case Kind::kRow: code += 'V'; break;
  }
  return code + std::to_string(field.item_bytes);
}

Result<void> set_numpy_code(RowField& field, std::string_view code) {
  const std::string whole(code);
  const auto unknown = [&] {
    return Error{std::errc::not_supported, "table rows: numpy type '" + whole + "' is not taken"};
  };
  field.big_endian = code.starts_with('>');
  if (!code.empty() && std::string_view("<>|=").find(code.front()) != std::string_view::npos) {
    code.remove_prefix(1);
  }
  if (code == "?") code = "b1";
  if (code.size() < 2) return unknown();
  const char letter = code.front();
  const std::string_view digits = code.substr(1);
  std::size_t bytes = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), bytes);
  if (failure != std::errc() || end != digits.data() + digits.size()) return unknown();
  const auto set = [&](Kind kind, std::initializer_list<std::size_t> sizes) -> Result<void> {
    if (std::find(sizes.begin(), sizes.end(), bytes) == sizes.end()) return unknown();
    field.kind = kind;
    field.item_bytes = bytes;
    return {};
  };
  switch (letter) {
    case 'b': return set(Kind::kBool, {1});
    case 'i': return set(Kind::kInt, {1, 2, 4, 8});
    case 'u': return set(Kind::kUnsigned, {1, 2, 4, 8});
    case 'f': return set(Kind::kFloat, {2, 4, 8});
    case 'c': return set(Kind::kComplex, {8, 16});
    case 'S':
    case 'a':
      if (bytes == 0 || bytes > kMaxRowBytes) return unknown();
      field.kind = Kind::kBytes;
      field.item_bytes = bytes;
      return {};
    default: return unknown();
  }
}

}  // namespace skein
