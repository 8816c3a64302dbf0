// The process that reads a foreign HDF5 file for one request (foreign_tables.h). The file is its
// standard input; the reply's text goes to its standard output.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aggregate/append_target.h"
#include "core/path.h"

namespace skein {

// The program's name (argv[0]) that makes main() call read_table().
inline constexpr const char* kReaderName = "skein-table-reader";
// Exit status for "<number of a std::errc> <sentence>" in place of the text.
inline constexpr int kReaderRefused = 3;
// Its output could not be written.
inline constexpr int kReaderUnwritten = 4;
// Most it may write, and a bound on its address space: rows of 256 MiB, their text, and the library.
inline constexpr std::uint64_t kMostReaderBytes = 2048ull << 20;
inline constexpr std::uint64_t kMostReaderMemoryBytes = 4096ull << 20;

// Its words, the name first; `part` and `query` as TableReading::of() takes them.
std::vector<std::string> reader_words(GrowthKind kind, const ClusterPath& file,
                                      const std::string& part, std::string_view query);

// Exit status: 0, kReaderRefused, kReaderUnwritten; 2: wrong words.
int read_table(const std::vector<std::string>& words);

}  // namespace skein
