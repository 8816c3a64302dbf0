#include "streamer/node_stream.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "client/same_bytes.h"
#include "core/http_body.h"
#include "core/socket.h"

namespace skein {
namespace {

// One system call takes so many files or bytes: enough that small frames cost no call of their own.
constexpr std::size_t kBatchFiles = 64;
constexpr std::uint64_t kBatchBytes = 1 << 20;
constexpr std::chrono::milliseconds kFirstBackOff{20};
constexpr std::chrono::milliseconds kMostBackOff{500};
// How often a thread that waits for the network looks whether it should stop.
constexpr std::chrono::milliseconds kLook{100};

// Sends heads and bodies of `batch` in as few calls as the socket takes.
Result<void> send_batch(int socket, const std::vector<OutgoingPtr>& batch,
                        std::chrono::milliseconds stall) {
  std::array<iovec, 2 * kBatchFiles> parts;
  std::size_t count = 0;
  for (const OutgoingPtr& file : batch) {
    for (const std::string_view part : {std::string_view(file->head), file->body->text()}) {
      if (!part.empty()) parts[count++] = {const_cast<char*>(part.data()), part.size()};
    }
  }
  std::size_t first = 0;
  while (first < count) {
    msghdr message{};
    message.msg_iov = &parts[first];
    message.msg_iovlen = count - first;
    const ssize_t n = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return errno_error(errno, "send");
      if (auto ready = wait_ready(socket, POLLOUT, Deadline::after(stall)); !ready) return ready;
      continue;
    }
    auto sent = static_cast<std::size_t>(n);
    while (first < count && sent >= parts[first].iov_len) sent -= parts[first++].iov_len;
    if (first < count) {
      parts[first].iov_base = static_cast<char*>(parts[first].iov_base) + sent;
      parts[first].iov_len -= sent;
    }
  }
  return {};
}

}  // namespace

NodeStream::NodeStream(Node node, NodeClient& client, Options options, Events events)
    : node_(std::move(node)),
      client_(client),
      options_(options),
      events_(std::move(events)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

NodeStream::~NodeStream() {
  thread_.request_stop();
  changed_.notify_all();
}

bool NodeStream::push(const OutgoingPtr& file) {
  {
    const std::lock_guard lock(mutex_);
    if (given_up_) return false;
    // A node with nothing to answer is not a silent one.
    if (waiting_.empty() && unanswered_.empty()) last_answer_ = std::chrono::steady_clock::now();
    waiting_.push_back(file);
    pending_bytes_ += file->size_bytes();
  }
  changed_.notify_all();
  return true;
}

bool NodeStream::given_up() const {
  const std::lock_guard lock(mutex_);
  return given_up_;
}

std::uint64_t NodeStream::pending_bytes() const {
  const std::lock_guard lock(mutex_);
  return pending_bytes_;
}

std::uint64_t NodeStream::offered_again() const {
  const std::lock_guard lock(mutex_);
  return offered_again_;
}

void NodeStream::run(const std::stop_token& stop) {
  {
    const std::lock_guard lock(mutex_);
    last_answer_ = std::chrono::steady_clock::now();
  }
  auto back_off = kFirstBackOff;
  while (!stop.stop_requested()) {
    auto socket = connect_tcp(node_.address, Deadline::after(options_.stall));
    const Error trouble = socket ? converse(std::move(*socket), stop) : socket.error();
    std::unique_lock lock(mutex_);
    if (stop.stop_requested()) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_answer_ > options_.give_up) {
      lock.unlock();
      return give_up(trouble);
    }
    const bool answered_lately = now - last_answer_ < back_off;
    back_off = answered_lately ? kFirstBackOff : std::min(back_off * 2, kMostBackOff);
    changed_.wait_for(lock, stop, back_off, [] { return false; });
  }
}

Error NodeStream::converse(Fd socket, const std::stop_token& stop) {
  {
    const std::lock_guard lock(mutex_);
    broken_ = false;
  }
  HttpStream stream(std::move(socket));
  {
    const std::jthread reader([&] { read_answers(stream.fd(), stop); });
    send_all(stream, stop);
    // Wakes the reader out of recv; its own descriptor is a duplicate of this one.
    ::shutdown(stream.fd(), SHUT_RDWR);
  }
  offer_again();
  const std::lock_guard lock(mutex_);
  return trouble_;
}

std::vector<OutgoingPtr> NodeStream::next_batch(const std::stop_token& stop) {
  std::vector<OutgoingPtr> batch;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop, [&] { return broken_ || !waiting_.empty(); });
  if (broken_ || stop.stop_requested()) return batch;
  std::uint64_t bytes = 0;
  while (!waiting_.empty() && batch.size() < kBatchFiles && bytes < kBatchBytes) {
    bytes += waiting_.front()->size_bytes();
    batch.push_back(waiting_.front());
    unanswered_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return batch;
}

void NodeStream::send_all(HttpStream& stream, const std::stop_token& stop) {
  for (;;) {
    const std::vector<OutgoingPtr> batch = next_batch(stop);
    if (batch.empty()) return;
    changed_.notify_all();  // the reader has something to wait for
    if (auto sent = send_batch(stream.fd(), batch, options_.stall); !sent) {
      break_off(sent.error(), stream.fd());
      return;
    }
  }
}

bool NodeStream::wait_for_answer(int socket, const std::stop_token& stop) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&] { return broken_ || !unanswered_.empty(); });
    if (broken_ || stop.stop_requested()) return false;
  }
  const auto deadline = Deadline::after(options_.stall);
  for (;;) {
    const auto ready = wait_ready(socket, POLLIN, deadline.earlier(Deadline::after(kLook)));
    if (ready) return true;
    if (stop.stop_requested()) return false;
    if (deadline.passed()) {
      break_off({std::errc::timed_out, "no answer in time"}, socket);
      return false;
    }
  }
}

void NodeStream::read_answers(int socket, const std::stop_token& stop) {
  HttpStream answers{Fd(::dup(socket))};
  while (!answers.buffered().empty() || wait_for_answer(answers.fd(), stop)) {
    const auto deadline = Deadline::after(options_.stall);
    const auto text = answers.read_head(deadline);
    if (!text || !*text) {
      break_off(text ? Error{std::errc::connection_reset, "node closed the connection"}
                     : text.error(),
                socket);
      return;
    }
    const auto head = ResponseHead::parse(**text, "PUT");
    if (!head) return break_off(head.error(), socket);
    BodyReader body(answers, head->framing());
    std::array<char, 512> ignored;
    while (!body.done()) {
      if (auto n = body.read(ignored, deadline); !n) return break_off(n.error(), socket);
    }
    if (head->status() == 100) continue;
    OutgoingPtr file;
    {
      const std::lock_guard lock(mutex_);
      if (!unanswered_.empty()) {
        file = std::move(unanswered_.front());
        unanswered_.pop_front();
        pending_bytes_ -= file->size_bytes();
        last_answer_ = std::chrono::steady_clock::now();
      }
    }
    if (!file) return break_off({std::errc::bad_message, "answer to nothing asked"}, socket);
    settle(std::move(file), head->status());
    if (!head->keep_alive()) {
      return break_off({std::errc::connection_reset, "node closed the connection"}, socket);
    }
  }
}

void NodeStream::settle(OutgoingPtr file, int status) {
  if (status == 200 || status == 201 || status == 204) return events_.stored(std::move(file), node_);
  if (status == 405) return settle_taken(std::move(file));
  const std::string what = "PUT " + file->path.text() + " on " + node_.label() + ": ";
  if (status == 507 || status >= 500) {
    const Error why = status == 507 ? Error{std::errc::no_space_on_device, what + "no space left"}
                                    : Error{std::errc::io_error, what + "status " + std::to_string(status)};
    file->refused_by.push_back(node_.key());
    file->last_trouble = why.what;
    return events_.returned({std::move(file)}, why);
  }
  events_.failed(std::move(file), {std::errc::invalid_argument, what + "status " + std::to_string(status)});
}

// 405: somebody has the name. After an unclear failure it may be our own first try.
void NodeStream::settle_taken(OutgoingPtr file) {
  const std::string what = "PUT " + file->path.text() + " on " + node_.label();
  if (file->unclear) {
    const PutBody body = file->body->bytes();
    const auto same = same_bytes(client_, node_, file->path, body);
    if (same && *same == Sameness::kSame) return events_.stored(std::move(file), node_);
    if (!same) {
      file->refused_by.push_back(node_.key());
      file->last_trouble = what + ": " + same.error().what;
      return events_.returned({std::move(file)}, same.error());
    }
  }
  events_.failed(std::move(file), {std::errc::file_exists, what + ": file exists"});
}

void NodeStream::break_off(Error why, int socket) {
  {
    const std::lock_guard lock(mutex_);
    if (!broken_) trouble_ = std::move(why);
    broken_ = true;
  }
  ::shutdown(socket, SHUT_RDWR);
  changed_.notify_all();
}

void NodeStream::offer_again() {
  const std::lock_guard lock(mutex_);
  offered_again_ += unanswered_.size();
  while (!unanswered_.empty()) {
    unanswered_.back()->unclear = true;
    waiting_.push_front(std::move(unanswered_.back()));
    unanswered_.pop_back();
  }
}

void NodeStream::give_up(const Error& why) {
  std::vector<OutgoingPtr> all;
  {
    const std::lock_guard lock(mutex_);
    given_up_ = true;
    all.assign(waiting_.begin(), waiting_.end());
    waiting_.clear();
    pending_bytes_ = 0;
  }
  const Error trouble{why.code, node_.label() + ": " + why.what};
  for (const OutgoingPtr& file : all) {
    file->refused_by.push_back(node_.key());
    file->last_trouble = trouble.what;
  }
  events_.returned(std::move(all), trouble);
}

}  // namespace skein
