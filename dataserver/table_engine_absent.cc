// The server built without libhdf5: there is no engine, and tables.cc answers 501.
#include "dataserver/foreign_tables.h"
#include "dataserver/table_engine.h"
#include "dataserver/table_reader.h"

namespace skein {

struct TableEngine::Open {};

ForeignTables::~ForeignTables() = default;

std::vector<std::string> reader_words(GrowthKind, const ClusterPath&, const std::string&,
                                      std::string_view) {
  return {};
}

int read_table(const std::vector<std::string>&) { return 2; }

Result<std::unique_ptr<TableEngine>> TableEngine::open(FileStore&) {
  return std::unique_ptr<TableEngine>();
}

TableEngine::~TableEngine() = default;

void TableEngine::on_done(std::function<void()>) {}

bool TableEngine::submit(std::shared_ptr<TableJob>) { return false; }

std::size_t TableEngine::queued() const { return 0; }

}  // namespace skein
