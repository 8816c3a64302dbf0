// Row types as HDF5 compound types, in the spelling of PyTables: bool as an 8-bit field, bytes as
// fixed strings, complex as {r, i}. Those of h5py are read too (bool as an enumeration).
#pragma once

#include "aggregate/hdf5_handle.h"
#include "aggregate/row_type.h"

namespace skein {

// The type a new table of packed(type) gets. Errors: io_error.
Result<Hdf5Handle> file_type_of(const RowType& type);

// The rows of a table of that compound type, packed and little-endian. Errors: not_supported (it
// has a field of another kind), bad_message.
Result<RowType> row_type_of(hid_t compound);

// How rows of `type` lie in memory, for reading or writing a table of type `table`: each field's
// own type there, at the place and in the byte order of `type`. Precondition: !mismatch() of
// the two. Errors: not_supported (big-endian complex).
Result<Hdf5Handle> memory_type(const RowType& type, hid_t table);

}  // namespace skein
