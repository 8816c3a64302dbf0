#include "client/connection_pool.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace skein {
namespace {

// Between two requests a peer has nothing to say: a byte would be taken for the next reply.
bool is_quiet(const HttpStream& stream) {
  char byte;
  const ssize_t n = ::recv(stream.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace

void ConnectionPool::drop_unused(TimePoint now, Streams& closed) {
  const auto first_kept = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return now - kept.since < options_.unused_for;
  });
  for (auto old = kept_.begin(); old != first_kept; ++old) closed.push_back(std::move(old->stream));
  kept_.erase(kept_.begin(), first_kept);
}

std::unique_ptr<HttpStream> ConnectionPool::take(const NodeAddress& address) {
  Streams closed;  // destroyed after the lock is released
  for (;;) {
    std::unique_ptr<HttpStream> stream;
    {
      const std::lock_guard lock(mutex_);
      drop_unused(options_.now(), closed);
      const auto found = std::find_if(kept_.rbegin(), kept_.rend(),
                                      [&](const Kept& kept) { return kept.address == address; });
      if (found == kept_.rend()) return nullptr;
      stream = std::move(found->stream);
      kept_.erase(std::next(found).base());
    }
    if (is_quiet(*stream)) return stream;
  }
}

void ConnectionPool::keep(const NodeAddress& address, std::unique_ptr<HttpStream> stream) {
  if (!stream->buffered().empty()) return;
  Streams closed;  // destroyed after the lock is released
  const std::lock_guard lock(mutex_);
  const TimePoint now = options_.now();
  drop_unused(now, closed);
  const auto same = [&](const Kept& kept) { return kept.address == address; };
  const auto of_node =
      static_cast<std::size_t>(std::count_if(kept_.begin(), kept_.end(), same));
  auto surplus = kept_.end();
  if (of_node >= options_.most_per_node) {
    surplus = std::find_if(kept_.begin(), kept_.end(), same);
  } else if (kept_.size() >= options_.most_in_total) {
    surplus = kept_.begin();
  }
  if (surplus != kept_.end()) {
    closed.push_back(std::move(surplus->stream));
    kept_.erase(surplus);
  }
  kept_.push_back({address, std::move(stream), now});
}

std::size_t ConnectionPool::size() const {
  const std::lock_guard lock(mutex_);
  return kept_.size();
}

}  // namespace skein
