#include "fuse/kernel_session.h"

#include <fcntl.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <fstream>
#include <string_view>

#include "fuse/kernel_library.h"
#include "fuse/mount_point.h"

namespace skein {
namespace {

constexpr std::int32_t kNotifyIncrementEpoch = 8;  // FUSE_NOTIFY_INC_EPOCH, Linux 6.16
constexpr int kKernelReadAheadKib = 4096;
// Wakes serve(): it waits for a semaphore, which only a signal interrupts.
constexpr int kWakeSignal = SIGUSR1;

// Where the calling thread's messages of libfuse go; null = to the log. libfuse's log function takes
// no context of its own.
thread_local std::string* library_messages = nullptr;

void take_library_message(fuse_log_level, const char* format, va_list arguments) {
  char line[1024];
  std::vsnprintf(line, sizeof line, format, arguments);
  std::string_view text(line);
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (library_messages == nullptr) return spdlog::warn("from libfuse: text={}", text);
  *library_messages += (library_messages->empty() ? "" : "; ") + std::string(text);
}

Passthrough& passthrough_of(void* userdata) {
  return static_cast<KernelRequests*>(userdata)->passthrough;
}

// struct fuse_out_header: a notification has unique 0 and its code in place of the error.
struct ReplyHead {
  std::uint32_t len;
  std::int32_t error;
  std::uint64_t unique;
};

ssize_t write_reply(int fd, iovec* parts, int count, void* userdata) {
  passthrough_of(userdata).edit_reply(parts, count);
  if (count > 0 && parts[0].iov_len >= sizeof(ReplyHead)) {
    const auto* head = static_cast<const ReplyHead*>(parts[0].iov_base);
    if (head->unique != 0) static_cast<KernelRequests*>(userdata)->metrics.answered(head->error);
  }
  return ::writev(fd, parts, count);
}

ssize_t read_request(int fd, void* into, std::size_t size, void* userdata) {
  const ssize_t n = ::read(fd, into, size);
  if (n <= 0) return n;
  passthrough_of(userdata).saw_request(into, static_cast<std::size_t>(n));
  static_cast<KernelRequests*>(userdata)->awake.asked();
  return n;
}

ssize_t splice_either_way(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t size,
                          unsigned flags, void*) {
  return ::splice(from, from_offset, to, to_offset, size, flags);
}

// As mount(2) and mountinfo escape nothing here, a comma would end the option.
std::string without_commas(std::string text) {
  for (char& c : text) {
    if (c == ',' || c == '\\') c = '_';
  }
  return text;
}

std::vector<std::string> library_arguments(const MountOptions& options) {
  std::vector<std::string> words{"skein-mount"};
  std::string list = "fsname=skein:" + without_commas(options.cluster) + ",subtype=skein";
  if (options.allow_other) list += ",allow_other";
  for (const std::string& option : options.kernel_options) list += "," + option;
  words.insert(words.end(), {"-o", list});
  return words;
}

class LibrarySession : public KernelSession {
 public:
  LibrarySession(fuse_session* session, KernelRequests& requests, std::string mount_point)
      : session_(session), requests_(requests), mount_point_(std::move(mount_point)) {}

  ~LibrarySession() override {
    if (mounted_) fuse_session_unmount(session_);
    fuse_session_destroy(session_);
  }

  Result<void> mount() {
    std::string said;
    library_messages = &said;
    const int failed = fuse_session_mount(session_, mount_point_.c_str());
    library_messages = nullptr;
    if (failed != 0) {
      return Error{std::errc::io_error, "cannot mount on " + mount_point_ + ": " + said};
    }
    mounted_ = true;
    const fuse_custom_io io{write_reply, read_request, splice_either_way, splice_either_way};
    const int device = fuse_session_fd(session_);
    if (const int set = fuse_session_custom_io(session_, &io, device); set != 0) {
      return errno_error(-set, "set up the connection to the kernel");
    }
    requests_.backing.use(device);
    return {};
  }

  Result<bool> serve() override {
    server_ = pthread_self();
    serving_ = true;
    struct sigaction wake {};
    wake.sa_handler = [](int) {};
    ::sigaction(kWakeSignal, &wake, nullptr);
    fuse_loop_config* config = fuse_loop_cfg_create();
    fuse_loop_cfg_set_max_threads(config, kMaxThreads);
    fuse_loop_cfg_set_idle_threads(config, kIdleThreads);
    const int ended = fuse_session_loop_mt(session_, config);
    fuse_loop_cfg_destroy(config);
    serving_ = false;
    if (ended < 0) return errno_error(-ended, "serve " + mount_point_);
    return !asked_to_end_;
  }

  void end() override {
    asked_to_end_ = true;
    fuse_session_exit(session_);
    if (serving_) pthread_kill(server_, kWakeSignal);
  }

  void doubt_entries() override {
    if (!requests_.entries_revocable) return;
    const ReplyHead notification{sizeof notification, kNotifyIncrementEpoch, 0};
    static_assert(sizeof notification == 16);
    const ssize_t n = ::write(fuse_session_fd(session_), &notification, sizeof notification);
    if (n < 0 && errno == EINVAL) requests_.entries_revocable = false;
  }

  // The kernel's own read-ahead of a mount is 128 KiB unless raised here; root only.
  void tune() override {
    // Not by stat(2): that asks this mount, which may be at its end already.
    const std::string device = mounted_device(mount_point_);
    if (device.empty()) return;
    std::ofstream setting("/sys/class/bdi/" + device + "/read_ahead_kb");
    setting << kKernelReadAheadKib;
  }

 private:
  fuse_session* const session_;
  KernelRequests& requests_;
  const std::string mount_point_;
  bool mounted_ = false;
  pthread_t server_{};
  std::atomic<bool> serving_{false};
  std::atomic<bool> asked_to_end_{false};
};

}  // namespace

Result<std::unique_ptr<KernelSession>> KernelSession::mount(const MountOptions& options,
                                                            KernelRequests& requests) {
  fuse_set_log_func(take_library_message);
  std::vector<std::string> words = library_arguments(options);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  fuse_args arguments{static_cast<int>(pointers.size()), pointers.data(), 0};
  fuse_session* session =
      fuse_session_new(&arguments, &kernel_operations(), sizeof kernel_operations(), &requests);
  fuse_opt_free_args(&arguments);
  if (session == nullptr) {
    return Error{std::errc::invalid_argument, "libfuse refused the mount options"};
  }
  auto mounted =
      std::make_unique<LibrarySession>(session, requests, options.mount_point.string());
  if (auto done = mounted->mount(); !done) return done.error();
  return std::unique_ptr<KernelSession>(std::move(mounted));
}

}  // namespace skein
