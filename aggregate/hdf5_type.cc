#include "aggregate/hdf5_type.h"

#include <algorithm>

namespace skein {
namespace {

using Kind = RowField::Kind;

Result<Hdf5Handle> row_type(const RowType& type);

Hdf5Handle half_float() {
  Hdf5Handle type(H5Tcopy(H5T_IEEE_F32LE));
  H5Tset_fields(type.get(), 15, 10, 5, 0, 10);
  H5Tset_size(type.get(), 2);
  H5Tset_ebias(type.get(), 15);
  return type;
}

Hdf5Handle complex_type(std::size_t bytes) {
  const hid_t part = bytes == 8 ? H5T_IEEE_F32LE : H5T_IEEE_F64LE;
  Hdf5Handle type(H5Tcreate(H5T_COMPOUND, bytes));
  H5Tinsert(type.get(), "r", 0, part);
  H5Tinsert(type.get(), "i", bytes / 2, part);
  return type;
}

Hdf5Handle bytes_type(std::size_t bytes) {
  Hdf5Handle type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type.get(), bytes);
  return type;
}

Hdf5Handle whole_type(const RowField& field) {
  const bool sign = field.kind == Kind::kInt;
  switch (field.item_bytes) {
    case 1: return Hdf5Handle(H5Tcopy(sign ? H5T_STD_I8LE : H5T_STD_U8LE));
    case 2: return Hdf5Handle(H5Tcopy(sign ? H5T_STD_I16LE : H5T_STD_U16LE));
    case 4: return Hdf5Handle(H5Tcopy(sign ? H5T_STD_I32LE : H5T_STD_U32LE));
    default: return Hdf5Handle(H5Tcopy(sign ? H5T_STD_I64LE : H5T_STD_U64LE));
  }
}

Result<Hdf5Handle> element_type(const RowField& field) {
  switch (field.kind) {
    case Kind::kBool: return Hdf5Handle(H5Tcopy(H5T_STD_B8LE));
    case Kind::kInt:
    case Kind::kUnsigned: return whole_type(field);
    case Kind::kFloat:
      if (field.item_bytes == 2) return half_float();
      return Hdf5Handle(H5Tcopy(field.item_bytes == 4 ? H5T_IEEE_F32LE : H5T_IEEE_F64LE));
    case Kind::kComplex: return complex_type(field.item_bytes);
    case Kind::kBytes: return bytes_type(field.item_bytes);
    case Kind::kRow: return row_type(field.row);
  }
  return Error{std::errc::not_supported, "a field of no known kind"};
}

// `element`, or an array of it.
Hdf5Handle shaped(Hdf5Handle element, const RowField& field) {
  if (field.dimensions.empty()) return element;
  const std::vector<hsize_t> dimensions(field.dimensions.begin(), field.dimensions.end());
  return Hdf5Handle(H5Tarray_create2(element.get(), static_cast<unsigned>(dimensions.size()),
                                     dimensions.data()));
}

Result<Hdf5Handle> row_type(const RowType& type) {
  Hdf5Handle compound(H5Tcreate(H5T_COMPOUND, type.size_bytes));
  for (const RowField& field : type.fields) {
    auto element = element_type(field);
    if (!element) return element;
    const Hdf5Handle whole = shaped(std::move(*element), field);
    if (!whole || H5Tinsert(compound.get(), field.name.c_str(), field.offset, whole.get()) < 0) {
      return hdf5_error("describe field " + field.name);
    }
  }
  return compound;
}

std::string member_name(hid_t compound, unsigned i) {
  char* const text = H5Tget_member_name(compound, i);
  std::string name = text != nullptr ? text : "";
  H5free_memory(text);
  return name;
}

bool is_complex(hid_t type) {
  if (H5Tget_nmembers(type) != 2 || member_name(type, 0) != "r" || member_name(type, 1) != "i") {
    return false;
  }
  const std::size_t bytes = H5Tget_size(type);
  const Hdf5Handle real(H5Tget_member_type(type, 0)), imaginary(H5Tget_member_type(type, 1));
  return (bytes == 8 || bytes == 16) && H5Tget_class(real.get()) == H5T_FLOAT &&
         H5Tget_size(real.get()) == bytes / 2 && H5Tequal(real.get(), imaginary.get()) > 0;
}

Result<RowType> read_row_type(hid_t compound, std::size_t depth);

// Sets all but name, dimensions and offset.
Result<void> read_element(RowField& field, hid_t type, std::size_t depth) {
  field.item_bytes = H5Tget_size(type);
  const bool sized = field.item_bytes == 1 || field.item_bytes == 2 || field.item_bytes == 4 ||
                     field.item_bytes == 8;
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      field.kind = H5Tget_sign(type) == H5T_SGN_NONE ? Kind::kUnsigned : Kind::kInt;
      if (sized) return {};
      break;
    case H5T_FLOAT:
      field.kind = Kind::kFloat;
      if (sized && field.item_bytes > 1) return {};
      break;
    case H5T_BITFIELD:
    case H5T_ENUM:
      field.kind = Kind::kBool;
      if (field.item_bytes == 1) return {};
      break;
    case H5T_STRING:
      field.kind = Kind::kBytes;
      if (H5Tis_variable_str(type) <= 0) return {};
      break;
    case H5T_COMPOUND: {
      if (is_complex(type)) {
        field.kind = Kind::kComplex;
        return {};
      }
      auto row = read_row_type(type, depth + 1);
      if (!row) return row.error();
      field.kind = Kind::kRow;
      field.item_bytes = row->size_bytes;
      field.row = std::move(*row);
      return {};
    }
    default: break;
  }
  return Error{std::errc::not_supported,
               "the field " + field.name + " has a type that this server does not know"};
}

Result<RowType> read_row_type(hid_t compound, std::size_t depth) {
  RowType type;
  if (depth > kMaxNesting) return Error{std::errc::not_supported, "rows nested too deeply"};
  const int members = H5Tget_nmembers(compound);
  for (int i = 0; i < members; ++i) {
    RowField field;
    field.name = member_name(compound, static_cast<unsigned>(i));
    Hdf5Handle member(H5Tget_member_type(compound, static_cast<unsigned>(i)));
    if (H5Tget_class(member.get()) == H5T_ARRAY) {
      const int rank = H5Tget_array_ndims(member.get());
      if (rank < 1 || static_cast<std::size_t>(rank) > kMaxFieldDimensions) {
        return Error{std::errc::not_supported, "the field " + field.name + " has no known shape"};
      }
      std::vector<hsize_t> dimensions(static_cast<std::size_t>(rank));
      H5Tget_array_dims2(member.get(), dimensions.data());
      field.dimensions.assign(dimensions.begin(), dimensions.end());
      member = Hdf5Handle(H5Tget_super(member.get()));
    }
    if (auto read = read_element(field, member.get(), depth); !read) return read.error();
    RowType alone;
    alone.size_bytes = kMaxRowBytes;
    alone.fields = {field};
    if (auto checked = check_row_type(alone); !checked) return checked.error();
    add_field(type, std::move(field));
    if (type.size_bytes > kMaxRowBytes) return Error{std::errc::not_supported, "a row is too long"};
  }
  return type;
}

Result<Hdf5Handle> memory_element(const RowField& field, hid_t table_member) {
  if (field.kind == Kind::kRow) return memory_type(field.row, table_member);
  Hdf5Handle type(H5Tcopy(table_member));
  const bool ordered = field.kind == Kind::kInt || field.kind == Kind::kUnsigned ||
                       field.kind == Kind::kFloat;
  if (field.kind == Kind::kComplex) {
    if (field.big_endian) {
      return Error{std::errc::not_supported, "big-endian complex numbers are not taken"};
    }
    return complex_type(field.item_bytes);
  }
  if (ordered && field.item_bytes > 1) {
    H5Tset_order(type.get(), field.big_endian ? H5T_ORDER_BE : H5T_ORDER_LE);
  }
  return type;
}

}  // namespace

Result<Hdf5Handle> file_type_of(const RowType& type) { return row_type(packed(type)); }

Result<RowType> row_type_of(hid_t compound) {
  auto type = read_row_type(compound, 1);
  if (!type) return type;
  if (auto checked = check_row_type(*type); !checked) return checked.error();
  return type;
}

Result<Hdf5Handle> memory_type(const RowType& type, hid_t table) {
  Hdf5Handle compound(H5Tcreate(H5T_COMPOUND, type.size_bytes));
  for (const RowField& field : type.fields) {
    const int index = H5Tget_member_index(table, field.name.c_str());
    if (index < 0) return hdf5_error("find field " + field.name);
    Hdf5Handle member(H5Tget_member_type(table, static_cast<unsigned>(index)));
    if (!field.dimensions.empty()) member = Hdf5Handle(H5Tget_super(member.get()));
    auto element = memory_element(field, member.get());
    if (!element) return element;
    const Hdf5Handle whole = shaped(std::move(*element), field);
    if (!whole || H5Tinsert(compound.get(), field.name.c_str(), field.offset, whole.get()) < 0) {
      return hdf5_error("describe field " + field.name);
    }
  }
  return compound;
}

}  // namespace skein
