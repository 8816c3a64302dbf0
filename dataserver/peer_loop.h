// Gives a bounded number of threads to any number of clients: epoll(7) tells who is ready, a thread
// lets that peer take a turn, and a peer that waits holds no thread. When the limit of clients is
// reached the longest idle one is closed for a new one; if none is idle, the new one waits
// kLobbyTime for that and is then turned away.
// Owns the listener, the peers and the threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/fd.h"
#include "dataserver/peer.h"

namespace skein {

class PeerLoop {
 public:
  static constexpr std::chrono::milliseconds kLobbyTime{500};
  static constexpr std::size_t kLobbyPlaces = 1024;
  // Not idle yet is who had a request this short a time ago: the next one may be on its way.
  static constexpr std::chrono::milliseconds kIdleTime{20};

  struct Options {
    std::size_t threads = 64;
    std::size_t max_peers = 12000;
  };
  // Makes the peer of a new connection; null refuses it.
  using Welcome = std::function<std::unique_ptr<Peer>(Fd socket)>;
  // Says something short to a client for whom there is no room, without waiting.
  using TurnAway = std::function<void(int socket)>;

  // `listener` is non-blocking. Errors: as epoll_create(2); std::system_error, as
  // std::thread.
  static Result<std::unique_ptr<PeerLoop>> start(Fd listener, Options options, Welcome welcome,
                                                 TurnAway turn_away);
  // Closes all peers as they are.
  ~PeerLoop();

  // Stops accepting, closes idle peers, lets the others come to the end of what they do until the
  // deadline. To be called once, not from a peer.
  void stop(Deadline deadline);

  // Gives a turn to every peer that waits for it (Turn::wake), also one that was about to.
  void wake();

  std::size_t peers() const;
  // Peers that wait for a thread, beside those that epoll holds ready.
  std::size_t due() const;

 private:
  using Id = std::uint64_t;
  // Who is woken is so with many others, and for a short turn: a name is given, a reply sent. So
  // many threads give those their turns, one after another: a thread for each costs more than the
  // turns. If these are held up for kSweep, one more comes, and so on.
  static constexpr std::size_t kServeWoken = 2;
  struct Slot {
    std::unique_ptr<Peer> peer;
    bool running = false;  // a thread has it
    std::optional<TimePoint> deadline;
    std::list<Id>::iterator idle_place;
    bool idle = false;
    TimePoint idle_since;
    std::uint64_t wakes_before = 0;  // wake() calls when the turn began
  };

  PeerLoop(Fd listener, Fd epoll, Fd due, Fd exit, Options options, Welcome welcome,
           TurnAway turn_away);
  void start_threads();
  void work();
  void sweep(std::stop_token stop);
  void accept_all();
  void admit(Fd socket);
  bool make_place();
  void empty_lobby();
  void insert_idle(Id id, Slot& slot);
  void give_turn(Id id, Workbench& bench);
  std::unique_ptr<Peer> end_turn(Id id, const Turn& turn);
  void arm(Id id, const Slot& slot, const Turn& turn);
  void make_due(Id id);
  void tell_of_due();
  std::optional<Id> take_due();
  void serve_woken(Workbench& bench);
  bool more_may_serve() const { return !woken_.empty() && serving_ < most_serving_; }
  std::unique_ptr<Peer> take_longest_idle();
  std::unique_ptr<Peer> remove(Id id);

  const Options options_;
  const Welcome welcome_;
  const TurnAway turn_away_;
  const Fd listener_;
  const Fd epoll_;
  const Fd due_event_;   // tells that something is due
  const Fd exit_event_;
  std::atomic<bool> accepting_ = true;
  std::atomic<bool> draining_ = false;
  std::atomic<bool> exiting_ = false;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable all_gone_;
  std::unordered_map<Id, Slot> slots_;
  std::list<Id> idle_;  // longest idle first
  std::vector<Id> wakeable_;  // those that wait for wake(); some may be gone
  std::uint64_t wakes_ = 0;
  std::deque<Id> due_;    // to be given a turn without an event
  std::deque<Id> woken_;  // the same, by wake()
  std::size_t serving_ = 0;  // threads that give these their turns
  std::size_t most_serving_ = kServeWoken;
  std::deque<std::pair<Fd, TimePoint>> lobby_;  // accepted, without a place; when it came
  Id last_id_;

  std::jthread sweeper_;
  std::vector<std::jthread> workers_;
};

}  // namespace skein
