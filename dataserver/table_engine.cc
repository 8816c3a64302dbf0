#include "dataserver/table_engine.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <spdlog/spdlog.h>

#include "aggregate/redo_journal.h"
#include "aggregate/table_file.h"
#include "dataserver/table_engine_files.h"

namespace skein {
namespace {

constexpr const char* kJournals = "redo";
constexpr std::chrono::milliseconds kSweep{1000};
// Ids of requests that were carried out, so that a retry is not carried out again. Each file keeps its
// own latest ones too, for a retry after a restart.
constexpr std::size_t kMostRequests = 16'384;

}  // namespace

Result<std::unique_ptr<TableEngine>> TableEngine::open(FileStore& store) {
  const int folder = store.private_directory();
  if (::mkdirat(folder, kJournals, 0700) != 0 && errno != EEXIST) {
    return errno_error(errno, "journals of tables");
  }
  Fd journals(::openat(folder, kJournals, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!journals) return errno_error(errno, "journals of tables");
  std::unique_ptr<TableEngine> engine(new TableEngine(store, std::move(journals)));
  engine->recover();
  engine->thread_ = std::jthread([&engine = *engine](std::stop_token stop) { engine.work(stop); });
  return engine;
}

TableEngine::TableEngine(FileStore& store, Fd journals)
    : store_(store), journals_(std::move(journals)), foreign_(store, [this] { tell(); }) {}

TableEngine::~TableEngine() {
  thread_.request_stop();
  thread_.join();
}

void TableEngine::recover() {
  const auto left = RedoJournal::left_in(journals_.get());
  if (!left) {
    spdlog::error("journals of tables cannot be read: why={}", left.error().what);
    return;
  }
  for (const std::string& path : *left) recover_one(path);
}

void TableEngine::recover_one(const std::string& path) {
  const auto parsed = ClusterPath::parse(path);
  const auto found = parsed ? find_beneath(store_.root(), *parsed)
                            : Result<std::optional<Found>>(parsed.error());
  if (!found || !*found || (*found)->kind != Found::Kind::kFile || !(*found)->writable) {
    spdlog::warn("a growing table was moved, removed or sealed by hand, its journal stays: path={}",
                 path);
    return;
  }
  const auto file = open_beneath(store_.root(), *parsed, O_RDWR | O_NOFOLLOW);
  const auto done =
      file ? TableFile::recover(file->get(), table_options(store_, journals_.get(), *parsed))
           : Result<void>(file.error());
  if (!done) {
    spdlog::error("a growing table could not be made good: path={} why={}", path, done.error().what);
  }
}

void TableEngine::on_done(std::function<void()> callback) {
  const std::lock_guard lock(callback_mutex_);
  callback_ = std::move(callback);
}

void TableEngine::tell() {
  const std::lock_guard lock(callback_mutex_);
  if (callback_) callback_();
}

bool TableEngine::submit(std::shared_ptr<TableJob> job) {
  if (job->kind == TableJob::Kind::kForeign) return foreign_.submit(std::move(job));
  const std::lock_guard lock(mutex_);
  if (queue_.size() >= kMostQueued) return false;
  queue_.push_back(std::move(job));
  queue_changed_.notify_one();
  return true;
}

std::size_t TableEngine::queued() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

void TableEngine::work(std::stop_token stop) {
  for (;;) {
    std::unique_lock lock(mutex_);
    const auto any = [this] { return !queue_.empty(); };
    if (open_.empty()) {
      queue_changed_.wait(lock, stop, any);
    } else {
      queue_changed_.wait_for(lock, stop, kSweep, any);
    }
    const bool idle = queue_.empty();
    lock.unlock();
    if (idle && stop.stop_requested()) break;
    if (!idle) do_batch(take_batch());
    close_unused();
  }
  while (!open_.empty()) close(open_.begin()->first);
}

TableEngine::Jobs TableEngine::take_batch() {
  const std::lock_guard lock(mutex_);
  Jobs batch;
  std::uint64_t bytes = 0;
  while (!queue_.empty() && (batch.empty() || bytes + queue_.front()->body_bytes <= kBatchBytes)) {
    bytes += queue_.front()->body_bytes;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return batch;
}

// Changes first, file by file; who reads sees them committed.
void TableEngine::do_batch(const Jobs& batch) {
  std::map<std::string, Jobs> changes;
  for (const JobPtr& job : batch) {
    if (job->kind == TableJob::Kind::kChange) changes[job->file.text()].push_back(job);
  }
  for (const auto& [key, jobs] : changes) make_changes(jobs.front()->file, jobs);
  for (const JobPtr& job : batch) {
    if (job->kind != TableJob::Kind::kChange) do_other(job);
  }
  tell();
}

void TableEngine::make_changes(const ClusterPath& path, const Jobs& jobs) {
  if (attempt(path, jobs)) return;
  for (const JobPtr& job : jobs) attempt(path, {&job, 1});
}

bool TableEngine::attempt(const ClusterPath& path, std::span<const JobPtr> jobs) {
  const auto fail_all = [&](const Error& error) {
    for (const JobPtr& job : jobs) job->fail(error);
    return true;
  };
  const auto found = opened(path, Missing::kMake);
  if (!found) return fail_all(found.error());
  Open& open = **found;
  const bool fresh = !open.visible;
  const auto give_up = [&](const Error& error) {
    // Tried again, what is recorded would be there twice.
    const bool unclear = open.file->unclear() || (fresh && open.visible);
    close(path.text());
    return (unclear || jobs.size() == 1) && fail_all(error);
  };
  Jobs made;
  std::vector<std::pair<JobPtr, Error>> refused;
  for (const JobPtr& job : jobs) {
    const auto repeated = was_made(*job, *open.file);
    if (!repeated) {
      refused.emplace_back(job, repeated.error());
      continue;
    }
    job->repeated = *repeated;
    if (job->repeated) {
      made.push_back(job);
      continue;
    }
    if (const auto room = store_.check_space(job->body_bytes); !room) {
      refused.emplace_back(job, room.error());
      continue;
    }
    const auto changed = open.file->change(*job->change, job->request_id);
    if (changed) {
      made.push_back(job);
    } else if (open.file->spoilt()) {
      return give_up(changed.error());
    } else {
      refused.emplace_back(job, changed.error());
    }
  }
  // A file that nobody has yet is not made for nothing.
  const bool nothing = made.empty();
  const auto committed = nothing         ? Result<void>()
                         : open.visible  ? open.file->commit()
                                         : commit_new(path, open);
  if (!committed) return give_up(committed.error());
  if (nothing && !open.visible) close(path.text());
  for (const auto& [job, error] : refused) job->fail(error);
  if (!nothing && !std::exchange(open.marked, true)) {
    // One that came by hand. Without the right to mark it, listings go on telling its size.
    (void)::fchmod(open.file->fd(), kGrowingMode);
  }
  remember(made);
  if (!nothing) store_.index().changed(path);
  return true;
}

Result<bool> TableEngine::was_made(const TableJob& job, TableFile& file) const {
  if (!job.request_id) return false;
  if (const auto earlier = requests_.find(*job.request_id); earlier != requests_.end()) {
    if (earlier->second == job.file) return true;
    return Error{std::errc::invalid_argument, "the request id stood for an append to another file"};
  }
  return file.has_made(*job.request_id);
}

void TableEngine::remember(const Jobs& jobs) {
  for (const JobPtr& job : jobs) {
    if (job->request_id && requests_.emplace(*job->request_id, job->file).second) {
      requests_in_order_.push_back(*job->request_id);
      if (requests_in_order_.size() > kMostRequests) {
        requests_.erase(requests_in_order_.front());
        requests_in_order_.pop_front();
      }
    }
    job->finish();
  }
}

void TableEngine::do_other(const JobPtr& job) {
  if (job->kind == TableJob::Kind::kSeal) {
    const auto sealed = seal(job->file);
    return sealed ? job->finish() : job->fail(sealed.error());
  }
  if (job->kind == TableJob::Kind::kSnapshot) {
    auto copy = snapshot(job->file);
    if (!copy) return job->fail(copy.error());
    job->snapshot = std::move(*copy);
    return job->finish();
  }
  const auto found = opened(job->file, Missing::kFail);
  if (!found) return job->fail(found.error());
  const auto read = job->read(*(*found)->file);
  if (!read) return job->fail(read.error());
  if (*read == TableJob::Progress::kDone) return job->finish();
  const std::lock_guard lock(mutex_);
  queue_.push_back(job);
}

}  // namespace skein
