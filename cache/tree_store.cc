#include "cache/tree_store.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace skein {
namespace {

namespace fs = std::filesystem;

// A change of 100,000 names takes 0.2 s; a mount answers within 5 s, asking nodes included.
constexpr std::chrono::milliseconds kWriteWait{2000};
constexpr int kMostAttempts = 4;  // gone, then too big, then the disk is full, then in memory
constexpr std::uint64_t kMostBytesInMemory = std::uint64_t{256} << 20;
constexpr const char* kSchemaKey = "schema";

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

// The file as its last closer left it.
std::string closed_state(const fs::path& data) {
  struct stat st {};
  if (::stat(data.c_str(), &st) != 0) return {};
  return "closed " + std::to_string(st.st_ino) + " " + std::to_string(st.st_size) + " " +
         std::to_string(st.st_mtim.tv_sec * 1'000'000'000LL + st.st_mtim.tv_nsec);
}

Result<void> make_folder(const fs::path& folder) {
  std::error_code failure;
  if (folder.has_parent_path()) fs::create_directories(folder.parent_path(), failure);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return errno_error(errno, "make folder " + folder.string());
  }
  return {};
}

// The disk, not the file: a new file in the same place would fare no better.
bool is_disk_trouble(std::errc code) {
  return code == std::errc::no_space_on_device || code == std::errc::io_error ||
         code == std::errc::read_only_file_system || code == std::errc{EDQUOT};
}

Error busy() { return {std::errc::timed_out, "change the tree: another change takes too long"}; }

}  // namespace

Result<std::unique_ptr<TreeStore>> TreeStore::open(Options options) {
  if (auto made = make_folder(options.folder); !made) return made.error();
  std::unique_ptr<TreeStore> store(new TreeStore(std::move(options)));
  auto opened = store->mend(nullptr, Why::kOpen, Deadline::after(kWriteWait));
  if (!opened) return opened.error();
  return store;
}

TreeStore::~TreeStore() {
  const std::shared_ptr<Generation> last = std::move(current_);
  if (!last || !last->lock || replaced(*last)) return;
  if (!last->lock->lock_writer(Deadline::after(kWriteWait))) return;
  const WriterTurn turn(last->lock);
  // The last one out makes the file safe against a power cut; before, nobody needs to wait for it.
  if (last->lock->be_alone() && last->file->sync()) write_state(closed_state(data()));
}

TreeStore::Turn::Turn(TreeStore& store, Deadline deadline) : store_(store) {
  std::unique_lock lock(store_.mutex_);
  got_ = store_.turn_over_.wait_until(lock, deadline.when(), [&] { return !store_.turn_taken_; });
  if (got_) store_.turn_taken_ = true;
}

TreeStore::Turn::~Turn() {
  if (!got_) return;
  {
    const std::lock_guard lock(store_.mutex_);
    store_.turn_taken_ = false;
  }
  store_.turn_over_.notify_one();
}

std::shared_ptr<TreeStore::Generation> TreeStore::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

bool TreeStore::replaced(const Generation& at) const {
  return at.lock && (at.file->state() != TableFile::State::kSound || !at.file->is_at(data()));
}

Result<void> TreeStore::read(const Work& work) {
  Result<void> done;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const auto at = current();
    const auto state = at->file->state();
    if (state == TableFile::State::kSound) {
      done = at->file->read(work);
      if (done || done.error().code != std::errc::bad_message) return done;
    }
    const Deadline deadline = Deadline::after(kWriteWait);
    const Turn turn(*this, deadline);
    if (!turn.got()) return busy();
    if (current() != at) continue;  // another thread mended it
    const Why why = state == TableFile::State::kGone ? Why::kOpen : Why::kDamaged;
    if (auto mended = mend(at, why, deadline); !mended) return mended;
  }
  return done;
}

Result<void> TreeStore::write(const Work& work, Bound bound) {
  const Deadline deadline = Deadline::after(kWriteWait);
  const Turn turn(*this, deadline);
  if (!turn.got()) return busy();
  Result<void> done;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const auto at = current();
    if (at->lock) {
      if (auto locked = at->lock->lock_writer(deadline); !locked) return locked;
    }
    const WriterTurn locked(at->lock);
    const std::uint64_t most_bytes =
        at->lock ? options_.max_bytes : std::min(options_.max_bytes, kMostBytesInMemory);
    const bool look_at_size = bound == Bound::kNow && attempt == 0;
    Why why = Why::kDamaged;
    if (at->file->state() == TableFile::State::kBroken) {
      why = Why::kDamaged;
    } else if (replaced(*at)) {
      why = Why::kOpen;
    } else if (look_at_size && at->file->size_bytes() > most_bytes) {
      why = Why::kTooBig;
    } else {
      done = at->file->write(work);
      if (done) return done;
      const std::errc code = done.error().code;
      if (code == std::errc::file_too_large) {
        why = Why::kTooBig;
      } else if (is_disk_trouble(code)) {
        why = Why::kDiskTrouble;
      } else if (code != std::errc::bad_message) {
        return done;
      }
    }
    if (auto mended = mend(at, why, deadline); !mended) return mended;
  }
  return done;
}

// Brings a usable file into current_. The writer lock of `broken` is held by the caller or, when
// only reading, is free.
Result<void> TreeStore::mend(const std::shared_ptr<Generation>& broken, Why why,
                             Deadline deadline) {
  if (why == Why::kDiskTrouble || (broken && !broken->lock)) return move_to_memory();
  if (auto made = make_folder(options_.folder); !made) {
    return broken ? move_to_memory() : made;
  }
  const fs::path path = options_.folder / "lock";
  std::shared_ptr<LockFile> lock = broken ? broken->lock : nullptr;
  if (!lock || !lock->is_at(path)) {
    auto opened = LockFile::open(path);
    if (!opened) return broken ? move_to_memory() : Result<void>(opened.error());
    lock = *opened;
  }
  // Locking what this process has locked already is no wait; the caller's turn ends it.
  if (auto locked = lock->lock_writer(deadline); !locked) return locked;
  const WriterTurn turn(lock);
  auto mended = mend_locked(broken, why, lock);
  if (!mended && broken && is_disk_trouble(mended.error().code)) return move_to_memory();
  return mended;
}

Result<void> TreeStore::mend_locked(const std::shared_ptr<Generation>& broken, Why why,
                                    const std::shared_ptr<LockFile>& lock) {
  const bool alone = lock->be_alone();
  if (why == Why::kDamaged) {
    set_aside();
  } else if (why == Why::kTooBig) {
    remove_file();
  } else if (std::error_code ignored; alone && fs::exists(data(), ignored) && !trusted()) {
    set_aside();
  }
  auto file = open_sound();
  if (!file) return file.error();
  if (alone) write_state("open " + boot_id());
  lock->be_present();
  if (why == Why::kTooBig && broken) {
    bool fits = true;
    auto carried = (*file)->write([&](Transaction& to) {
      auto from_old = broken->file->read([&](Transaction& from) {
        fits = options_.carry_over(from, to);
      });
      if (!from_old || !fits) to.give_up({std::errc::file_too_large, "carry the tree over"});
    });
    spdlog::info("tree begun anew: folder={} was_bytes={} directories_kept={}",
                 options_.folder.string(), broken->file->size_bytes(), carried.ok());
  }
  auto next = std::make_shared<Generation>(Generation{lock, std::move(*file)});
  const std::lock_guard hold(mutex_);
  current_ = std::move(next);
  return {};
}

// The disk is full or failing: this process goes on with a file of its own in memory.
Result<void> TreeStore::move_to_memory() {
  std::string folder = "/dev/shm/skein-tree-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return errno_error(errno, "make " + folder);
  const fs::path path = fs::path(folder) / "tree.mdb";
  auto file = TableFile::open(path);
  std::error_code ignored;
  fs::remove_all(folder, ignored);  // gone with the process, however it ends
  if (!file) return file.error();
  (*file)->expect_unlinked();
  if (auto begun = schema_holds(**file); !begun) return begun.error();
  spdlog::warn("tree kept in memory, its disk cannot be written: folder={}",
               options_.folder.string());
  auto next = std::make_shared<Generation>(Generation{nullptr, std::move(*file)});
  const std::lock_guard hold(mutex_);
  current_ = std::move(next);
  return {};
}

// A file at its path that opens and has our schema, made anew if the one there does not.
Result<std::unique_ptr<TableFile>> TreeStore::open_sound() {
  for (int attempt = 0;; ++attempt) {
    auto file = TableFile::open(data());
    Result<bool> holds = file ? schema_holds(**file) : Result<bool>(file.error());
    if (holds && *holds) return file;
    if (attempt > 0) {
      return holds ? Error{std::errc::bad_message, "begin a new tree: still not readable"}
                   : holds.error();
    }
    if (!holds && holds.error().code != std::errc::bad_message) return holds.error();
    if (file) *file = nullptr;  // closed before another one is opened at the same path
    if (holds) {
      remove_file();
    } else {
      set_aside();
    }
  }
}

// Writes the schema into an empty file. False: the file has another one.
Result<bool> TreeStore::schema_holds(TableFile& file) {
  std::optional<std::string> found;
  auto looked = file.read([&](Transaction& t) {
    if (const auto schema = t.get(Table::kFacts, kSchemaKey)) found = std::string(*schema);
  });
  if (!looked) return looked.error();
  if (found) return *found == options_.schema;
  auto begun = file.write([&](Transaction& t) {
    t.put(Table::kFacts, kSchemaKey, options_.schema);
    options_.begin(t);
  });
  if (!begun) return begun.error();
  return true;
}

bool TreeStore::trusted() const {
  std::ifstream file(options_.folder / "state");
  std::string state;
  std::getline(file, state);
  if (state.starts_with("closed ")) return state == closed_state(data());
  const std::string boot = boot_id();
  return !boot.empty() && state == "open " + boot && TableFile::sound_to_the_last_page(data());
}

void TreeStore::set_aside() const {
  fs::path aside = data();
  aside += ".damaged";
  spdlog::warn("tree damaged, begun anew: folder={} kept_as={}", options_.folder.string(),
               aside.filename().string());
  if (::rename(data().c_str(), aside.c_str()) != 0) ::unlink(data().c_str());
  remove_file();
}

void TreeStore::remove_file() const {
  fs::path lock = data();
  lock += "-lock";
  ::unlink(data().c_str());
  ::unlink(lock.c_str());
}

// Whole or not at all, and on the disk before anything that relies on it.
void TreeStore::write_state(const std::string& text) const {
  const fs::path path = options_.folder / "state";
  fs::path fresh = path;
  fresh += ".new";
  const Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const std::string line = text + "\n";
  const bool written = fd && ::write(fd.get(), line.data(), line.size()) ==
                                 static_cast<ssize_t>(line.size()) && ::fsync(fd.get()) == 0;
  // Without a state the next start trusts nothing, which is safe.
  if (!written || ::rename(fresh.c_str(), path.c_str()) != 0) ::unlink(path.c_str());
  const Fd folder(::open(options_.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) ::fsync(folder.get());
}

}  // namespace skein
