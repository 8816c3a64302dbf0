#include "client/listing_round.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string_view>

#include "client/reply.h"

namespace skein {
namespace {

bool before(const NamedEntry& a, const NamedEntry& b) { return a.name < b.name; }

}  // namespace

// What one node has listed so far.
class ListingRound::Part final : public BodyTaker {
 public:
  void still_working() override { takes_long_ = true; }
  bool begin(const ResponseHead& head) override {
    sorted_ = head.find("Skein-Listing") == "sorted";
    takes_long_ = takes_long_ || sorted_;
    return sorted_;
  }
  Result<void> take(std::string_view piece) override {
    if (auto taken = reader_.take(piece); !taken) return taken;
    for (NamedEntry& entry : reader_.take_entries()) {
      if (sorted_ && !entries_.empty() && before(entry, entries_.back())) {
        return Error{std::errc::bad_message, "listing is said to be sorted, and is not"};
      }
      entries_.push_back(std::move(entry));
    }
    return {};
  }

  bool takes_long() const { return takes_long_; }
  bool complete() const { return reader_.complete(); }
  // The last name that nothing will come in front of; "" none.
  std::string_view mark() const {
    return sorted_ && !entries_.empty() ? std::string_view(entries_.back().name) : std::string_view();
  }
  // Nothing more comes. What did not come whole counts for nothing.
  void close(bool whole) {
    if (closed_) return;
    closed_ = true;
    if (!whole) {
      entries_.clear();
      given_ = 0;
    }
    if (!sorted_) std::stable_sort(entries_.begin(), entries_.end(), before);
  }
  // Those not given yet, up to `through`.
  std::span<const NamedEntry> until(std::string_view through) const {
    const auto first = entries_.begin() + static_cast<std::ptrdiff_t>(given_);
    const auto last = std::upper_bound(
        first, entries_.end(), through,
        [](std::string_view name, const NamedEntry& entry) { return name < entry.name; });
    return {first, last};
  }
  void gave(std::size_t entries) { given_ += entries; }
  std::vector<NamedEntry> take_entries() { return std::move(entries_); }

 private:
  ListingReader reader_;
  bool takes_long_ = false;
  bool sorted_ = false;  // as they come
  bool closed_ = false;
  std::vector<NamedEntry> entries_;
  std::size_t given_ = 0;
};

ListingRound::ListingRound(ConnectionPool& pool, NodeSnapshot nodes, const ClusterPath& path,
                           const std::map<std::string, std::string>& known_etags,
                           std::chrono::milliseconds timeout)
    : nodes_(std::move(nodes)) {
  std::vector<Question> questions;
  const std::string target = path.directory_target();
  for (const Node& node : *nodes_) {
    parts_.push_back(std::make_unique<Part>());
    Question question{&node, "GET", target, "Skein-Listing: stream\r\n", parts_.back().get()};
    if (const auto known = known_etags.find(node.key());
        known != known_etags.end() && !known->second.empty()) {
      question.headers += "If-None-Match: " + known->second + "\r\n";
    }
    texts_.push_back(text_of(question));
    questions.push_back(std::move(question));
  }
  inquiries_ = std::make_unique<Inquiries>(pool, std::move(questions), timeout);
}

ListingRound::~ListingRound() = default;

bool ListingRound::takes_long() const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const auto& part) { return part->takes_long(); });
}

std::vector<NamedEntry> ListingRound::take_final() {
  std::optional<std::string_view> through;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    Part& part = *parts_[i];
    if (const Result<Answer>* answer = inquiries_->answer(i)) {
      part.close(answer->ok() && part.complete());
    } else {
      through = std::min(through.value_or(part.mark()), part.mark());
    }
  }
  if (!through || through->empty()) return {};
  std::size_t total = 0;
  for (const auto& part : parts_) total += part->until(*through).size();
  if (total < kLeastFinal) return {};
  std::vector<Listing> shares;
  for (const auto& part : parts_) {
    const auto entries = part->until(*through);
    shares.emplace_back(std::vector<NamedEntry>(entries.begin(), entries.end()));
    part->gave(entries.size());
  }
  std::vector<const Listing*> pointers;
  for (const Listing& share : shares) pointers.push_back(&share);
  return merge(pointers).take_entries();
}

std::vector<Result<std::optional<NodeListing>>> ListingRound::take_listings() {
  std::vector<Result<std::optional<NodeListing>>> listings;
  const auto answers = inquiries_->take_answers();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i]) {
      listings.emplace_back(answers[i].error());
      continue;
    }
    auto listing = listing_of(answers[i]->head, texts_[i]);
    if (listing && *listing && !(*listing)->unchanged) {
      if (!parts_[i]->complete()) {
        listing = Error{std::errc::bad_message, texts_[i] + ": listing is cut short"};
      } else {
        (*listing)->listing = Listing(parts_[i]->take_entries());
      }
    }
    listings.push_back(std::move(listing));
  }
  return listings;
}

}  // namespace skein
