#include "discovery/avahi_loop.h"

#include <avahi-common/error.h>

#include <cassert>

#include "core/log.h"

#ifdef __SANITIZE_THREAD__
// libdbus takes two locks of one connection in either order. Ours is used by one thread alone.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "deadlock:libdbus-1.so\n"; }
#endif

namespace skein {

AvahiLoop::AvahiLoop(std::string owner, Events events)
    : owner_(std::move(owner)), events_(std::move(events)), poll_(avahi_simple_poll_new()) {
  assert(poll_);  // fails only without memory or descriptors for a pipe
  thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
}

AvahiLoop::~AvahiLoop() {
  thread_.request_stop();
  avahi_simple_poll_wakeup(poll_.get());
}

void AvahiLoop::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    live(stop);
    pause(stop);
  }
}

void AvahiLoop::live(const std::stop_token& stop) {
  broken_ = false;
  int failure = 0;
  const auto changed = [](AvahiClient* client, AvahiClientState state, void* self) {
    static_cast<AvahiLoop*>(self)->state_changed(client, state);
  };
  // NO_FAIL: without a daemon the client waits for it on the bus.
  AvahiClient* const client = avahi_client_new(avahi_simple_poll_get(poll_.get()),
                                               AVAHI_CLIENT_NO_FAIL, changed, this, &failure);
  if (client == nullptr) {
    say_absent(avahi_strerror(failure));
    return;
  }
  while (!stop.stop_requested() && !broken_) {
    const int turn_ms = static_cast<int>(kLongestTurn.count());
    if (avahi_simple_poll_iterate(poll_.get(), turn_ms) != 0) broken_ = true;
    if (!broken_) events_.turn();
  }
  events_.lost();
  avahi_client_free(client);
}

void AvahiLoop::pause(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  stopping_.wait_for(lock, stop, kRetry, [] { return false; });
}

void AvahiLoop::state_changed(AvahiClient* client, AvahiClientState state) {
  switch (state) {
    case AVAHI_CLIENT_S_RUNNING:
      if (was_absent_) log()->info("Avahi daemon is there: for={}", owner_);
      was_absent_ = false;
      if (!events_.running(client)) broken_ = true;
      break;
    case AVAHI_CLIENT_S_REGISTERING:
    case AVAHI_CLIENT_S_COLLISION:
      events_.unsettled();
      break;
    case AVAHI_CLIENT_CONNECTING:
      say_absent("not running");
      break;
    case AVAHI_CLIENT_FAILURE:
      log()->debug("Avahi connection lost: for={} why={}", owner_,
                   avahi_strerror(avahi_client_errno(client)));
      broken_ = true;
      break;
  }
}

void AvahiLoop::say_absent(const char* why) {
  if (!was_absent_) log()->info("no Avahi daemon, waiting for it: for={} why={}", owner_, why);
  was_absent_ = true;
  events_.absent();
}

}  // namespace skein
