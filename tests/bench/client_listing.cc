// How long one union listing takes, three ways: asked of all nodes from the calling thread
// (client/ask.h), by a kept thread for each node, and one node after the other.
//
// usage: bench-client-listing PATH NODE-URL...
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "client/union_listing.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

constexpr int kRounds = 1000;
constexpr auto kTimeout = 5s;

// A thread that runs one job at a time for the caller.
class Worker {
 public:
  Worker() : thread_([this](std::stop_token stop) { run(stop); }) {}

  void begin(std::function<void()> job) {
    {
      const std::lock_guard lock(mutex_);
      job_ = std::move(job);
    }
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !job_; });
  }

 private:
  void run(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return static_cast<bool>(job_); })) {
      lock.unlock();
      job_();
      lock.lock();
      job_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;  // guards everything below
  std::condition_variable_any changed_;
  std::function<void()> job_;
  std::jthread thread_;
};

void measure(const char* name, const std::function<bool()>& round) {
  std::vector<double> us;
  for (int i = 0; i < kRounds + 100; ++i) {
    const auto before = std::chrono::steady_clock::now();
    if (!round()) {
      std::fprintf(stderr, "bench-client-listing: a node did not answer\n");
      std::exit(1);
    }
    const auto took = std::chrono::steady_clock::now() - before;
    if (i >= 100) us.push_back(std::chrono::duration<double, std::micro>(took).count());
  }
  std::sort(us.begin(), us.end());
  std::printf("%-28s median %7.1f us   p99 %7.1f us\n", name, us[us.size() / 2],
              us[us.size() * 99 / 100]);
}

int run(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: bench-client-listing PATH NODE-URL...\n");
    return 2;
  }
  const auto path = ClusterPath::parse(argv[1]);
  NodeList nodes;
  for (int i = 2; i < argc; ++i) {
    const auto address = parse_node_url(argv[i]);
    if (!path || !address) {
      std::fprintf(stderr, "bench-client-listing: not a node URL or path: %s\n", argv[i]);
      return 2;
    }
    Node node;
    node.address = *address;
    nodes.push_back(node);
  }
  NodeClient client(kTimeout);
  measure("calling thread, all at once", [&] {
    const auto listing = list_union(client, nodes, *path);
    return listing && listing->silent.empty();
  });
  std::vector<std::unique_ptr<Worker>> workers;
  for (std::size_t i = 0; i < nodes.size(); ++i) workers.push_back(std::make_unique<Worker>());
  measure("kept thread for each node", [&] {
    std::vector<std::optional<NodeListing>> listings(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      workers[i]->begin([&, i] {
        auto listing = client.list(nodes[i], *path, "");
        if (listing) listings[i] = std::move(*listing);
      });
    }
    for (const auto& worker : workers) worker->wait();
    std::vector<const Listing*> shares;
    for (const auto& listing : listings) {
      if (!listing) return false;
      shares.push_back(&listing->listing);
    }
    return merge(shares).size() > 0;
  });
  measure("one node after the other", [&] {
    std::vector<NodeListing> listings;
    std::vector<const Listing*> shares;
    for (const Node& node : nodes) {
      auto listing = client.list(node, *path, "");
      if (!listing || !*listing) return false;
      listings.push_back(std::move(**listing));
    }
    for (const NodeListing& listing : listings) shares.push_back(&listing.listing);
    return merge(shares).size() > 0;
  });
  return 0;
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) { return skein::run(argc, argv); }
