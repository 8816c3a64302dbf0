#include "dataserver/listing_follower.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <semaphore>
#include <thread>

#include "core/listing.h"
#include "dataserver/directory_index.h"
#include "dataserver/scratch_store.h"

namespace skein {
namespace {

constexpr int kNames = static_cast<int>(kLeastFollowed) + 3000;
const IsTorn none_torn = [](int, const ClusterPath&, const char*, const Found&) { return false; };

// Takes what it is given, and does something in the midst of it.
class Follower final : public ListingFollower {
 public:
  bool has(const std::string& etag) const override { return etag == known; }
  void going_on() override { ++words; }
  void begin(const std::string& etag) override { begun_etag = etag; }
  void piece(std::string_view members) override {
    json += members;
    if (++pieces == 1 && at_first_piece) at_first_piece();
  }
  std::vector<NamedEntry> entries() const {
    ListingReader reader;
    REQUIRE(reader.take("{" + json + "}"));
    return reader.take_entries();
  }

  std::string known;
  std::function<void()> at_first_piece;
  std::string begun_etag;
  std::string json;
  int words = 0;
  int pieces = 0;
};

struct Filled : ScratchStore {
  Filled() : index(store->root(), 1'000'000, none_torn) {
    std::filesystem::create_directories(on_disk("d/sub"));
    // Out of order, so that sorting them is seen.
    for (int i = 0; i < kNames; ++i) {
      const std::string name = "d/f" + std::to_string((i * 37) % kNames);
      const Fd fd(::open(on_disk(name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0440));
      REQUIRE(fd);
    }
  }
  DirectoryIndex index;
};

TEST_CASE("listing follower: a first listing comes in order and in pieces, equal to the whole") {
  Filled s;
  Follower follower;
  const auto view = s.index.listing(s.path("d"), &follower);
  REQUIRE(view);
  CHECK(view->etag == follower.begun_etag);
  CHECK(follower.pieces > 1);
  CHECK(follower.words > kNames);
  const auto entries = follower.entries();
  CHECK(std::is_sorted(entries.begin(), entries.end(),
                       [](const auto& a, const auto& b) { return a.name < b.name; }));
  CHECK(Listing(entries) == *parse_listing_json(*view->json));
  CHECK(entries.size() == kNames + 1);
}

TEST_CASE("listing follower: a listing that is cached, small or known comes whole") {
  Filled s;
  Follower first, second, third, small;
  REQUIRE(s.index.listing(s.path("d"), &first));
  REQUIRE(s.index.listing(s.path("d"), &second));
  CHECK(second.begun_etag.empty());
  REQUIRE(s.put("few/a", "1"));
  REQUIRE(s.index.listing(s.path("few"), &small));
  CHECK(small.begun_etag.empty());
  // Scanned again without a change of names: who has it is to be told so, not to be sent it again.
  third.known = first.begun_etag;
  s.index.made_directory(s.path("d/sub/below"));
  REQUIRE(s.index.listing(s.path("d"), &third));
  CHECK(third.begun_etag.empty());
  CHECK(third.json.empty());
}

TEST_CASE("listing follower: a name published behind the scan changes the ETag that was announced") {
  Filled s;
  Follower follower;
  follower.at_first_piece = [&] {
    const auto began = DirectoryIndex::now();
    s.write_by_hand("d/aaa", "1");
    const Fd directory(::open(s.on_disk("d").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    // From a thread of its own, as a publish comes; the scan holds no lock meanwhile.
    std::jthread([&] { s.index.added(s.path("d/aaa"), 1, directory.get(), began); }).join();
  };
  const auto view = s.index.listing(s.path("d"), &follower);
  REQUIRE(view);
  CHECK(view->etag != follower.begun_etag);
  CHECK(parse_listing_json(*view->json)->find("aaa") != nullptr);
  CHECK(Listing(follower.entries()).find("aaa") == nullptr);
}

TEST_CASE("listing follower: who waits for another's scan hears that it goes on") {
  // Tells of its first word.
  class Waiter final : public ListingFollower {
   public:
    bool has(const std::string&) const override { return false; }
    void going_on() override { heard.release(); }
    void begin(const std::string&) override { begun = true; }
    void piece(std::string_view) override {}
    std::counting_semaphore<> heard{0};
    bool begun = false;
  };
  Filled s;
  Follower scanning;
  Waiter waiting;
  std::jthread other;
  bool heard = false;
  scanning.at_first_piece = [&] {
    other = std::jthread([&] { CHECK(s.index.listing(s.path("d"), &waiting).ok()); });
    heard = waiting.heard.try_acquire_for(std::chrono::seconds(20));
  };
  REQUIRE(s.index.listing(s.path("d"), &scanning));
  other.join();
  CHECK(heard);
  CHECK_FALSE(waiting.begun);
}

}  // namespace
}  // namespace skein
