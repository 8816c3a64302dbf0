// Four ordered tables of byte strings in one LMDB file: the only place that includes lmdb.h.
//
// A transaction sees one moment of all four tables and is applied whole or not at all, also when
// the process is killed in it. After a power cut the file may hold any mixture of old and new
// pages (commits do not wait for the disk: a refresh would cost a seek each): the owner of the
// file, tree_store.h, must know that a cut happened and begin anew.
//
// Rejected: waiting for the disk at each commit (5 ms against 20 us), and LMDB's write map, in
// which a stray pointer of ours would damage the file.
//
// One TableFile per file and process (LMDB's rule), opened after any fork. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "core/error.h"

struct MDB_env;
struct MDB_txn;

namespace skein {

enum class Table : unsigned { kFacts, kNames, kPlaces, kShares };
inline constexpr unsigned kTableCount = 4;

class TableFile {
 public:
  // Address space, not memory: the same for all processes, so that no one ever has to map anew.
  static constexpr std::uint64_t kMapBytes = std::uint64_t{16} << 30;

  class Transaction;
  using Work = std::function<void(Transaction&)>;

  // Opens, or makes the file (mode 0600). Errors: bad_message (not a sound LMDB file), as open(2).
  static Result<std::unique_ptr<TableFile>> open(const std::filesystem::path& path);
  ~TableFile();
  TableFile(const TableFile&) = delete;
  TableFile& operator=(const TableFile&) = delete;

  // Both run `work` once. Errors: bad_message (damaged, also when `work` said so);
  // file_too_large (the map is full); no_space_on_device and others of write(2).
  Result<void> read(const Work& work) const;
  // Applied if `work` made no error. Waits for another process's transaction without a deadline:
  // the caller holds a lock of its own that keeps others out.
  Result<void> write(const Work& work);
  // Waits until all that was applied is on the disk.
  Result<void> sync();

  enum class State { kSound, kGone, kBroken };
  // kGone: the file was unlinked. kBroken: it was cut short, or its head pages make no sense. One
  // fstat: cheap enough before every transaction, for reading beyond the end kills a process.
  State state() const;
  // Still the file at that path.
  bool is_at(const std::filesystem::path& path) const;
  // For a file that was unlinked on purpose, right after it was opened.
  void expect_unlinked() { expect_unlinked_ = true; }
  std::uint64_t size_bytes() const;

  // Walks everything in a child process, which dies in our stead if the pages are garbage.
  // Takes about 0.4 s per GiB in the page cache; false also if not done within 10 s.
  static bool sound_to_the_last_page(const std::filesystem::path& path);

 private:
  TableFile() = default;

  MDB_env* env_ = nullptr;
  unsigned tables_[kTableCount] = {};
  int fd_ = -1;                        // LMDB's own
  std::uint64_t size_at_open_bytes_ = 0;  // LMDB never makes a file smaller
  bool expect_unlinked_ = false;
};

// Views stay valid until the next change in the same transaction. After the first error every call
// does nothing and finds nothing; the transaction is then not applied. One thread.
class TableFile::Transaction {
 public:
  std::optional<std::string_view> get(Table table, std::string_view key);
  void put(Table table, std::string_view key, std::string_view value);
  // As put(), and faster and denser when the key lies behind all keys of the table.
  void append(Table table, std::string_view key, std::string_view value);
  void erase(Table table, std::string_view key);
  void erase_all(Table table, std::string_view prefix);

  // Visits keys that begin with `prefix`, in order, starting with the first that is not less than
  // `from`, until `visit` returns false. `visit` must not change the table.
  using Visit = std::function<bool(std::string_view key, std::string_view value)>;
  void walk(Table table, std::string_view prefix, std::string_view from, const Visit& visit);

  // True if no key of the table is greater.
  bool behind_all(Table table, std::string_view key);

  // What was read makes no sense: the file is to be given up.
  void damaged();
  // The work decided against its changes; none is applied and write() returns `why`.
  void give_up(Error why);
  bool ok() const { return code_ == 0 && !given_up_; }

 private:
  friend class TableFile;
  Transaction(MDB_txn* txn, const unsigned* tables) : txn_(txn), tables_(tables) {}
  unsigned dbi(Table table) const { return tables_[static_cast<unsigned>(table)]; }
  void note(int code);

  MDB_txn* const txn_;
  const unsigned* const tables_;
  int code_ = 0;  // LMDB's
  std::optional<Error> given_up_;
};

}  // namespace skein
