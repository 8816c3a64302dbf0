// What the server did since its start, as Prometheus reads it (text format 0.0.4): counters and one
// latency histogram per verb, and gauges that are asked when somebody looks. Counting is a few
// relaxed atomic additions a request. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace skein {

class Metrics {
 public:
  // A closed set, so that clients cannot make up series.
  enum class Verb { kGet, kHead, kPut, kPost, kOptions, kOther };
  static constexpr std::size_t kVerbs = 6;
  static Verb verb_of(std::string_view method);

  void received(std::uint64_t bytes) { add(received_bytes_, bytes); }
  void sent(std::uint64_t bytes) { add(sent_bytes_, bytes); }
  // `took`: from the request's head to the reply being ready, the arrival of the body included.
  // Precondition: 100 <= status < 600.
  void answered(Verb verb, int status, std::chrono::nanoseconds took);

  // `value` is called from any thread until this object ends, never two gauges at once.
  void add_gauge(std::string name, std::string help, std::function<double()> value);

  std::string text() const;

 private:
  using Counter = std::atomic<std::uint64_t>;
  static void add(Counter& counter, std::uint64_t by) {
    counter.fetch_add(by, std::memory_order_relaxed);
  }

  struct Gauge {
    std::string name;
    std::string help;
    std::function<double()> value;
  };
  // Upper bounds in seconds: a cached listing takes 20 us, a large body as long as its network.
  static constexpr std::array<double, 10> kBounds = {0.0001, 0.0003, 0.001, 0.003, 0.01,
                                                     0.03,   0.1,    1,     10,    60};
  static constexpr int kFirstStatus = 100;
  static constexpr std::size_t kStatuses = 500;

  struct PerVerb {
    std::array<Counter, kStatuses> by_status{};
    std::array<Counter, kBounds.size() + 1> by_bound{};  // the last: beyond all bounds
    Counter took_ns = 0;
  };
  void append_requests(std::string& out) const;
  void append_latency(std::string& out) const;

  std::array<PerVerb, kVerbs> verbs_{};
  Counter received_bytes_ = 0;
  Counter sent_bytes_ = 0;

  mutable std::mutex mutex_;  // guards the gauges; held while they are asked, which is quick
  std::vector<Gauge> gauges_;
};

}  // namespace skein
