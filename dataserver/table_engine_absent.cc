// The server built without libhdf5: there is no engine, and tables.cc answers 501.
#include "dataserver/table_engine.h"

namespace skein {

struct TableEngine::Open {};

Result<std::unique_ptr<TableEngine>> TableEngine::open(FileStore&) {
  return std::unique_ptr<TableEngine>();
}

TableEngine::~TableEngine() = default;

void TableEngine::on_done(std::function<void()>) {}

bool TableEngine::submit(std::shared_ptr<TableJob>) { return false; }

std::size_t TableEngine::queued() const { return 0; }

}  // namespace skein
