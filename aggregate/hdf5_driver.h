// libhdf5 on a FileImage: what the library writes stays in memory until the image's owner commits.
#pragma once

#include "aggregate/file_image.h"
#include "aggregate/hdf5_handle.h"

namespace skein {

// A new file in the empty `image`, which is borrowed and outlives the handle. In the oldest layout,
// as PyTables writes it: no mark in the file says that a writer has it open.
Result<Hdf5Handle> create_hdf5(FileImage& image);

// Errors: bad_message (no HDF5 file, or a damaged one).
enum class Hdf5Access { kRead, kWrite };
Result<Hdf5Handle> open_hdf5(FileImage& image, Hdf5Access access);

}  // namespace skein
