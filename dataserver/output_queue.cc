#include "dataserver/output_queue.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace skein {
namespace {

// Small texts are gathered up to this before a new item is begun.
constexpr std::size_t kGatherBytes = 64 * 1024;
constexpr std::size_t kMaxParts = 64;  // of one sendmsg(2)

}  // namespace

OutputQueue::Item& OutputQueue::append_item() {
  Item& item = items_.emplace_back();
  item.ticket = required_;
  return item;
}

void OutputQueue::add(std::string_view text) {
  // An empty item would be sent as nothing, and nothing sent means a file that ended early.
  if (text.empty()) return;
  bytes_ += text.size();
  const bool gather = !items_.empty() && !items_.back().shared && !items_.back().file.fd.valid() &&
                      items_.back().ticket == required_ &&
                      items_.back().text.size() + text.size() <= kGatherBytes;
  if (!gather) append_item();
  items_.back().text.append(text);
}

void OutputQueue::add(std::shared_ptr<const std::string> text) {
  if (text->empty()) return;
  append_item().shared = std::move(text);
  ++large_items_;
}

void OutputQueue::add(FilePart file) {
  if (file.length == 0) return;
  append_item().file = std::move(file);
  ++large_items_;
}

void OutputQueue::clear() {
  items_.clear();
  bytes_ = 0;
  large_items_ = 0;
}

void OutputQueue::drop_first() {
  const Item& first = items_.front();
  if (first.shared || first.file.fd.valid()) --large_items_;
  bytes_ -= first.text.size();
  items_.pop_front();
}

ssize_t OutputQueue::send_texts(int socket, std::uint64_t released) {
  std::array<iovec, kMaxParts> parts;
  std::size_t count = 0;
  for (const Item& item : items_) {
    if (item.file.fd.valid() || item.ticket > released || count == parts.size()) break;
    const std::string_view rest = item.view().substr(item.sent);
    parts[count++] = {const_cast<char*>(rest.data()), rest.size()};
  }
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = count;
  // The head of a file's reply waits for the file's first bytes.
  const bool file_next = count < items_.size() && items_[count].file.fd.valid() &&
                         items_[count].ticket <= released;
  const int more = file_next ? MSG_MORE : 0;
  const ssize_t sent = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL | more);
  for (ssize_t left = sent; left > 0;) {
    Item& first = items_.front();
    const auto rest = static_cast<ssize_t>(first.view().size() - first.sent);
    first.sent += static_cast<std::size_t>(std::min(left, rest));
    if (left >= rest) drop_first();
    left -= rest;
  }
  return sent;
}

ssize_t OutputQueue::send_file(int socket) {
  FilePart& file = items_.front().file;
  auto offset = static_cast<off_t>(file.offset);
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(file.length, kTurnBytes));
  const ssize_t sent = ::sendfile(socket, file.fd.get(), &offset, most);
  if (sent > 0) {
    file.offset += static_cast<std::uint64_t>(sent);
    file.length -= static_cast<std::uint64_t>(sent);
    if (file.length == 0) drop_first();
  }
  return sent;
}

OutputQueue::Flush OutputQueue::flush(int socket, std::uint64_t released) {
  const std::uint64_t turn_ends = sent_bytes_ + kTurnBytes;
  while (!items_.empty()) {
    if (sent_bytes_ >= turn_ends) return Flush::kTurn;
    const Item& first = items_.front();
    if (first.ticket > released) return Flush::kHeld;
    const ssize_t n = first.file.fd.valid() ? send_file(socket) : send_texts(socket, released);
    if (n > 0) {
      sent_bytes_ += static_cast<std::uint64_t>(n);
    } else if (n == 0) {
      return Flush::kCut;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return Flush::kBlocked;
    } else if (errno != EINTR) {
      return Flush::kBroken;
    }
  }
  return Flush::kDone;
}

}  // namespace skein
