// A series of frames inside one HDF5 file, as PYME lays it out (docs/wire.md, "Series in one file"):
// /PZFImageData, a variable-length array of bytes with one PZF frame per row, and the table
// /PZFImageIndex (FrameNum, Position), which maps frame numbers to rows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "aggregate/hdf5_handle.h"

namespace skein {

class Hdf5Series {
 public:
  // Reads the index, if there is one; without it frame n is row n. `file` is borrowed. Errors:
  // not_supported.
  static Result<Hdf5Series> open(hid_t file);

  bool has(std::int32_t number) const { return rows_.contains(number); }
  const std::map<std::int32_t, std::uint64_t>& rows_by_number() const { return rows_; }

  // Precondition: !has(number). Errors: io_error; then the open file is not to be trusted.
  Result<void> add(std::int32_t number, std::string_view frame);
  // nullopt: no such frame. Errors: io_error.
  Result<std::optional<std::string>> read(std::int32_t number) const;

 private:
  explicit Hdf5Series(hid_t file) : file_(file) {}
  Result<void> open_data();
  Result<void> make_data();

  hid_t file_;
  Hdf5Handle data_;
  std::uint64_t count_ = 0;
  std::map<std::int32_t, std::uint64_t> rows_;
};

}  // namespace skein
