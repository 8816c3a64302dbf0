#include "dataserver/peer_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <utility>

namespace skein {
namespace {

// What epoll carries for the three descriptors that are no peers; ids of peers come after.
constexpr std::uint64_t kListener = 0;
constexpr std::uint64_t kDue = 1;
constexpr std::uint64_t kExit = 2;

// How late a deadline may be noticed. It also paces new attempts to accept when the process is out
// of descriptors.
constexpr std::chrono::milliseconds kSweep{50};

bool has_input(int socket) {
  int bytes = 0;
  return ::ioctl(socket, FIONREAD, &bytes) == 0 && bytes > 0;
}

}  // namespace

Result<std::unique_ptr<PeerLoop>> PeerLoop::start(Fd listener, Options options, Welcome welcome,
                                                  TurnAway turn_away) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  Fd due(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  Fd exit(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll || !due || !exit) return errno_error(errno, "epoll");
  const auto watch = [&](int fd, std::uint32_t events, std::uint64_t what) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = what;
    return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  };
  if (!watch(listener.get(), EPOLLIN | EPOLLET, kListener) ||
      !watch(due.get(), EPOLLIN | EPOLLET, kDue) ||
      !watch(exit.get(), EPOLLIN, kExit)) {
    return errno_error(errno, "epoll_ctl");
  }
  std::unique_ptr<PeerLoop> loop(new PeerLoop(std::move(listener), std::move(epoll), std::move(due),
                                              std::move(exit), options, std::move(welcome),
                                              std::move(turn_away)));
  loop->start_threads();
  return loop;
}

PeerLoop::PeerLoop(Fd listener, Fd epoll, Fd due, Fd exit, Options options, Welcome welcome,
                   TurnAway turn_away)
    : options_(options),
      welcome_(std::move(welcome)),
      turn_away_(std::move(turn_away)),
      listener_(std::move(listener)),
      epoll_(std::move(epoll)),
      due_event_(std::move(due)),
      exit_event_(std::move(exit)),
      last_id_(kExit) {}

void PeerLoop::start_threads() {
  for (std::size_t i = 0; i < options_.threads; ++i) workers_.emplace_back([this] { work(); });
  sweeper_ = std::jthread([this](std::stop_token stop) { sweep(stop); });
}

PeerLoop::~PeerLoop() {
  sweeper_.request_stop();
  exiting_ = true;
  const std::uint64_t one = 1;
  // An eventfd that is never read wakes every thread there is. It cannot be full.
  [[maybe_unused]] const ssize_t written = ::write(exit_event_.get(), &one, sizeof one);
  workers_.clear();
}

std::size_t PeerLoop::peers() const {
  const std::lock_guard lock(mutex_);
  return slots_.size();
}

std::size_t PeerLoop::due() const {
  const std::lock_guard lock(mutex_);
  return due_.size() + woken_.size();
}

void PeerLoop::stop(Deadline deadline) {
  accepting_ = false;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.get(), nullptr);
  // Who connects from now on is refused at once, not left waiting in the backlog.
  ::shutdown(listener_.get(), SHUT_RDWR);
  draining_ = true;
  std::vector<std::unique_ptr<Peer>> closing;
  std::unique_lock lock(mutex_);
  for (auto it = idle_.begin(); it != idle_.end();) {
    const Id id = *it++;
    // What has arrived is served; its event is on the way.
    if (!has_input(slots_.at(id).peer->fd())) closing.push_back(remove(id));
  }
  lock.unlock();
  closing.clear();
  lock.lock();
  all_gone_.wait_until(lock, deadline.when(), [this] { return slots_.empty(); });
}

void PeerLoop::wake() {
  {
    const std::lock_guard lock(mutex_);
    ++wakes_;
    woken_.insert(woken_.end(), wakeable_.begin(), wakeable_.end());
    wakeable_.clear();
    if (woken_.empty()) return;
  }
  tell_of_due();
}

void PeerLoop::work() {
  Workbench bench;
  while (!exiting_) {
    epoll_event event{};
    const int n = ::epoll_wait(epoll_.get(), &event, 1, -1);
    if (n <= 0 || event.data.u64 == kExit) continue;
    if (event.data.u64 == kListener) {
      accept_all();
    } else if (event.data.u64 == kDue) {
      if (const auto id = take_due()) give_turn(*id, bench);
      serve_woken(bench);
    } else {
      give_turn(event.data.u64, bench);
    }
  }
}

// The disk is slow now and then, so peers with a deadline are looked through at a fixed pace; a
// heap of deadlines would be touched at every turn.
void PeerLoop::sweep(std::stop_token stop) {
  std::mutex pause_mutex;
  std::condition_variable_any pause;
  while (!stop.stop_requested()) {
    std::unique_lock pause_lock(pause_mutex);
    pause.wait_for(pause_lock, stop, kSweep, [] { return false; });
    empty_lobby();
    if (accepting_) accept_all();
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    if (!woken_.empty()) {
      ++most_serving_;
      tell_of_due();
    }
    for (auto& [id, slot] : slots_) {
      if (slot.running || !slot.deadline || *slot.deadline > now) continue;
      slot.deadline.reset();
      make_due(id);
    }
  }
}

void PeerLoop::accept_all() {
  while (accepting_) {
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket && make_place()) {
      admit(std::move(socket));
      continue;
    }
    if (socket) {
      std::unique_lock lock(mutex_);
      if (lobby_.size() < kLobbyPlaces) {
        lobby_.emplace_back(std::move(socket), std::chrono::steady_clock::now());
      } else {
        lock.unlock();
        turn_away_(socket.get());
      }
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    const bool out_of_descriptors = errno == EMFILE || errno == ENFILE;
    std::unique_ptr<Peer> closing;
    if (out_of_descriptors) {
      const std::lock_guard lock(mutex_);
      closing = take_longest_idle();
    }
    if (!closing) return;  // the sweeper tries again
  }
}

// True if there is room for one more, after closing the longest idle peer if need be.
bool PeerLoop::make_place() {
  std::unique_ptr<Peer> closing;
  const std::lock_guard lock(mutex_);
  if (slots_.size() < options_.max_peers) return true;
  closing = take_longest_idle();
  return closing != nullptr;
}

void PeerLoop::empty_lobby() {
  for (;;) {
    std::pair<Fd, TimePoint> first;
    {
      const std::lock_guard lock(mutex_);
      if (lobby_.empty()) return;
      first = std::move(lobby_.front());
      lobby_.pop_front();
    }
    if (make_place()) {
      admit(std::move(first.first));
    } else if (std::chrono::steady_clock::now() - first.second > kLobbyTime) {
      turn_away_(first.first.get());
    } else {
      const std::lock_guard lock(mutex_);
      lobby_.push_front(std::move(first));
      return;
    }
  }
}

void PeerLoop::admit(Fd socket) {
  auto peer = welcome_(std::move(socket));
  if (!peer) return;
  const std::lock_guard lock(mutex_);
  const Id id = ++last_id_;
  Slot& slot = slots_[id];
  slot.peer = std::move(peer);
  slot.idle_since = std::chrono::steady_clock::now();
  insert_idle(id, slot);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.u64 = id;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, slot.peer->fd(), &event);
}

// Turns end a few milliseconds after the last request, and not in the order of the requests.
void PeerLoop::insert_idle(Id id, Slot& slot) {
  auto place = idle_.end();
  while (place != idle_.begin() && slots_.at(*std::prev(place)).idle_since > slot.idle_since) {
    --place;
  }
  slot.idle = true;
  slot.idle_place = idle_.insert(place, id);
}

void PeerLoop::give_turn(Id id, Workbench& bench) {
  Peer* peer = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = slots_.find(id);
    if (found == slots_.end() || found->second.running) return;
    Slot& slot = found->second;
    slot.running = true;
    slot.wakes_before = wakes_;
    slot.deadline.reset();
    if (slot.idle) idle_.erase(slot.idle_place);
    slot.idle = false;
    peer = slot.peer.get();
  }
  const Turn turn = peer->take_turn(bench);
  // Destroyed here, after the lock was let go.
  const std::unique_ptr<Peer> gone = end_turn(id, turn);
}

std::unique_ptr<Peer> PeerLoop::end_turn(Id id, const Turn& turn) {
  const std::lock_guard lock(mutex_);
  Slot& slot = slots_.at(id);
  slot.running = false;
  const bool leaves = draining_ && turn.idle && !has_input(slot.peer->fd());
  if (turn.close || leaves) return remove(id);
  slot.deadline = turn.deadline;
  if (turn.idle) {
    slot.idle_since = turn.idle_since;
    insert_idle(id, slot);
  }
  if (turn.wake && slot.wakes_before == wakes_) wakeable_.push_back(id);
  if (turn.again || (turn.wake && slot.wakes_before != wakes_)) {
    make_due(id);
  } else {
    arm(id, slot, turn);
  }
  return nullptr;
}

void PeerLoop::arm(Id id, const Slot& slot, const Turn& turn) {
  // Who waits for neither would hear of a reset all the same, turn after turn, as the kernel reports
  // that to everybody; not armed again, the socket is silent after one event at most.
  if (!turn.input && !turn.output) return;
  epoll_event event{};
  event.events = EPOLLONESHOT;
  if (turn.input) event.events |= EPOLLIN;
  if (turn.output) event.events |= EPOLLOUT;
  event.data.u64 = id;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, slot.peer->fd(), &event);
}

void PeerLoop::make_due(Id id) {
  due_.push_back(id);
  tell_of_due();
}

// Wakes one thread; it wakes the next if more is due. Were the event to stay until it is read, as
// epoll does by default, all of them would wake each time.
void PeerLoop::tell_of_due() {
  const std::uint64_t one = 1;
  // Never read, and far from full in any life of a server.
  [[maybe_unused]] const ssize_t written = ::write(due_event_.get(), &one, sizeof one);
}

std::optional<PeerLoop::Id> PeerLoop::take_due() {
  Id id = 0;
  bool more = false;
  {
    const std::lock_guard lock(mutex_);
    if (due_.empty()) return std::nullopt;
    id = due_.front();
    due_.pop_front();
    more = !due_.empty() || more_may_serve();
  }
  // Not under the lock: the thread that it wakes takes that at once.
  if (more) tell_of_due();
  return id;
}

void PeerLoop::serve_woken(Workbench& bench) {
  std::unique_lock lock(mutex_);
  if (!more_may_serve()) return;
  ++serving_;
  bool tell = woken_.size() > 1 && more_may_serve();
  while (!woken_.empty() && !exiting_) {
    const Id id = woken_.front();
    woken_.pop_front();
    lock.unlock();
    if (std::exchange(tell, false)) tell_of_due();
    give_turn(id, bench);
    lock.lock();
  }
  --serving_;
  most_serving_ = kServeWoken;
}

std::unique_ptr<Peer> PeerLoop::take_longest_idle() {
  const auto newest = std::chrono::steady_clock::now() - kIdleTime;
  for (const Id id : idle_) {
    const Slot& slot = slots_.at(id);
    if (slot.idle_since > newest) return nullptr;
    // One whose next request has just arrived is not idle.
    if (!has_input(slot.peer->fd())) return remove(id);
  }
  return nullptr;
}

std::unique_ptr<Peer> PeerLoop::remove(Id id) {
  const auto found = slots_.find(id);
  std::unique_ptr<Peer> peer = std::move(found->second.peer);
  if (found->second.idle) idle_.erase(found->second.idle_place);
  slots_.erase(found);
  if (slots_.empty()) all_gone_.notify_all();
  return peer;
}

}  // namespace skein
