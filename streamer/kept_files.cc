#include "streamer/kept_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

namespace skein {
namespace fs = std::filesystem;
namespace {

// More files of one path than that, none of which could be stored, are a program gone wrong.
constexpr std::size_t kMostRuns = 1000;

Error error_of(const std::error_code& trouble, const std::string& what) {
  return errno_error(trouble.value(), what);
}

std::string run_name() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &parts);
  return std::string(text) + "-" + std::to_string(::getpid());
}

// Locked, or nullopt if a living program has it.
Result<Fd> lock_folder(const fs::path& folder) {
  Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open " + folder.string());
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return errno_error(errno, "lock " + folder.string());
  return fd;
}

Result<void> write_all(int fd, std::span<const char> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "write");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

// Writes the file whole, then gives it its name; file_exists if that is taken.
Result<void> write_named(const fs::path& to, KeptFiles::Pieces pieces) {
  // A file without a name needs no cleaning up. Filesystems that know none (NFS) get a name that
  // is the thread's own.
  const std::string part = to.parent_path() / (".part-" + std::to_string(::gettid()));
  Fd fd(::open(to.parent_path().c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  const bool unnamed = static_cast<bool>(fd);
  if (!unnamed) fd = Fd(::open(part.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
  if (!fd) return errno_error(errno, "make a file in " + to.parent_path().string());
  Result<void> done;
  for (std::size_t i = 0; done && i < pieces.size(); ++i) done = write_all(fd.get(), pieces[i]);
  const std::string from = unnamed ? "/proc/self/fd/" + std::to_string(fd.get()) : part;
  if (done && ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(),
                       unnamed ? AT_SYMLINK_FOLLOW : 0) != 0) {
    done = errno_error(errno, "name " + to.string());
  }
  if (!unnamed) ::unlink(part.c_str());
  return done;
}

void remove_empty_folders(const fs::path& top) {
  std::error_code trouble;
  std::vector<fs::path> folders;
  for (fs::recursive_directory_iterator at(top, trouble), end; !trouble && at != end;
       at.increment(trouble)) {
    if (at->is_directory(trouble) && !at->is_symlink(trouble)) folders.push_back(at->path());
  }
  // A parent is found before what it holds.
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) ::rmdir(folder->c_str());
  ::rmdir(top.c_str());
}

Result<std::vector<KeptFiles::Kept>> files_in(const fs::path& run) {
  std::vector<KeptFiles::Kept> files;
  std::error_code trouble;
  fs::recursive_directory_iterator at(run, trouble);
  for (const fs::recursive_directory_iterator end; !trouble && at != end; at.increment(trouble)) {
    struct stat info {};
    if (::lstat(at->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    if (at->path().filename().string().starts_with(".part-")) continue;
    const auto path = ClusterPath::parse(at->path().lexically_relative(run).string());
    if (!path) continue;
    files.push_back({*path, at->path(), static_cast<std::uint64_t>(info.st_size)});
  }
  if (trouble) return error_of(trouble, "read " + run.string());
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.file < b.file; });
  return files;
}

}  // namespace

KeptFiles::~KeptFiles() {
  for (const Run& run : runs_) remove_empty_folders(run.folder);
  for (const Run& run : taken_) remove_empty_folders(run.folder);
}

Result<void> KeptFiles::start_run(std::size_t number) {
  std::error_code trouble;
  fs::create_directories(folder_, trouble);
  if (trouble) return error_of(trouble, "make folder " + folder_.string());
  const std::string name = number == 0 ? run_name() : name_ + "." + std::to_string(number + 1);
  for (std::size_t clash = 0; clash < kMostRuns; ++clash) {
    const std::string unique = clash == 0 ? name : name + "-" + std::to_string(clash);
    const fs::path folder = folder_ / unique;
    if (::mkdir(folder.c_str(), 0700) != 0) {
      if (errno == EEXIST) continue;
      return errno_error(errno, "make folder " + folder.string());
    }
    // Another program may take it for left behind before we have it locked.
    auto lock = lock_folder(folder);
    if (!lock) continue;
    if (number == 0) name_ = unique;
    runs_.push_back({folder, std::move(*lock)});
    return {};
  }
  return Error{std::errc::file_exists, "no free name in " + folder_.string()};
}

Result<fs::path> KeptFiles::keep(const ClusterPath& path, Pieces pieces) {
  if (folder_.empty()) return Error{std::errc::not_supported, "no recovery folder"};
  for (std::size_t number = 0; number < kMostRuns; ++number) {
    fs::path to;
    {
      const std::lock_guard lock(mutex_);
      if (number >= runs_.size()) {
        if (auto started = start_run(number); !started) return started.error();
      }
      to = runs_[number].folder / path.text();
    }
    std::error_code trouble;
    fs::create_directories(to.parent_path(), trouble);
    // A file where a folder must be is an equal path too: "a" was kept before, now "a/b" comes.
    if (trouble == std::errc::not_a_directory || trouble == std::errc::file_exists) continue;
    if (trouble) return error_of(trouble, "make folder " + to.parent_path().string());
    const auto written = write_named(to, pieces);
    if (written) return to;
    if (written.error().code != std::errc::file_exists) return written.error();
  }
  return Error{std::errc::file_exists, "kept too often: " + path.text()};
}

Result<std::vector<KeptFiles::Kept>> KeptFiles::left_behind() {
  std::vector<Kept> all;
  std::error_code trouble;
  if (folder_.empty() || !fs::exists(folder_, trouble)) return all;
  fs::directory_iterator at(folder_, trouble);
  for (const fs::directory_iterator end; !trouble && at != end; at.increment(trouble)) {
    std::error_code ignored;
    if (!at->is_directory(ignored) || at->is_symlink(ignored)) continue;
    auto lock = lock_folder(at->path());
    if (!lock) continue;  // a living program's, or one of ours
    auto files = files_in(at->path());
    if (!files) return files.error();
    all.insert(all.end(), files->begin(), files->end());
    const std::lock_guard guard(mutex_);
    taken_.push_back({at->path(), std::move(*lock)});
  }
  if (trouble) return error_of(trouble, "read " + folder_.string());
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.file < b.file; });
  return all;
}

}  // namespace skein
