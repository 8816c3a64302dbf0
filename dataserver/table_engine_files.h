// The files that a TableEngine holds open. Of its thread alone.
#pragma once

#include "aggregate/table_file.h"
#include "dataserver/table_engine.h"

namespace skein {

struct TableEngine::Open {
  std::unique_ptr<TableFile> file;
  std::optional<StagedFile> stage;  // until it is visible
  bool visible = true;
  bool grows = true;                // open for writing
  bool marked = false;              // has kGrowingMode, or it was tried
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  std::chrono::steady_clock::time_point used = std::chrono::steady_clock::now();
};

TableFile::Options table_options(FileStore& store, int journals, const ClusterPath& path);

}  // namespace skein
