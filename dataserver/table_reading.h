// What a GET wants out of an HDF5 file, and the reply that says it (docs/wire.md, "Tables" and
// "Series in one file"). Reading is done by the engine's thread (table_job.h), the text is made by
// the request's.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "aggregate/append_target.h"
#include "aggregate/row_type.h"
#include "core/error.h"
#include "dataserver/memory_budget.h"
#include "dataserver/reply.h"
#include "dataserver/table_job.h"
#include "dataserver/target.h"

namespace skein {

class TableReading {
 public:
  // `part` is what follows the file in the path; "" for the listing of a series. Errors:
  // bad_message (from or to is no number), no_such_file_or_directory.
  static Result<std::shared_ptr<TableReading>> of(GrowthKind kind, const std::string& part,
                                                  const Target& target, MemoryBudget& budget);

  // One step, on the engine's thread. Errors: file_too_large (more rows than one reply may have),
  // resource_unavailable_try_again (no memory left for it), no_such_file_or_directory.
  Result<TableJob::Progress> step(TableFile& file);

  // What the reply says. Precondition: step() said kDone.
  std::string text() const;
  Reply reply() const;
  // The same with a text that another process made.
  Reply reply(FilePart text) const;

 private:
  enum class What { kRows, kMetadata, kEvents, kFrame, kListing };
  enum class Form { kJson, kNpy, kCsv, kPickle };

  explicit TableReading(MemoryBudget& budget) : budget_(budget) {}
  Result<TableJob::Progress> step_rows(TableFile& file);
  Result<void> begin_rows(TableFile& file);
  Result<void> list(TableFile& file);
  std::string_view type() const;
  std::string rows_text() const;

  MemoryBudget& budget_;
  What what_ = What::kRows;
  Form form_ = Form::kPickle;
  std::string table_;
  std::optional<std::int64_t> from_;
  std::optional<std::int64_t> to_;
  std::int32_t frame_ = 0;

  bool begun_ = false;
  bool missing_ = false;        // there is no such table
  std::uint64_t next_ = 0;      // row to be read next
  std::uint64_t end_ = 0;
  MemoryBudget::Share share_;
  Rows rows_;
  std::string text_;            // all but rows
};

}  // namespace skein
