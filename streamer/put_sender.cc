#include "streamer/put_sender.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>

#include "core/checksum.h"

namespace skein {
namespace {

// One system call takes so many files: enough that small frames cost no call of their own.
constexpr std::size_t kPartsPerFile = 3;
constexpr std::size_t kFilesAtOnce = 1024 / kPartsPerFile;  // UIO_MAXIOV
// What is summed up and sent at once stays in the processor's own cache in between.
constexpr std::uint64_t kBytesAtOnce = 256 << 10;

Result<void> send_parts(int socket, std::span<iovec> parts) {
  while (!parts.empty()) {
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const ssize_t n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno_error(errno, "send");
    }
    auto sent = static_cast<std::size_t>(n);
    while (!parts.empty() && sent >= parts.front().iov_len) {
      sent -= parts.front().iov_len;
      parts = parts.subspan(1);
    }
    if (!parts.empty()) {
      parts.front().iov_base = static_cast<char*>(parts.front().iov_base) + sent;
      parts.front().iov_len -= sent;
    }
  }
  return {};
}

}  // namespace

PutSender::PutSender(const NodeAddress& node)
    : host_line_("Host: " + node.text() + "\r\n\r\n"), heads_(kFilesAtOnce) {}

void PutSender::compose_head(OutgoingFile& file, std::string& head) const {
  head = "PUT ";
  head += file.path.target();
  head += " HTTP/1.1\r\nContent-Length: ";
  head += std::to_string(file.size_bytes);
  if (file.checksum.any()) {
    head += "\r\nRepr-Digest: ";
    head += checksum_field(file.checksum.of(*file.body));
  }
  head += "\r\n";
  head += host_line_;
}

Result<void> PutSender::send(int socket, std::span<const OutgoingPtr> files) {
  std::array<iovec, kPartsPerFile * kFilesAtOnce> parts;
  while (!files.empty()) {
    std::size_t count = 0;
    const auto add = [&](std::span<const char> part) {
      if (!part.empty()) parts[count++] = {const_cast<char*>(part.data()), part.size()};
    };
    std::size_t taken = 0;
    for (std::uint64_t bytes = 0;
         taken < files.size() && taken < kFilesAtOnce && bytes < kBytesAtOnce; ++taken) {
      OutgoingFile& file = *files[taken];
      compose_head(file, heads_[taken]);
      add(heads_[taken]);
      for (const auto piece : file.body->pieces()) add(piece);
      bytes += file.size_bytes;
    }
    if (auto sent = send_parts(socket, std::span(parts).first(count)); !sent) return sent;
    files = files.subspan(taken);
  }
  return {};
}

}  // namespace skein
