#include "dataserver/table_reader.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "aggregate/table_file.h"
#include "dataserver/foreign_tables.h"
#include "dataserver/table_reading.h"
#include "dataserver/tables.h"

namespace skein {
namespace {

constexpr const char* kTable = "table";
constexpr const char* kSeries = "series";

void limit(__rlimit_resource what, std::uint64_t most) {
  const rlimit both{most, most};
  ::setrlimit(what, &both);
}

// What the file makes the library do ends with this process, at the latest with the server.
void restrain() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  limit(RLIMIT_CPU, ForeignTables::kLongest.count());
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, kMostReaderBytes);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // Sanitizers reserve terabytes of addresses.
  limit(RLIMIT_AS, kMostReaderMemoryBytes);
#endif
}

Result<std::string> text_of(GrowthKind kind, const std::string& file, const std::string& part,
                            const std::string& query) {
  Target target;
  target.query = query;
  MemoryBudget budget(Tables::kReadBudgetBytes);
  const auto reading = TableReading::of(kind, part, target, budget);
  if (!reading) return reading.error();
  const auto opened = TableFile::open_for_reading(Fd(STDIN_FILENO));
  if (!opened) {
    const bool damaged = opened.error().code == std::errc::bad_message;
    return Error{damaged ? std::errc::not_supported : opened.error().code,
                 file + ": " + opened.error().what};
  }
  for (;;) {
    const auto step = (*reading)->step(**opened);
    if (!step) return step.error();
    if (*step == TableJob::Progress::kDone) return (*reading)->text();
  }
}

bool write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

std::vector<std::string> reader_words(GrowthKind kind, const ClusterPath& file,
                                      const std::string& part, std::string_view query) {
  return {kReaderName, kind == GrowthKind::kSeries ? kSeries : kTable, file.text(), part,
          std::string(query)};
}

int read_table(const std::vector<std::string>& words) {
  if (words.size() != 5) return 2;
  restrain();
  const GrowthKind kind = words[1] == kSeries ? GrowthKind::kSeries : GrowthKind::kTable;
  Result<std::string> text = Error{std::errc::file_too_large,
                                   words[2] + ": reading it takes too much memory"};
  try {
    text = text_of(kind, words[2], words[3], words[4]);
  } catch (const std::bad_alloc&) {
    // The sentence is made already.
  }
  if (text) return write_all(*text) ? 0 : kReaderUnwritten;
  const int code = static_cast<int>(text.error().code);
  return write_all(std::to_string(code) + " " + text.error().what) ? kReaderRefused
                                                                    : kReaderUnwritten;
}

}  // namespace skein
