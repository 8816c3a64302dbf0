// Which requests were carried out on an open HDF5 file, so that a retry after a restart is not: a
// ring in the file itself, committed together with what they changed (docs/wire.md, "What survives").
//
// /_i_skein, uint8[256][24], contiguous: u64 number of the request from 1, little-endian, and its 16
// bytes of id; all zero: no request. PyTables hides what begins with _i_.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "aggregate/append_journal.h"
#include "aggregate/hdf5_handle.h"

namespace skein {

class Hdf5Requests {
 public:
  static constexpr std::string_view kName = "_i_skein";
  static constexpr std::size_t kMost = 256;

  // Reads what is there. `file` is borrowed. Errors: not_supported (something else has that name),
  // io_error.
  static Result<Hdf5Requests> open(hid_t file);

  bool has(const RequestId& request) const;
  // Forgets the oldest one. Errors: io_error; then the open file is not to be trusted.
  Result<void> add(const RequestId& request);

 private:
  explicit Hdf5Requests(hid_t file) : file_(file) {}
  Result<void> read();
  Result<void> make();

  hid_t file_;
  Hdf5Handle dataset_;      // none before the first add()
  std::uint64_t latest_ = 0;
  std::array<RequestId, kMost> requests_{};
};

}  // namespace skein
