// One PyTables table of an open HDF5 file: a one-dimensional dataset of rows that can grow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "aggregate/hdf5_handle.h"
#include "aggregate/row_type.h"

namespace skein {

class Hdf5Table {
 public:
  // nullopt: nothing has that name. Never follows a link out of the file. Errors: not_supported
  // (no such table: another kind of object, rows of unknown types, bytes kept in other files).
  static Result<std::optional<Hdf5Table>> open(hid_t file, const std::string& name);

  // Chunked, shuffled, gzip 5. Errors: bad_message (a name that cannot be), io_error.
  static Result<Hdf5Table> create(hid_t file, const std::string& name, const RowType& type);

  // Packed: rows are read in this type.
  const RowType& type() const { return type_; }
  std::uint64_t count() const { return count_; }

  // Errors: invalid_argument (the rows are of another type, or the table cannot grow): nothing is
  // changed. io_error: what the open file holds is not to be trusted any more.
  Result<void> append(const Rows& rows);
  // Rows [from, from + count). Precondition: from + count <= count(). Errors: io_error.
  Result<Rows> read(std::uint64_t from, std::uint64_t count) const;
  // Writes the number of rows where PyTables looks for it.
  Result<void> mark_count();

 private:
  Hdf5Table(std::string name, Hdf5Handle dataset) : name_(std::move(name)), dataset_(std::move(dataset)) {}
  // Errors: not_supported.
  Result<void> learn();
  Result<void> transfer(bool write, const RowType& type, std::uint64_t from, std::uint64_t count,
                        char* bytes) const;

  std::string name_;
  Hdf5Handle dataset_;
  Hdf5Handle file_type_;
  RowType type_;
  std::uint64_t count_ = 0;
  bool can_grow_ = false;
};

// Is there something of that name which lies in the file itself, whole? Precondition: `name` has no
// slash. Errors: not_supported (a link to elsewhere).
Result<bool> has_object(hid_t group, const std::string& name);

// A dataset whose bytes lie in the file itself: no external or virtual storage, which could name any
// file of this host. Errors: not_supported.
Result<Hdf5Handle> open_inner_dataset(hid_t group, const std::string& name);

}  // namespace skein
