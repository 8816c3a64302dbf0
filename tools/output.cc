#include "tools/output.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "tools/printable.h"

namespace skein {

void Output::write(std::string_view data) {
  if (buffer_.size() + data.size() > kBufferBytes) {
    write_out(buffer_);
    buffer_.clear();
    if (data.size() >= kBufferBytes) return write_out(data);
  }
  buffer_ += data;
}

std::string Output::name(std::string_view text) const {
  return is_terminal() ? printable(text) : std::string(text);
}

bool Output::is_terminal() const { return ::isatty(fd_) == 1; }

Result<void> Output::flush() {
  write_out(buffer_);
  buffer_.clear();
  if (error_ != 0) return errno_error(error_, "standard output");
  return {};
}

void Output::write_out(std::string_view data) {
  while (!data.empty() && error_ == 0) {
    const ssize_t written = ::write(fd_, data.data(), data.size());
    if (written >= 0) {
      data.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      // A reader shares the descriptor and made it non-blocking; it is the user who stops us.
      pollfd ready{fd_, POLLOUT, 0};
      ::poll(&ready, 1, 1000);
    } else if (errno == EPIPE) {
      ::signal(SIGPIPE, SIG_DFL);
      ::raise(SIGPIPE);
      error_ = EPIPE;  // where SIGPIPE is blocked
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
}

}  // namespace skein
