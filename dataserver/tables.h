// Requests about HDF5 files: appends of rows, metadata and frames, and what is read out of such a
// file (docs/wire.md, "Tables" and "Series in one file"). Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "aggregate/append_journal.h"
#include "aggregate/append_target.h"
#include "core/http_head.h"
#include "dataserver/body_sink.h"
#include "dataserver/content_coding.h"
#include "dataserver/file_store.h"
#include "dataserver/memory_budget.h"
#include "dataserver/owners.h"
#include "dataserver/table_engine.h"
#include "dataserver/target.h"

namespace skein {

class Tables {
 public:
  static constexpr std::size_t kMostBodyBytes = 64ull << 20;     // of one append, decoded
  static constexpr std::size_t kBodyBudgetBytes = 256ull << 20;  // of all that wait; beyond it: 503
  static constexpr std::size_t kMostReadBytes = 256ull << 20;    // of rows in one reply
  static constexpr std::size_t kReadBudgetBytes = 1024ull << 20; // of all replies being made

  // `engine` is null in a server that was built without libhdf5; the others are borrowed.
  Tables(FileStore& store, std::unique_ptr<TableEngine> engine, Owners& owners);

  // Null as above.
  TableEngine* engine() { return engine_.get(); }

  // Precondition: target is no text. Never null.
  std::unique_ptr<BodySink> append(const RequestHead& request, AppendTarget target,
                                   std::unique_ptr<Decoder> decoder, std::optional<RequestId> id);

  using Otherwise = std::function<Reply()>;
  // GET or HEAD. Null: the path has nothing to do with HDF5. `otherwise` answers when it turns out
  // that the file is an ordinary one, or none.
  std::unique_ptr<BodySink> get(std::shared_ptr<const RequestHead> request, const Target& target,
                                Otherwise otherwise);

  // Does the name say that the file is one of these?
  static bool names_hdf5(const ClusterPath& path);
  std::unique_ptr<BodySink> seal(const RequestHead& request, const ClusterPath& path);

 private:
  class Append;
  class Get;
  class Seal;

  // What the three have in common: a job of the engine's.
  class Waiting;

  FileStore& store_;
  Owners& owners_;
  MemoryBudget bodies_{kBodyBudgetBytes};
  MemoryBudget reads_{kReadBudgetBytes};
  // The last one: its jobs hold shares of those.
  const std::unique_ptr<TableEngine> engine_;
};

}  // namespace skein
