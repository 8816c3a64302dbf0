// A connection to the Avahi daemon that is made again whenever it breaks: the daemon or the bus may
// be absent at the start, come later, stop and come back. Everything of Avahi runs on one thread,
// the loop's, which calls the functions below; so they need no lock among themselves.
//
// The destructor frees what the client holds (which sends goodbyes) and joins. A daemon that is
// stopped, neither dead nor answering, holds its caller for up to D-Bus's own limit of 25 s a call:
// Avahi's client has no other deadline.
#pragma once

#include <avahi-client/client.h>
#include <avahi-common/simple-watch.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "core/clock.h"

namespace skein {

class AvahiLoop {
 public:
  struct Events {
    // The daemon is there: make browsers and groups. False: that failed, begin again.
    std::function<bool(AvahiClient*)> running;
    // The daemon is there, but its host name is unsettled: take published records back.
    std::function<void()> unsettled;
    // The client is about to be freed, with all that was made from it: forget it.
    std::function<void()> lost;
    // There is no daemon; said again after each loss.
    std::function<void()> absent;
    // After every turn of the loop, at least every kLongestTurn.
    std::function<void()> turn;
  };
  static constexpr std::chrono::milliseconds kLongestTurn{200};
  // Between two tries to reach a bus that is not there, or a client that failed.
  static constexpr std::chrono::milliseconds kRetry{500};

  // `owner` names the purpose in log lines.
  AvahiLoop(std::string owner, Events events);
  ~AvahiLoop();
  AvahiLoop(const AvahiLoop&) = delete;
  AvahiLoop& operator=(const AvahiLoop&) = delete;

  // From the loop's thread: what the client holds is broken, begin again with a new one.
  void begin_again() { broken_ = true; }

 private:
  struct FreePoll {
    void operator()(AvahiSimplePoll* poll) const { avahi_simple_poll_free(poll); }
  };

  void run(std::stop_token stop);
  // One client from birth to loss.
  void live(const std::stop_token& stop);
  void pause(const std::stop_token& stop);
  void state_changed(AvahiClient* client, AvahiClientState state);
  void say_absent(const char* why);

  const std::string owner_;
  const Events events_;
  const std::unique_ptr<AvahiSimplePoll, FreePoll> poll_;

  // The loop's thread only.
  bool broken_ = false;
  bool was_absent_ = false;  // so that it is logged once

  std::mutex mutex_;
  std::condition_variable_any stopping_;  // for pause()
  std::jthread thread_;
};

}  // namespace skein
