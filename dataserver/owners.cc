#include "dataserver/owners.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>

#include "client/ask.h"
#include "core/percent.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

constexpr const char* kNotes = "owners";
constexpr const char* kNewNotes = "owners.new";
// Lines of the notes that are read back; each is an id, a space and a path.
constexpr std::size_t kMostNotesBytes = 32 << 20;

std::string exists_on(const Node& node, const ClusterPath& path) {
  return "/" + path.text() + " on " + node.label();
}

}  // namespace

Owners::Owners(FileStore& store, MirrorSources& members)
    : store_(store), members_(members), pool_(ConnectionPool::Options{}) {
  read_back();
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads_.emplace_back([this](std::stop_token stop) { work(stop); });
  }
}

Owners::~Owners() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

void Owners::on_settled(std::function<void()> callback) {
  const std::lock_guard lock(callback_mutex_);
  callback_ = std::move(callback);
}

Owners::Verdict Owners::ask(const ClusterPath& path) {
  Verdict verdict;
  if (!members_.any()) return verdict;
  const std::string key = path.text();
  std::string owner;
  {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(key);
    // A grant that was not used lapses, for the others count on it no longer.
    if (found == known_.end() || found->second.lapsed()) return begin_to_ask(path);
    const Known known = found->second;
    if (known.kind == Known::Kind::kAsking) return {Verdict::Kind::kAsking, {}, {}};
    if (known.kind == Known::Kind::kHere) return verdict;
    if (known.kind == Known::Kind::kUncertain) {
      // Told to one of those who wait; who comes later asks again.
      known_.erase(found);
      return {Verdict::Kind::kUncertain, {}, known.why};
    }
    owner = known.owner;
  }
  return elsewhere(owner, path);
}

// With the lock held.
Owners::Verdict Owners::begin_to_ask(const ClusterPath& path) {
  const auto here = find_beneath(store_.root(), path);
  if (here && *here) return {};
  if (waiting_.size() >= kMostWaiting) {
    return {Verdict::Kind::kUncertain, {}, "too many new files at once"};
  }
  remember(path.text(), {Known::Kind::kAsking, {}, {}, std::chrono::steady_clock::now()});
  waiting_.push_back(path);
  asked_.notify_one();
  return {Verdict::Kind::kAsking, {}, {}};
}

Owners::Verdict Owners::known(const ClusterPath& path) {
  std::string owner;
  {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(path.text());
    if (found == known_.end() || found->second.kind != Known::Kind::kElsewhere) return {};
    owner = found->second.owner;
  }
  return elsewhere(owner, path);
}

Owners::Verdict Owners::elsewhere(const std::string& owner, const ClusterPath& path) {
  const auto nodes = members_.settled();
  if (!nodes) return {Verdict::Kind::kDown, {}, nodes.error().what + "; nothing was done"};
  for (const Node& node : *nodes) {
    if (node.key() == owner) return {Verdict::Kind::kElsewhere, node, {}};
  }
  return {Verdict::Kind::kDown,
          {},
          "/" + path.text() + " grows on node " + owner +
              ", which does not answer; nothing was done"};
}

std::optional<std::string> Owners::claimed_by(const std::string& node_id,
                                              const ClusterPath& path) {
  if (const auto here = find_beneath(store_.root(), path); here && *here) return store_.node_id();
  const std::string key = path.text();
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(key);
  if (found != known_.end()) {
    const Known& known = found->second;
    if (known.kind == Known::Kind::kAsking && store_.node_id() < node_id) return store_.node_id();
    if (known.kind == Known::Kind::kHere && !known.lapsed()) return store_.node_id();
    // Another one's claim that may have been granted by all, or was: then its file may be there,
    // though it does not answer now.
    const bool settled = std::chrono::steady_clock::now() - known.since >= kRace;
    if (known.kind == Known::Kind::kElsewhere && known.owner != node_id &&
        (settled || known.owner < node_id)) {
      return known.owner;
    }
    // Our own question goes on, and will hear of the winner.
    if (known.kind == Known::Kind::kAsking) return std::nullopt;
  }
  remember(key, {Known::Kind::kElsewhere, node_id, {}, std::chrono::steady_clock::now()});
  write_down(key, node_id);
  return std::nullopt;
}

void Owners::work(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (asked_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
    const ClusterPath path = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    const Known known = find_out(path);
    lock.lock();
    remember(path.text(), known);
    if (known.kind == Known::Kind::kElsewhere) write_down(path.text(), known.owner);
    lock.unlock();
    {
      const std::lock_guard callback_lock(callback_mutex_);
      if (callback_) callback_();
    }
    lock.lock();
  }
}

Owners::Known Owners::find_out(const ClusterPath& path) {
  const auto nodes = members_.settled();
  if (!nodes) {
    return {Known::Kind::kUncertain, {}, nodes.error().what + "; nothing was appended",
            std::chrono::steady_clock::now()};
  }
  const std::string claim = "Skein-Node: " + store_.node_id() + "\r\nContent-Length: 0\r\n";
  std::vector<Question> questions;
  for (const Node& node : *nodes) {
    if (node.id == store_.node_id()) continue;
    if (node.is_skein()) {
      questions.push_back({&node, "PUT", "/__own" + path.target(), claim});
    } else {
      questions.push_back({&node, "HEAD", path.target(), {}});
    }
  }
  const auto answers = ask_all(pool_, questions, kClaimTimeout);
  Known known{Known::Kind::kHere, {}, {}, std::chrono::steady_clock::now()};
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const Node& node = *questions[i].node;
    if (!answers[i]) {
      members_.report_failure(node.key(), answers[i].error());
      if (known.kind == Known::Kind::kHere) {
        known.kind = Known::Kind::kUncertain;
        known.why = "it is not known whether there is " + exists_on(node, path) +
                    ", which does not answer; nothing was appended";
      }
      continue;
    }
    const ResponseHead& head = answers[i]->head;
    const std::string owner(head.find("Skein-Owner").value_or(""));
    const bool claimed = node.is_skein() && head.status() == 409 && !owner.empty();
    const bool has = !node.is_skein() && head.status() == 200;
    // Of several the lowest, as all others judge.
    const std::string named = claimed ? owner : has ? node.key() : std::string();
    if (named.empty() || named == store_.node_id()) continue;
    if (known.kind == Known::Kind::kElsewhere && known.owner < named) continue;
    known.kind = Known::Kind::kElsewhere;
    known.owner = named;
  }
  return known;
}

// With the lock held.
void Owners::remember(const std::string& path, Known known) {
  const auto [place, is_new] = known_.insert_or_assign(path, std::move(known));
  if (!is_new) return;
  oldest_first_.push_back(path);
  while (oldest_first_.size() > kMostKnown) {
    known_.erase(oldest_first_.front());
    oldest_first_.pop_front();
  }
}

// With the lock held. What cannot be written is known until the server ends, as without notes.
bool Owners::write_down(const std::string& path, const std::string& owner) {
  const std::string line = owner + " " + percent_encode_path(path) + "\n";
  const ssize_t n = notes_ ? ::write(notes_.get(), line.data(), line.size()) : -1;
  if (n == static_cast<ssize_t>(line.size())) return true;
  spdlog::warn("an owner could not be noted: path={} owner={}", path, owner);
  return false;
}

void Owners::read_back() {
  Fd old(::openat(store_.private_directory(), kNotes, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  std::string text;
  std::array<char, 65536> block;
  while (old && text.size() < kMostNotesBytes) {
    const ssize_t n = ::read(old.get(), block.data(), block.size());
    if (n <= 0) break;
    text.append(block.data(), static_cast<std::size_t>(n));
  }
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    if (end == std::string::npos) break;
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const std::size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    const auto path = percent_decode(line.substr(space + 1));
    if (path) remember(*path, {Known::Kind::kElsewhere, line.substr(0, space), {}, {}});
  }
  // Written anew without what was overwritten or forgotten, then added to.
  const int folder = store_.private_directory();
  constexpr int kToAdd = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
  notes_ = Fd(::openat(folder, kNewNotes, kToAdd | O_TRUNC, 0600));
  bool written = notes_.valid();
  for (const auto& [path, known] : known_) written = written && write_down(path, known.owner);
  if (written && ::renameat(folder, kNewNotes, folder, kNotes) == 0) return;
  // On a full disk the old ones are worth more than a part of them.
  ::unlinkat(folder, kNewNotes, 0);
  notes_ = Fd(::openat(folder, kNotes, kToAdd, 0600));
}

}  // namespace skein
