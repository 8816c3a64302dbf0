#include "streamer/node_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "client/same_bytes.h"
#include "core/socket.h"
#include "streamer/put_answers.h"
#include "streamer/put_sender.h"

namespace skein {
namespace {

using SteadyClock = std::chrono::steady_clock;

// So many files or bytes are taken out of the line at once: enough that its lock costs nothing.
constexpr std::size_t kBatchFiles = 256;
constexpr std::uint64_t kBatchBytes = 1 << 20;
// A file that arrives damaged so often is not offered to that node any more.
constexpr unsigned kMostDamagedTimes = 3;
constexpr std::chrono::milliseconds kFirstBackOff{20};
constexpr std::chrono::milliseconds kMostBackOff{500};
constexpr std::chrono::milliseconds kFirstRest{1000};
constexpr std::chrono::milliseconds kMostRest{10000};
// What reached the node may still be on its way to its disk: as NodeClient, at 20 MB/s.
constexpr std::uint64_t kSlowDiskBytesPerMs = 20'000;
// How often a thread that connects looks whether it should end.
constexpr std::chrono::milliseconds kLook{50};

}  // namespace

NodeStream::NodeStream(Node node, NodeClient& client, Options options, Events events)
    : node_(std::move(node)),
      client_(client),
      options_(options),
      events_(std::move(events)),
      back_off_(kFirstBackOff),
      rest_(kFirstRest),
      thread_([this] { run(); }) {}

NodeStream::~NodeStream() { end(); }

bool NodeStream::push(const OutgoingPtr& file) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (ending_ || SteadyClock::now() < resting_until_) return false;
    first = waiting_.empty();
    file->damaged_times = 0;
    waiting_.push_back(file);
    waiting_bytes_ += file->size_bytes;
    ++counters_.pending_files;
    counters_.pending_bytes += file->size_bytes;
  }
  if (first) work_.notify_one();
  return true;
}

std::vector<OutgoingPtr> NodeStream::take_waiting(std::uint64_t bytes) {
  std::vector<OutgoingPtr> taken;
  const std::lock_guard lock(mutex_);
  std::uint64_t got = 0;
  while (got < bytes && !waiting_.empty()) {
    got += waiting_.back()->size_bytes;
    taken.push_back(std::move(waiting_.back()));
    waiting_.pop_back();
  }
  waiting_bytes_ -= got;
  counters_.pending_files -= taken.size();
  counters_.pending_bytes -= got;
  return taken;
}

std::vector<OutgoingPtr> NodeStream::end() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
  }
  work_.notify_all();
  {
    const std::lock_guard joining(join_mutex_);
    if (thread_.joinable()) thread_.join();
  }
  const std::lock_guard lock(mutex_);
  std::vector<OutgoingPtr> left(unanswered_.begin(), unanswered_.end());
  left.insert(left.end(), waiting_.begin(), waiting_.end());
  unanswered_.clear();
  waiting_.clear();
  waiting_bytes_ = 0;
  counters_.pending_files = counters_.pending_bytes = 0;
  return left;
}

std::uint64_t NodeStream::pending_bytes() const {
  const std::lock_guard lock(mutex_);
  return counters_.pending_bytes;
}

std::uint64_t NodeStream::waiting_bytes() const {
  const std::lock_guard lock(mutex_);
  return waiting_bytes_;
}

NodeStream::Counters NodeStream::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

void NodeStream::run() {
  while (wait_for_work()) {
    auto socket = connect();
    after_break(socket ? converse(std::move(*socket)) : socket.error());
  }
}

bool NodeStream::wait_for_work() {
  std::unique_lock lock(mutex_);
  if (outage_since_) work_.wait_for(lock, back_off_, [&] { return ending_; });
  work_.wait(lock, [&] { return ending_ || !waiting_.empty(); });
  return !ending_;
}

Result<Fd> NodeStream::connect() {
  Error last{std::errc::host_unreachable, "connect to " + node_.address.text() + ": no address"};
  const auto deadline = Deadline::after(options_.stall);
  for (std::size_t skip = 0;; ++skip) {
    auto fd = begin_connect(node_.address, skip, deadline);
    if (!fd) return skip == 0 ? fd.error() : last;
    Result<void> ready;
    do {
      ready = wait_ready(fd->get(), POLLOUT, deadline.earlier(Deadline::after(kLook)));
      const std::lock_guard lock(mutex_);
      if (ending_) return Error{std::errc::operation_canceled, "the streamer was ended"};
    } while (!ready && !deadline.passed());
    if (!ready) {
      return Error{ready.error().code, "connect to " + node_.address.text() + ": " + ready.error().what};
    }
    auto outcome = connect_outcome(fd->get(), node_.address);
    if (outcome) return fd;
    last = outcome.error();
  }
}

Error NodeStream::converse(Fd socket) {
  // Sending waits in the kernel; receiving (HttpStream) asks for no waiting in each call.
  ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) & ~O_NONBLOCK);
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return trouble_;
    broken_ = sending_ = false;
    socket_ = socket.get();
  }
  {
    const std::jthread reader([&] { read_answers(socket.get()); });
    send_all(socket.get());
    ::shutdown(socket.get(), SHUT_RDWR);  // wakes the reader
  }
  const std::lock_guard lock(mutex_);
  socket_ = -1;
  return trouble_;
}

bool NodeStream::next_batch(std::vector<OutgoingPtr>& batch) {
  batch.clear();
  std::unique_lock lock(mutex_);
  work_.wait(lock, [&] { return broken_ || ending_ || !waiting_.empty(); });
  if (broken_ || ending_) return false;
  sending_ = true;
  if (unanswered_.empty()) progress_ = SteadyClock::now();
  std::uint64_t bytes = 0;
  while (!waiting_.empty() && batch.size() < kBatchFiles && bytes < kBatchBytes) {
    bytes += waiting_.front()->size_bytes;
    batch.push_back(waiting_.front());
    unanswered_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  waiting_bytes_ -= bytes;
  return true;
}

void NodeStream::send_all(int socket) {
  PutSender sender(node_.address);
  std::vector<OutgoingPtr> batch;
  while (next_batch(batch)) {
    if (auto sent = sender.send(socket, batch); !sent) return break_off(sent.error());
    std::uint64_t bytes = 0;
    for (const OutgoingPtr& file : batch) bytes += file->size_bytes;
    const std::lock_guard lock(mutex_);
    sending_ = false;
    counters_.sent_files += batch.size();
    counters_.sent_bytes += bytes;
  }
}

void NodeStream::read_answers(int socket) {
  PutAnswers answers(Fd(::dup(socket)), options_.stall);
  // Often enough to notice a stall soon after it is one; rarely enough to cost nothing.
  const auto look = std::clamp(options_.stall / 10, std::chrono::milliseconds(10),
                               std::chrono::milliseconds(500));
  std::vector<OutgoingPtr> stored;
  for (;;) {
    const auto statuses = answers.receive(look);
    if (!statuses) return break_off(statuses.error());
    for (const int status : *statuses) {
      OutgoingPtr file = take_answered();
      if (!file) return break_off({std::errc::bad_message, "answer to nothing asked"});
      settle(stored, std::move(file), status);
    }
    if (!stored.empty()) events_.stored(stored, node_);
    stored.clear();
    const std::lock_guard lock(mutex_);
    const auto now = SteadyClock::now();
    if (!statuses->empty()) {
      outage_since_.reset();
      back_off_ = kFirstBackOff;
      rest_ = kFirstRest;
    }
    if (!statuses->empty() || answers.delivered_more()) progress_ = now;
    const auto silent = now - progress_;
    // Adding up what is unanswered is left for the rare case.
    const bool awaits_more = sending_ || !unanswered_.empty();
    if (awaits_more && silent > options_.stall && silent > longest_silence()) break;
  }
  {
    const std::lock_guard lock(mutex_);
    if (!outage_since_) outage_since_ = progress_;
  }
  break_off({std::errc::timed_out, "no answer in time"});
}

std::chrono::milliseconds NodeStream::longest_silence() const {
  std::uint64_t bytes = 0;
  for (const OutgoingPtr& file : unanswered_) bytes += file->size_bytes;
  return options_.stall + std::chrono::milliseconds(bytes / kSlowDiskBytesPerMs);
}

OutgoingPtr NodeStream::take_answered() {
  const std::lock_guard lock(mutex_);
  if (unanswered_.empty()) return nullptr;
  OutgoingPtr file = std::move(unanswered_.front());
  unanswered_.pop_front();
  --counters_.pending_files;
  counters_.pending_bytes -= file->size_bytes;
  return file;
}

void NodeStream::settle(std::vector<OutgoingPtr>& stored, OutgoingPtr file, int status) {
  if (status == 200 || status == 201 || status == 204) {
    stored.push_back(std::move(file));
    return;
  }
  if (status == 405) return settle_taken(stored, std::move(file));
  const std::string what = "PUT " + file->path.text() + " on " + node_.label() + ": ";
  // 400: other bytes arrived than the checksum says, maybe. If they do each time, another node, and
  // way, may fare better.
  if (status == 400 && ++file->damaged_times < kMostDamagedTimes) return offer_again(std::move(file));
  if (status < 500 && status != 400) {
    return events_.failed(std::move(file), {std::errc::invalid_argument, what + "status " + std::to_string(status)});
  }
  const Error why = status == 507 ? Error{std::errc::no_space_on_device, what + "no space left"}
                                  : Error{std::errc::io_error, what + "status " + std::to_string(status)};
  file->refused_by.push_back({node_.key(), status != 507 && status != 400});
  file->last_trouble = why.what;
  events_.returned({std::move(file)}, why);
}

void NodeStream::offer_again(OutgoingPtr file) {
  {
    const std::lock_guard lock(mutex_);
    ++counters_.offered_again_files;
    ++counters_.pending_files;
    counters_.pending_bytes += file->size_bytes;
    waiting_bytes_ += file->size_bytes;
    waiting_.push_front(std::move(file));
  }
  work_.notify_one();
}

// 405: somebody has the name. After an unclear failure it may be our own first try.
void NodeStream::settle_taken(std::vector<OutgoingPtr>& stored, OutgoingPtr file) {
  const std::string what = "PUT " + file->path.text() + " on " + node_.label();
  if (file->unclear) {
    const auto same = same_bytes(client_, node_, file->path, file->body->pieces());
    if (same && *same == Sameness::kSame) {
      stored.push_back(std::move(file));
      return;
    }
    if (!same) {
      file->refused_by.push_back({node_.key(), true});
      file->last_trouble = what + ": " + same.error().what;
      return events_.returned({std::move(file)}, same.error());
    }
  }
  events_.failed(std::move(file), {std::errc::file_exists, what + ": file exists"});
}

void NodeStream::break_off(const Error& why) {
  {
    const std::lock_guard lock(mutex_);
    if (!broken_) trouble_ = why;
    broken_ = true;
    if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
  }
  work_.notify_all();
}

void NodeStream::after_break(const Error& why) {
  std::vector<OutgoingPtr> all;
  {
    const std::lock_guard lock(mutex_);
    counters_.offered_again_files += unanswered_.size();
    for (; !unanswered_.empty(); unanswered_.pop_back()) {
      unanswered_.back()->unclear = true;
      waiting_bytes_ += unanswered_.back()->size_bytes;
      waiting_.push_front(std::move(unanswered_.back()));
    }
    if (ending_ || waiting_.empty()) return;
    const auto now = SteadyClock::now();
    if (!outage_since_) outage_since_ = now;
    if (now - *outage_since_ <= options_.give_up) {
      back_off_ = std::min(back_off_ * 2, kMostBackOff);
      return;
    }
    all.assign(waiting_.begin(), waiting_.end());
    waiting_.clear();
    waiting_bytes_ = 0;
    counters_.pending_files = counters_.pending_bytes = 0;
    resting_until_ = now + rest_;
    rest_ = std::min(rest_ * 2, kMostRest);
    outage_since_.reset();
    back_off_ = kFirstBackOff;
  }
  const Error trouble{why.code, node_.label() + ": " + why.what};
  for (const OutgoingPtr& file : all) {
    file->refused_by.push_back({node_.key(), true});
    file->last_trouble = trouble.what;
  }
  events_.returned(std::move(all), trouble);
}

}  // namespace skein
