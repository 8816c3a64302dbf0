#include "discovery/membership.h"

#include <algorithm>
#include <cassert>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <stop_token>
#include <system_error>
#include <thread>

#include "core/log.h"
#include "core/run_dir.h"
#include "discovery/browser.h"
#include "discovery/probe.h"
#include "discovery/registry_watch.h"
#include "discovery/roster.h"

namespace skein {
namespace {

// Threads are made when probes run side by side, and then kept; a quick cluster needs one or two.
// A silent node holds one for the probe timeout, so nodes not known to live get only a part.
constexpr std::size_t kMostProbes = 32;
constexpr std::size_t kMostUnprovenProbes = 24;

class LiveMembership final : public Membership {
 public:
  explicit LiveMembership(MembershipOptions options);
  ~LiveMembership() override;

  NodeSnapshot nodes() const override;
  std::vector<NodeState> states() const override;
  NodeSnapshot wait_settled(Deadline deadline) override;
  void report_failure(const std::string& key, const Error& why) override;
  void on_change(std::function<void(NodeSnapshot)> callback) override;

 private:
  using Lock = std::unique_lock<std::mutex>;

  void source_says(Roster::Source source, const std::vector<Node>& named, bool complete);
  void coordinate(std::stop_token stop);
  void probe_until(std::stop_token stop);
  // These with the lock held; publish() gives it up for the callback.
  void hand_out();
  void publish(Lock& lock);
  bool settled() const;

  Prober prober_;

  mutable std::mutex mutex_;  // guards everything below, up to the threads
  Roster roster_;
  NodeSnapshot nodes_ = std::make_shared<const NodeList>();
  std::uint64_t published_ = 0;  // the roster's revision that nodes_ shows
  bool registry_read_;
  bool mdns_complete_;
  bool disturbed_ = false;  // something for the coordinator to look at
  std::deque<NodeAddress> due_;  // at most kMostProbes
  std::size_t busy_ = 0;         // probes handed out and not finished
  std::function<void(NodeSnapshot)> callback_;

  std::condition_variable_any disturbance_;
  std::condition_variable_any handed_out_;
  std::condition_variable settling_;

  std::vector<std::jthread> probers_;  // the coordinator's until it is joined
  std::jthread coordinator_;
  std::unique_ptr<RegistryWatch> registry_;
  std::unique_ptr<MdnsBrowser> browser_;
};

void log_changes(const NodeList& before, const NodeList& after) {
  const auto find = [](const NodeList& list, const Node& node) {
    return std::find_if(list.begin(), list.end(),
                        [&](const Node& other) { return other.key() == node.key(); });
  };
  for (const Node& node : before) {
    if (find(after, node) == after.end()) log()->info("node left: node={}", node.label());
  }
  for (const Node& node : after) {
    const auto known = find(before, node);
    if (known == before.end()) log()->info("node joined: node={}", node.label());
    if (known != before.end() && known->address != node.address) {
      log()->info("node moved: node={} from={}", node.label(), known->address.text());
    }
  }
}

LiveMembership::LiveMembership(MembershipOptions options)
    : prober_(options.probe_timeout),
      roster_(options.filter, real_clock()),
      registry_read_(!options.registry),
      mdns_complete_(!options.mdns) {
  assert(options.probe_timeout.count() > 0);
  std::vector<Node> listed;
  for (const NodeAddress& address : options.static_nodes) {
    Node node;
    node.address = address;
    listed.push_back(std::move(node));
  }
  roster_.set_source(Roster::Source::kStatic, listed);
  // One there is always; further ones are made when they can be had.
  probers_.emplace_back([this](std::stop_token stop) { probe_until(stop); });
  coordinator_ = std::jthread([this](std::stop_token stop) { coordinate(stop); });
  if (options.registry) {
    registry_ = std::make_unique<RegistryWatch>(
        visible_run_dirs(), [this](const std::vector<Node>& named) {
          source_says(Roster::Source::kRegistry, named, true);
        });
  }
  if (options.mdns) {
    browser_ = MdnsBrowser::start([this](const std::vector<Node>& named, bool complete) {
      source_says(Roster::Source::kMdns, named, complete);
    });
  }
}

LiveMembership::~LiveMembership() {
  browser_.reset();
  registry_.reset();
  prober_.stop();
  coordinator_.request_stop();
  coordinator_.join();
  // The threads' own destructors ask them to stop and join, one by one; ask all of them first.
  for (std::jthread& prober : probers_) prober.request_stop();
  probers_.clear();
}

NodeSnapshot LiveMembership::nodes() const {
  const Lock lock(mutex_);
  return nodes_;
}

std::vector<NodeState> LiveMembership::states() const {
  const Lock lock(mutex_);
  return roster_.states();
}

bool LiveMembership::settled() const {
  return registry_read_ && mdns_complete_ && roster_.all_probed() &&
         published_ == roster_.revision();
}

NodeSnapshot LiveMembership::wait_settled(Deadline deadline) {
  Lock lock(mutex_);
  settling_.wait_until(lock, deadline.when(), [this] { return settled(); });
  return nodes_;
}

void LiveMembership::report_failure(const std::string& key, const Error& why) {
  log()->debug("node reported as failing: key={} why={}", key, why.what);
  const Lock lock(mutex_);
  roster_.suspect(key, why);
  disturbed_ = true;
  disturbance_.notify_one();
}

void LiveMembership::on_change(std::function<void(NodeSnapshot)> callback) {
  const Lock lock(mutex_);
  assert(!callback_);
  callback_ = std::move(callback);
}

void LiveMembership::source_says(Roster::Source source, const std::vector<Node>& named,
                                 bool complete) {
  const Lock lock(mutex_);
  roster_.set_source(source, named);
  if (source == Roster::Source::kRegistry) registry_read_ |= complete;
  if (source == Roster::Source::kMdns) mdns_complete_ |= complete;
  disturbed_ = true;
  disturbance_.notify_one();
}

void LiveMembership::coordinate(std::stop_token stop) {
  Lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto looked = std::chrono::steady_clock::now();
    hand_out();
    publish(lock);
    if (settled()) settling_.notify_all();
    const auto next = roster_.next_due();
    const auto is_disturbed = [this] { return std::exchange(disturbed_, false); };
    // What was due then and was not handed out waits for a probe to end, which disturbs. What has
    // fallen due since was not looked at: it must not wait for that.
    if (!next || *next <= looked) {
      disturbance_.wait(lock, stop, is_disturbed);
    } else {
      disturbance_.wait_until(lock, stop, *next, is_disturbed);
    }
  }
}

void LiveMembership::hand_out() {
  for (NodeAddress& address : roster_.take_due(kMostProbes - busy_, kMostUnprovenProbes)) {
    due_.push_back(std::move(address));
    ++busy_;
  }
  try {
    while (probers_.size() < busy_) {
      probers_.emplace_back([this](std::stop_token stop) { probe_until(stop); });
    }
  } catch (const std::system_error&) {
    // A limit on threads is reached: those that there are take longer.
  }
  if (!due_.empty()) handed_out_.notify_all();
}

void LiveMembership::probe_until(std::stop_token stop) {
  Lock lock(mutex_);
  while (handed_out_.wait(lock, stop, [this] { return !due_.empty(); })) {
    if (stop.stop_requested()) return;
    const NodeAddress address = std::move(due_.front());
    due_.pop_front();
    lock.unlock();
    const auto status = prober_.probe(address);
    lock.lock();
    if (status) {
      roster_.answered(address, *status);
    } else {
      roster_.failed(address, status.error());
    }
    --busy_;
    disturbed_ = true;
    disturbance_.notify_one();
  }
}

void LiveMembership::publish(Lock& lock) {
  const std::vector<std::string> warnings = roster_.take_warnings();
  if (published_ == roster_.revision() && warnings.empty()) return;
  published_ = roster_.revision();
  const NodeSnapshot before = nodes_;
  if (NodeList alive = roster_.alive(); alive != *nodes_) {
    nodes_ = std::make_shared<const NodeList>(std::move(alive));
  }
  const NodeSnapshot after = nodes_;
  const auto callback = callback_;
  lock.unlock();
  for (const std::string& warning : warnings) log()->warn("{}", warning);
  if (after != before) {
    log_changes(*before, *after);
    if (callback) callback(after);
  }
  lock.lock();
}

}  // namespace

std::unique_ptr<Membership> Membership::start(MembershipOptions options) {
  return std::make_unique<LiveMembership>(std::move(options));
}

}  // namespace skein
