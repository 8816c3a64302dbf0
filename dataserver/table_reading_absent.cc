// The server built without libhdf5: nobody asks for a reading.
#include "dataserver/table_reading.h"

namespace skein {

Result<std::shared_ptr<TableReading>> TableReading::of(GrowthKind, const std::string&,
                                                       const Target&, MemoryBudget& budget) {
  return std::shared_ptr<TableReading>(new TableReading(budget));
}

Result<TableJob::Progress> TableReading::step(TableFile&) { return TableJob::Progress::kDone; }

Reply TableReading::reply() const { return {}; }

Reply TableReading::reply(FilePart) const { return {}; }

}  // namespace skein
