// One thing to be done with one HDF5 file, by the thread that libhdf5 belongs to (table_engine.h).
// Made by a request, shared with that thread; the outcome belongs to the request once done() is
// true.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aggregate/append_journal.h"
#include "aggregate/table_change.h"
#include "core/path.h"
#include "dataserver/file_store.h"
#include "dataserver/memory_budget.h"
#include "dataserver/reply.h"

namespace skein {

class TableFile;

struct TableJob {
  enum class Kind {
    kChange,    // `change`
    kRead,      // `read`
    kForeign,   // `source` is read by another process (foreign_tables.h)
    kSnapshot,  // the file as it is, for a plain GET
    kSeal       // ends growth
  };
  enum class Progress { kDone, kMore };  // kMore: to be called again, after others

  Kind kind = Kind::kRead;
  ClusterPath file;
  std::optional<TableChange> change;
  std::optional<RequestId> request_id;   // if the client made one
  std::uint64_t body_bytes = 0;
  MemoryBudget::Share memory;            // of the body
  std::function<Result<Progress>(TableFile&)> read;
  Fd source;
  std::vector<std::string> reader_words;  // table_reader.h

  // The outcome.
  std::optional<Error> failure;
  bool repeated = false;                 // the change was made before, under the same request id
  std::optional<FileStore::OpenFile> snapshot;
  FilePart text;                         // of the reply to kForeign

  bool done() const { return done_; }
  void finish() { done_ = true; }
  void fail(Error error) {
    failure = std::move(error);
    done_ = true;
  }

 private:
  std::atomic<bool> done_ = false;
};

}  // namespace skein
