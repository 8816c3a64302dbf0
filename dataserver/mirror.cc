#include "dataserver/mirror.h"

#include <vector>

#include "client/exchange.h"
#include "client/node_client.h"
#include "core/digests.h"
#include "dataserver/received_file.h"

namespace skein {
namespace {

constexpr std::size_t kBlockBytes = 1 << 20;

// Trouble with the source, as a gateway tells it (RFC 9110, 15.6).
Reply source_failure(const Error& error) {
  return refusal(error.code == std::errc::timed_out ? 504 : 502, error.what);
}

Reply unwanted(const ResponseHead& head) {
  if (head.status() == 404) return refusal(404, "the source does not have it");
  return refusal(502, "the source answered " + std::to_string(head.status()));
}

}  // namespace

// One of the places for fetches, or none.
class Mirror::Place {
 public:
  explicit Place(Mirror& mirror)
      : mirror_(mirror), held_(++mirror.running_ <= mirror.options_.most_at_once) {}
  ~Place() { --mirror_.running_; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  bool held() const { return held_; }

 private:
  Mirror& mirror_;
  const bool held_;
};

Reply Mirror::fetch(const ClusterPath& path, const std::string& url) {
  const auto source = parse_mirror_source(url);
  if (!source) return refusal_of(source.error());
  if (const auto free = store_.check(path, 0); !free) return refusal_of(free.error());
  const Place place(*this);
  if (!place.held() || stopping_) return refusal(503, "too many files are being mirrored");
  const auto allowed = sources_.allows(source->address);
  if (!allowed) return refusal_of(allowed.error());
  if (!*allowed) {
    return refusal(403, source->address.text() +
                            " is no node of this cluster, nor allowed by --mirror-from");
  }
  return fetch_from(path, *source);
}

Reply Mirror::fetch_from(const ClusterPath& path, const MirrorSource& source) {
  const Deadline end = Deadline::after(kLongest);
  ConnectionPool no_pool(ConnectionPool::Options{});
  Node node;
  node.address = source.address;
  auto exchange = Exchange::begin(no_pool, node, {"GET", source.target, "Connection: close\r\n"},
                                  options_.timeout);
  if (!exchange) return source_failure(exchange.error());
  const ResponseHead& head = exchange->head();
  if (head.status() != 200) return unwanted(head);
  // Its copy would be sealed, and another file than the one that goes on growing.
  if (head.find("ETag").value_or("").ends_with(kGrowingEtagEnd)) {
    return refusal(403, "files that grow are not copied; seal it first");
  }
  const BodyFraming framing = head.framing();
  if (framing.kind == BodyFraming::Kind::kUntilClose) {
    return refusal(502, "the source does not say where the file ends");
  }
  const std::string_view coding = head.find("Content-Encoding").value_or("identity");
  auto decoder = make_decoder(coding);
  if (!decoder && coding != "identity") return refusal(502, "the source sent an unknown coding");
  const auto announced = digests_of(head);
  if (!announced) return source_failure(announced.error());

  auto stage = store_.stage(path, framing.length);
  if (!stage) return refusal_of(stage.error());
  ReceivedFile file(store_, std::move(*stage), framing.length, std::move(decoder), *announced);
  std::vector<char> block(kBlockBytes);
  while (!exchange->at_end()) {
    if (stopping_) return refusal(503, "the server is stopping");
    if (end.passed()) return refusal(504, "the source took too long");
    const auto n = exchange->read(block);
    if (!n) return source_failure(n.error());
    const auto taken = file.take(std::span(block).first(*n));
    if (taken) continue;
    const bool malformed = taken.error().code == std::errc::bad_message;
    return malformed ? source_failure(taken.error()) : refusal_of(taken.error());
  }
  const auto whole = file.complete();
  if (!whole) return source_failure(whole.error());
  const auto published = store_.publish_safely(**whole, path);
  return published ? Reply() : refusal_of(published.error());
}

}  // namespace skein
