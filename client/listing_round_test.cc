#include "client/listing_round.h"

#include <doctest/doctest.h>

#include <semaphore>

#include "client/node_client.h"
#include "client/slow_listing.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

constexpr const char* kProcessing = "HTTP/1.1 102 Processing\r\n\r\n";
constexpr auto kLong = SlowListing::kLongest;

std::string name_of(int number) { return SlowListing::name(number); }
std::string members(int first, int last) { return SlowListing::members(first, last); }
std::string chunk(const std::string& text) { return SlowListing::chunk(text); }

std::unique_ptr<ListingRound> begin(NodeClient& client, const NodeList& nodes) {
  return client.begin_listing(std::make_shared<const NodeList>(nodes), path_of("d"), {});
}

// Adds to `names` until it has `most` or those that may follow are too few to be given.
void take_final(ListingRound& round, std::vector<NamedEntry>& names, std::size_t most) {
  for (const Deadline end = Deadline::after(kLong); !end.passed() && !round.done();) {
    round.advance(end);
    for (NamedEntry& named : round.take_final()) names.push_back(std::move(named));
    REQUIRE(names.size() <= most);
    if (names.size() + ListingRound::kLeastFinal > most) return;
  }
}

void finish(ListingRound& round) {
  for (const Deadline end = Deadline::after(kLong); !end.passed() && !round.done();) {
    round.advance(end);
  }
  REQUIRE(round.done());
}

TEST_CASE("listing round: names are final as soon as every node has passed them") {
  SlowListing short_one(20'000), long_one(40'000);
  MemoryNode without;
  without.add("elsewhere", "1");
  NodeClient client(10s);
  const auto round = begin(client, {short_one.node(), without.node(), long_one.node()});
  std::vector<NamedEntry> names;
  take_final(*round, names, 10'000);
  REQUIRE_FALSE(names.empty());
  CHECK(round->takes_long());
  CHECK_FALSE(round->done());
  CHECK(short_one.asked_for() == "stream");
  short_one.go_on();
  take_final(*round, names, 20'000);  // up to where the other one is
  REQUIRE(names.size() > 10'000);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const int number = static_cast<int>(i);
    REQUIRE(names[i] == NamedEntry{name_of(number), {0, number}});
  }
  long_one.go_on();
  finish(*round);
  CHECK(round->take_final().empty());
  const auto listings = round->take_listings();
  REQUIRE(listings.size() == 3);
  CHECK((*listings[0])->listing.size() == 20'000);
  CHECK((*listings[0])->etag == "\"1\"");
  CHECK_FALSE(listings[1]->has_value());
  CHECK((*listings[2])->listing.size() == 40'000);
}

TEST_CASE("listing round: a node that lists in no order holds names back until its end") {
  SlowListing sorted(4000);
  std::binary_semaphore go_on{0};
  ScriptedServer unsorted([&](ScriptedServer&, HttpStream& stream, const RequestHead&) {
    const std::string body = "{" + members(500, 3000) + "\"a\":[0,1]}";
    send_text(stream, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
                          body.substr(0, body.size() - 1));
    (void)go_on.try_acquire_for(kLong);
    return send_text(stream, "}");
  });
  NodeClient client(10s);
  const auto round = begin(client, {sorted.node(), unsorted.node()});
  for (const Deadline end = Deadline::after(200ms); !end.passed();) {
    round->advance(end);
    CHECK(round->take_final().empty());
  }
  go_on.release();
  std::vector<NamedEntry> names;
  take_final(*round, names, 2001);
  REQUIRE_FALSE(names.empty());
  CHECK(names.front().name == "a");
  CHECK(names.back().name <= name_of(1999));
  sorted.go_on();
  finish(*round);
}

TEST_CASE("listing round: a listing that is cut off, or out of order, is an error and no shorter listing") {
  std::string body = SlowListing::kHead;
  SUBCASE("cut") { body += chunk("{" + members(0, 5000)); }
  SUBCASE("its JSON ends too early") { body += chunk("{" + members(0, 5000)) + chunk(""); }
  SUBCASE("out of order") { body += chunk("{\"b\":[0,1],\"a\":[0,1]}") + chunk(""); }
  SUBCASE("no listing at all") { body = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"; }
  ScriptedServer bad([&](ScriptedServer&, HttpStream& stream, const RequestHead&) {
    send_text(stream, body);
    return false;
  });
  SlowListing good(6000);
  NodeClient client(10s);
  const auto round = begin(client, {bad.node(), good.node()});
  good.go_on();
  finish(*round);
  const auto listings = round->take_listings();
  CHECK_FALSE(listings[0].ok());
  CHECK((*listings[1])->listing.size() == 6000);
}

TEST_CASE("listing round: a node that says it is at work is waited for, one that says nothing is not") {
  bool says_so = true;
  SUBCASE("before the listing, and within it") {}
  SUBCASE("silent") { says_so = false; }
  // Longer than the timeout; ends early if the client does.
  const auto work = [&](HttpStream& stream, const std::string& word) {
    char byte = 0;
    for (const Deadline end = Deadline::after(1800ms); !end.passed();) {
      if (says_so && !send_text(stream, word)) return;
      const auto closed = stream.read({&byte, 1}, Deadline::after(50ms));
      if (closed || closed.error().code != std::errc::timed_out) return;
    }
  };
  ScriptedServer slow([&](ScriptedServer&, HttpStream& stream, const RequestHead&) {
    work(stream, kProcessing);
    send_text(stream, SlowListing::kHead + chunk("{"));
    work(stream, chunk(" "));
    return send_text(stream, chunk("}") + chunk(""));
  });
  NodeClient client(1500ms);
  const auto listing = client.list(slow.node(), path_of("d"), "");
  CHECK(listing.ok() == says_so);
  if (!says_so) CHECK(listing.error().code == std::errc::timed_out);
}

}  // namespace
}  // namespace skein
