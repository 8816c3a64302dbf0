// numpy's file format .npy, versions 1 to 3, for arrays of rows (structured dtypes).
//
//   \x93NUMPY, major, minor (1 byte each), header length (u16 in version 1, u32 later),
//   header: a Python dict {'descr': ..., 'fortran_order': bool, 'shape': (...,), }, then the rows.
//
// descr is a list of (name, code), (name, code, shape) or (name, descr[, shape]); a name may be a
// pair (title, name), and '' with a code |Vn is padding.
#pragma once

#include <string>
#include <string_view>

#include "aggregate/row_type.h"
#include "core/error.h"

namespace skein {

inline constexpr std::string_view kNpyMagic = "\x93NUMPY";

// The rows of a one-dimensional structured array; one of no dimensions is one row. Errors:
// bad_message (malformed, cut short, too long), not_supported (another kind of array; the text
// names it).
Result<Rows> parse_npy(std::string_view text);

// The head of an array of `count` rows; the rows follow. Version 1 if the header fits, else 2; 3 if
// a name is not ASCII.
std::string npy_head(const RowType& type, std::size_t count);

// An array of no rows and no fields, as numpy writes an empty one of floats.
std::string empty_npy();

}  // namespace skein
