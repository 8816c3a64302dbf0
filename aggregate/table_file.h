// An HDF5 file that grows, or one that is only read: tables, metadata and the frames of a series.
// Changes stay in memory until commit(), which makes them all at once, whatever happens
// (file_image.h). libhdf5 is not thread-safe: all TableFiles of a process belong to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aggregate/append_journal.h"
#include "aggregate/row_type.h"
#include "aggregate/table_change.h"
#include "core/error.h"
#include "core/fd.h"

namespace skein {

class TableFile {
 public:
  struct Options {
    int journal_directory = -1;  // borrowed
    std::string path;            // of the file in the tree, for the journal
    bool sync = false;           // commits survive a power cut
  };

  // An empty file that nobody can see yet, open for reading and writing: its first commit goes
  // straight to it. Follow it with publish().
  static Result<std::unique_ptr<TableFile>> create(Fd file, const Options& options);
  // One that grew before; what a crash left in its journal is made good first. Errors: bad_message
  // (no HDF5 file, or a damaged one), as open(2), write(2).
  static Result<std::unique_ptr<TableFile>> open(Fd file, const Options& options);
  // Open for reading only.
  static Result<std::unique_ptr<TableFile>> open_for_reading(Fd file);
  // What open() does about the journal, and no more.
  static Result<void> recover(int file, const Options& options);

  ~TableFile();
  TableFile(const TableFile&) = delete;
  TableFile& operator=(const TableFile&) = delete;

  int fd() const;

  // Was a change made under this id? The last 256 of the file are known, those not yet committed
  // too. Errors: not_supported (the file cannot keep ids), io_error.
  Result<bool> has_made(const RequestId& request);
  // Keeps the id, if there is one, in the same commit. Errors: invalid_argument (rows do not fit the
  // table), file_exists (the frame is there), bad_message, not_supported: nothing is changed. After
  // any other error spoilt() is true.
  Result<void> change(const TableChange& change, const std::optional<RequestId>& request = {});
  // Errors: no_space_on_device and others of write(2): nothing of what came after the last commit is
  // in the file, and spoilt() is true.
  Result<void> commit();
  // The file is visible now; from the next commit on a journal is kept.
  Result<void> start_journal();
  // What is in memory is not what is in the file: it must be closed, and opened anew.
  bool spoilt() const;
  // The last commit failed, but was recorded, so it will be there when the file is opened anew.
  bool unclear() const;

  // Everything a reader sees is committed. nullopt: no such table.
  struct Shape {
    RowType type;
    std::uint64_t rows = 0;
  };
  Result<std::optional<Shape>> shape(const std::string& table);
  // Precondition: shape() said there are so many. Errors: io_error.
  Result<Rows> read(const std::string& table, std::uint64_t from, std::uint64_t count);
  Result<std::string> metadata_json();
  // Names in a series.
  Result<std::vector<std::string>> members();
  // The numbers of rows of events, or nullopt.
  Result<std::optional<std::string>> frame(std::int32_t number);

  // Flushes what sync asks for and takes the journal away. Errors: as fdatasync(2); the journal stays.
  Result<void> close();

 private:
  struct Parts;
  explicit TableFile(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace skein
