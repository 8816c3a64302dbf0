#include "dataserver/foreign_tables.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string>

#include "core/clock.h"
#include "dataserver/table_reader.h"

namespace skein {
namespace {

constexpr std::size_t kMostReasonBytes = 4096;

Result<pid_t> start_reader(const std::string& program, const TableJob& job, int output) {
  std::vector<std::string> words = job.reader_words;
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, job.source.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  // The server's threads block the signals that end it.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t child = -1;
  const int failed =
      ::posix_spawn(&child, program.c_str(), &files, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) return errno_error(failed, "start a process that reads HDF5");
  return child;
}

int status_of(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// The status of waitpid(2); nullopt: it was killed because its time was over, or ours. Errors: as
// pidfd_open(2), eventfd(2).
Result<std::optional<int>> end_of(pid_t child, std::chrono::milliseconds longest,
                                  const std::stop_token& stop) {
  const Fd stopped(::eventfd(0, EFD_CLOEXEC));
  // glibc 2.36 declares pidfd_open(2) for C alone.
  const Fd process(stopped ? static_cast<int>(::syscall(SYS_pidfd_open, child, 0)) : -1);
  if (!process) {
    const int failure = errno;
    ::kill(child, SIGKILL);
    status_of(child);
    return errno_error(failure, "watch a process that reads HDF5");
  }
  const std::stop_callback tell(stop, [&stopped] { ::eventfd_write(stopped.get(), 1); });
  const Deadline end = Deadline::after(longest);
  std::array<pollfd, 2> events{pollfd{process.get(), POLLIN, 0}, {stopped.get(), POLLIN, 0}};
  int ready = 0;
  while ((ready = ::poll(events.data(), events.size(), end.poll_ms())) < 0 && errno == EINTR) {
  }
  const bool ended = ready > 0 && events[0].revents != 0;
  if (!ended) ::kill(child, SIGKILL);
  const int status = status_of(child);
  return ended ? std::optional(status) : std::nullopt;
}

// What a reader that ended in order wrote in place of rows: "<code> <sentence>".
Error reason_in(int output) {
  std::array<char, kMostReasonBytes> text;
  const ssize_t n = ::pread(output, text.data(), text.size(), 0);
  const char* const end = text.data() + std::max<ssize_t>(n, 0);
  int code = 0;
  const auto [stop, failure] = std::from_chars(text.data(), end, code);
  if (failure != std::errc() || code <= 0 || stop == end) {
    return {std::errc::io_error, "a process that reads HDF5 gave no reason"};
  }
  return {static_cast<std::errc>(code), std::string(stop + 1, end)};
}

}  // namespace

ForeignTables::ForeignTables(FileStore& store, std::function<void()> done, Options options)
    : store_(store), done_(std::move(done)), options_(std::move(options)) {
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads_.emplace_back([this](std::stop_token stop) { work(stop); });
  }
  threads_.emplace_back([this](std::stop_token stop) { refuse_late(stop); });
}

ForeignTables::~ForeignTables() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

bool ForeignTables::submit(std::shared_ptr<TableJob> job) {
  const std::lock_guard lock(mutex_);
  if (queue_.size() >= kMostQueued) return false;
  queue_.push_back({std::move(job), std::chrono::steady_clock::now() + options_.patience});
  queue_changed_.notify_all();
  return true;
}

void ForeignTables::work(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (queue_changed_.wait(lock, stop, [this] { return !queue_.empty(); })) {
    const std::shared_ptr<TableJob> job = std::move(queue_.front().job);
    queue_.pop_front();
    lock.unlock();
    auto text = read(*job, stop);
    if (stop.stop_requested()) return;
    if (text) {
      job->text = std::move(*text);
      job->finish();
    } else {
      job->fail(text.error());
    }
    done_();
    lock.lock();
  }
}

// Who waits behind files that take long hears so in time: the first in the queue is the oldest.
void ForeignTables::refuse_late(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (queue_changed_.wait(lock, stop, [this] { return !queue_.empty(); })) {
    const std::shared_ptr<TableJob> first = queue_.front().job;
    const TimePoint until = queue_.front().until;
    const bool taken = queue_changed_.wait_until(
        lock, stop, until, [&] { return queue_.empty() || queue_.front().job != first; });
    if (stop.stop_requested()) return;
    if (taken) continue;
    queue_.pop_front();
    lock.unlock();
    first->fail({std::errc::resource_unavailable_try_again,
                 first->file.text() + ": others that take long are read before it; ask again"});
    done_();
    lock.lock();
  }
}

Result<FilePart> ForeignTables::read(const TableJob& job, const std::stop_token& stop) {
  auto stage = store_.scratch();
  if (!stage) return stage.error();
  const auto child = start_reader(options_.program, job, stage->fd());
  if (!child) return child.error();
  const auto end = end_of(*child, options_.longest, stop);
  if (!end) return end.error();
  const std::optional<int> status = *end;
  if (status && WIFEXITED(*status) && WEXITSTATUS(*status) == kReaderRefused) {
    return reason_in(stage->fd());
  }
  if (status && WIFEXITED(*status) && WEXITSTATUS(*status) == kReaderUnwritten) {
    return Error{std::errc::no_space_on_device, job.file.text() + ": no room for the text of it"};
  }
  if (!status || !WIFEXITED(*status) || WEXITSTATUS(*status) != 0) {
    const std::string how = !status                ? "took too long"
                            : WIFSIGNALED(*status) ? "ended by signal " +
                                                         std::to_string(WTERMSIG(*status))
                                                   : "ended with status " +
                                                         std::to_string(WEXITSTATUS(*status));
    spdlog::warn("an HDF5 file that was put could not be read: path={} reader={}",
                 job.file.text(), how);
    return Error{std::errc::not_supported, job.file.text() + ": reading it " + how};
  }
  struct stat st {};
  if (::fstat(stage->fd(), &st) != 0) return errno_error(errno, job.file.text());
  Fd fd(::fcntl(stage->fd(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return errno_error(errno, job.file.text());
  return FilePart{std::move(fd), 0, static_cast<std::uint64_t>(st.st_size)};
}

}  // namespace skein
