#include "cache/table_file.h"

#include <fcntl.h>
#include <lmdb.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "core/clock.h"
#include "core/fd.h"

namespace skein {
namespace {

constexpr const char* kTableNames[kTableCount] = {"facts", "names", "places", "shares"};
constexpr unsigned kMaxReaders = 512;  // threads of all processes that read at one moment
constexpr unsigned kFlags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NOSYNC;
constexpr std::chrono::seconds kCheckWait{10};

MDB_val val(std::string_view text) {
  return {text.size(), const_cast<char*>(text.data())};  // LMDB does not write through keys
}
std::string_view view(const MDB_val& v) { return {static_cast<const char*>(v.mv_data), v.mv_size}; }

// LMDB's codes sorted by what the caller can do about them.
Error error_of(int code, const std::string& what) {
  const std::string text = what + ": " + mdb_strerror(code);
  switch (code) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
      return {std::errc::file_too_large, text};
    case MDB_READERS_FULL:
      return {std::errc::resource_unavailable_try_again, text};
    default:
      break;
  }
  if (code > 0) return {static_cast<std::errc>(code), text};
  // Corrupted, page not found, panic, not LMDB, another version, resized behind our back, ...
  return {std::errc::bad_message, text};
}

struct CloseEnv {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
};
using EnvOwner = std::unique_ptr<MDB_env, CloseEnv>;
struct AbortTxn {
  void operator()(MDB_txn* txn) const { mdb_txn_abort(txn); }
};
using TxnOwner = std::unique_ptr<MDB_txn, AbortTxn>;
struct CloseCursor {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};
using CursorOwner = std::unique_ptr<MDB_cursor, CloseCursor>;

int open_env(const std::filesystem::path& path, unsigned flags, EnvOwner& env) {
  MDB_env* raw = nullptr;
  if (const int code = mdb_env_create(&raw); code != 0) return code;
  env.reset(raw);
  mdb_env_set_maxdbs(raw, kTableCount);
  mdb_env_set_maxreaders(raw, kMaxReaders);
  mdb_env_set_mapsize(raw, TableFile::kMapBytes);
  return mdb_env_open(raw, path.c_str(), flags, 0600);
}

std::uint64_t file_bytes(int fd) {
  struct stat st {};
  return ::fstat(fd, &st) == 0 ? static_cast<std::uint64_t>(st.st_size) : 0;
}

// Visits every key and value. LMDB's own table of free pages is number 0, the table of tables 1:
// a writer that takes a page from a damaged free list would overwrite a live one.
bool walk_table(MDB_txn* txn, MDB_dbi dbi, std::uint64_t page_limit) {
  MDB_stat stat{};
  MDB_cursor* raw = nullptr;
  if (mdb_stat(txn, dbi, &stat) != 0 || mdb_cursor_open(txn, dbi, &raw) != 0) return false;
  const CursorOwner cursor(raw);
  MDB_val key{}, value{};
  std::uint64_t seen = 0;
  unsigned sum = 0;
  int code;
  while ((code = mdb_cursor_get(raw, &key, &value, MDB_NEXT)) == 0) {
    if (++seen > stat.ms_entries) return false;
    for (const char c : view(key)) sum += static_cast<unsigned char>(c);
    for (const char c : view(value)) sum += static_cast<unsigned char>(c);
    if (dbi != 0) continue;
    std::size_t count = 0;
    if (value.mv_size < sizeof count) return false;
    std::memcpy(&count, value.mv_data, sizeof count);
    if (count > value.mv_size / sizeof count - 1) return false;
    for (std::size_t i = 1; i <= count; ++i) {
      std::size_t page = 0;
      std::memcpy(&page, static_cast<const char*>(value.mv_data) + i * sizeof page, sizeof page);
      if (page < 2 || page >= page_limit) return false;
    }
  }
  // The sum is used, so that the compiler must read the bytes.
  volatile unsigned sink = sum;
  (void)sink;
  return code == MDB_NOTFOUND && seen == stat.ms_entries;
}

bool walk_file(const std::filesystem::path& path) {
  EnvOwner env;
  if (open_env(path, kFlags | MDB_RDONLY | MDB_NOLOCK, env) != 0) return false;
  MDB_envinfo info{};
  mdb_env_info(env.get(), &info);
  MDB_txn* raw = nullptr;
  if (mdb_txn_begin(env.get(), nullptr, MDB_RDONLY, &raw) != 0) return false;
  const TxnOwner txn(raw);
  const std::uint64_t page_limit = info.me_last_pgno + 1;
  if (!walk_table(raw, 0, page_limit) || !walk_table(raw, 1, page_limit)) return false;
  for (const char* name : kTableNames) {
    MDB_dbi dbi = 0;
    if (mdb_dbi_open(raw, name, 0, &dbi) != 0 || !walk_table(raw, dbi, page_limit)) return false;
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<TableFile>> TableFile::open(const std::filesystem::path& path) {
  const std::string what = "open " + path.string();
  EnvOwner env;
  if (const int code = open_env(path, kFlags, env); code != 0) return error_of(code, what);
  int cleared = 0;
  mdb_reader_check(env.get(), &cleared);  // readers of killed processes would pin old pages
  std::unique_ptr<TableFile> file(new TableFile);
  MDB_txn* raw = nullptr;
  if (const int code = mdb_txn_begin(env.get(), nullptr, 0, &raw); code != 0) {
    return error_of(code, what);
  }
  TxnOwner txn(raw);
  for (unsigned i = 0; i < kTableCount; ++i) {
    const int code = mdb_dbi_open(raw, kTableNames[i], MDB_CREATE, &file->tables_[i]);
    if (code != 0) return error_of(code, what);
  }
  if (const int code = mdb_txn_commit(txn.release()); code != 0) return error_of(code, what);
  mdb_env_get_fd(env.get(), &file->fd_);
  file->size_at_open_bytes_ = file_bytes(file->fd_);
  file->env_ = env.release();
  return file;
}

TableFile::~TableFile() {
  if (env_ != nullptr) mdb_env_close(env_);
}

Result<void> TableFile::read(const Work& work) const {
  MDB_txn* raw = nullptr;
  int code = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &raw);
  if (code == MDB_READERS_FULL) {
    int cleared = 0;
    mdb_reader_check(env_, &cleared);
    code = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &raw);
  }
  if (code != 0) return error_of(code, "read the tree");
  const TxnOwner txn(raw);
  Transaction transaction(raw, tables_);
  work(transaction);
  if (transaction.given_up_) return *transaction.given_up_;
  if (transaction.code_ != 0) return error_of(transaction.code_, "read the tree");
  return {};
}

Result<void> TableFile::write(const Work& work) {
  MDB_txn* raw = nullptr;
  if (const int code = mdb_txn_begin(env_, nullptr, 0, &raw); code != 0) {
    return error_of(code, "change the tree");
  }
  TxnOwner txn(raw);
  Transaction transaction(raw, tables_);
  work(transaction);
  if (transaction.given_up_) return *transaction.given_up_;
  int code = transaction.code_;
  if (code == 0) code = mdb_txn_commit(txn.release());
  if (code != 0) return error_of(code, "change the tree");
  return {};
}

Result<void> TableFile::sync() {
  if (const int code = mdb_env_sync(env_, 1); code != 0) return error_of(code, "sync the tree");
  return {};
}

TableFile::State TableFile::state() const {
  struct stat st {};
  if (::fstat(fd_, &st) != 0) return State::kBroken;
  if (st.st_nlink == 0 && !expect_unlinked_) return State::kGone;
  if (static_cast<std::uint64_t>(st.st_size) < size_at_open_bytes_) return State::kBroken;
  MDB_envinfo info{};
  mdb_env_info(env_, &info);  // reads the mapped head pages, so only after the size was checked
  const std::uint64_t most_pages = kMapBytes / static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return info.me_last_pgno < most_pages ? State::kSound : State::kBroken;
}

bool TableFile::is_at(const std::filesystem::path& path) const {
  struct stat mine {}, there {};
  return ::fstat(fd_, &mine) == 0 && ::stat(path.c_str(), &there) == 0 &&
         mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

std::uint64_t TableFile::size_bytes() const { return file_bytes(fd_); }

bool TableFile::sound_to_the_last_page(const std::filesystem::path& path) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  Fd told(ends[0]), teller(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return false;
  if (child == 0) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT}) ::signal(signal, SIG_DFL);
    // LMDB reports a failed assertion on standard error; this is a question, not a failure.
    if (const int nowhere = ::open("/dev/null", O_WRONLY); nowhere >= 0) ::dup2(nowhere, 2);
    const char verdict = walk_file(path) ? 'y' : 'n';
    _exit(::write(teller.get(), &verdict, 1) == 1 ? 0 : 1);
  }
  teller.reset();
  const Deadline deadline = Deadline::after(kCheckWait);
  pollfd wait{told.get(), POLLIN, 0};
  while (::poll(&wait, 1, deadline.poll_ms()) < 0 && errno == EINTR) {
  }
  char verdict = 'n';
  const bool heard = (wait.revents & POLLIN) != 0 && ::read(told.get(), &verdict, 1) == 1;
  ::kill(child, SIGKILL);
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return heard && verdict == 'y';
}

std::optional<std::string_view> TableFile::Transaction::get(Table table, std::string_view key) {
  if (!ok()) return std::nullopt;
  MDB_val k = val(key), v{};
  const int code = mdb_get(txn_, dbi(table), &k, &v);
  if (code == 0) return view(v);
  if (code != MDB_NOTFOUND) note(code);
  return std::nullopt;
}

void TableFile::Transaction::put(Table table, std::string_view key, std::string_view value) {
  if (!ok()) return;
  MDB_val k = val(key), v = val(value);
  note(mdb_put(txn_, dbi(table), &k, &v, 0));
}

void TableFile::Transaction::append(Table table, std::string_view key, std::string_view value) {
  if (!ok()) return;
  MDB_val k = val(key), v = val(value);
  const int code = mdb_put(txn_, dbi(table), &k, &v, MDB_APPEND);
  if (code != MDB_KEYEXIST) return note(code);
  put(table, key, value);
}

void TableFile::Transaction::erase(Table table, std::string_view key) {
  if (!ok()) return;
  MDB_val k = val(key);
  if (const int code = mdb_del(txn_, dbi(table), &k, nullptr); code != MDB_NOTFOUND) note(code);
}

void TableFile::Transaction::erase_all(Table table, std::string_view prefix) {
  if (!ok()) return;
  MDB_cursor* raw = nullptr;
  note(mdb_cursor_open(txn_, dbi(table), &raw));
  if (!ok()) return;
  const CursorOwner cursor(raw);
  for (;;) {
    MDB_val k = val(prefix), v{};
    const int code = mdb_cursor_get(raw, &k, &v, MDB_SET_RANGE);
    if (code == MDB_NOTFOUND || (code == 0 && !view(k).starts_with(prefix))) return;
    note(code);
    if (ok()) note(mdb_cursor_del(raw, 0));
    if (!ok()) return;
  }
}

void TableFile::Transaction::walk(Table table, std::string_view prefix, std::string_view from,
                                  const Visit& visit) {
  if (!ok()) return;
  MDB_cursor* raw = nullptr;
  note(mdb_cursor_open(txn_, dbi(table), &raw));
  if (!ok()) return;
  const CursorOwner cursor(raw);
  MDB_val k = val(from), v{};
  // An empty key is no key to LMDB.
  int code = mdb_cursor_get(raw, &k, &v, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
  while (code == 0 && view(k).starts_with(prefix) && visit(view(k), view(v))) {
    code = mdb_cursor_get(raw, &k, &v, MDB_NEXT);
  }
  if (code != MDB_NOTFOUND) note(code);
}

bool TableFile::Transaction::behind_all(Table table, std::string_view key) {
  if (!ok()) return false;
  MDB_cursor* raw = nullptr;
  note(mdb_cursor_open(txn_, dbi(table), &raw));
  if (!ok()) return false;
  const CursorOwner cursor(raw);
  MDB_val k{}, v{};
  const int code = mdb_cursor_get(raw, &k, &v, MDB_LAST);
  if (code == MDB_NOTFOUND) return true;
  note(code);
  return code == 0 && view(k) <= key;
}

void TableFile::Transaction::damaged() { note(MDB_CORRUPTED); }

void TableFile::Transaction::give_up(Error why) {
  if (!given_up_) given_up_ = std::move(why);
}

void TableFile::Transaction::note(int code) {
  if (code_ == 0) code_ = code;
}

}  // namespace skein
