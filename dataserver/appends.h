// The requests that make files grow, and end it (docs/wire.md, "Appends"): appends, seals, and the
// claims of other nodes. Tables and series in HDF5 files: tables.h. Thread-safe.
#pragma once

#include <memory>

#include "aggregate/append_target.h"
#include "core/http_head.h"
#include "dataserver/body_sink.h"
#include "dataserver/growing_files.h"
#include "dataserver/memory_budget.h"
#include "dataserver/owners.h"
#include "dataserver/tables.h"
#include "dataserver/target.h"

namespace skein {

class Appends {
 public:
  // Bodies that wait for their end in memory, all together; beyond it they wait on the disk.
  static constexpr std::size_t kBodyBudgetBytes = 64ull << 20;

  // All are borrowed.
  Appends(FileStore& store, GrowingFiles& files, Tables& tables, Owners& owners);

  // Precondition: names_append(target.path). Never null.
  std::unique_ptr<BodySink> append(const RequestHead& request, const Target& target);
  // `path` is what follows the verb's name.
  std::unique_ptr<BodySink> seal(const RequestHead& request, const ClusterPath& path);
  std::unique_ptr<BodySink> claim(const RequestHead& request, const ClusterPath& path);

  const GrowingFiles& files() const { return files_; }

 private:
  class Text;
  class Seal;

  FileStore& store_;
  GrowingFiles& files_;
  Tables& tables_;
  Owners& owners_;
  MemoryBudget budget_{kBodyBudgetBytes};
};

}  // namespace skein
