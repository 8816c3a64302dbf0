#include "discovery/roster.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

namespace skein {
namespace {

using Kind = NodeState::Kind;

constexpr std::array<const char*, Roster::kSources> kSourceNames{"registry", "static", "mdns"};

// Of what the hints tell, the first that is known.
std::string first_known(const std::map<Roster::Source, Node>& hints, std::string Node::*field) {
  for (const auto& [source, node] : hints) {
    if (!(node.*field).empty()) return node.*field;
  }
  return {};
}

}  // namespace

void Roster::set_source(Source source, const std::vector<Node>& named) {
  std::set<std::string> kept;
  for (const Node& node : named) {
    if (source != Source::kStatic && !belongs_to(node, filter_)) continue;
    if (kept.insert(node.address.text()).second) hint(source, node);
  }
  for (auto at = places_.begin(); at != places_.end();) {
    Place& place = at->second;
    if (place.hints.contains(source) && !kept.contains(at->first)) unhint(source, place);
    // One that was never alive, or is no more, has nobody who wants it.
    const bool idle = place.hints.empty() && place.kind != Kind::kAlive && !place.in_flight;
    at = idle ? places_.erase(at) : std::next(at);
  }
}

void Roster::hint(Source source, const Node& node) {
  const auto [at, is_new] = places_.try_emplace(node.address.text());
  Place& place = at->second;
  if (is_new) {
    place.address = node.address;
    place.due = now_();
  }
  const auto [known, is_news] = place.hints.try_emplace(source, node);
  if (!is_news) {
    if (known->second == node) return;
    known->second = node;
  }
  if (place.kind == Kind::kAlive) ++revision_;
  // News of an address, such as another instance name: its server was started anew.
  place.second_looks = 0;
  place.backoff = Interval(0);
  if (!is_new) probe_soon(place);
}

void Roster::unhint(Source source, Place& place) {
  place.hints.erase(source);
  if (place.kind == Kind::kAlive) ++revision_;
  place.suspected = true;
  place.second_looks = kSecondLooks;
  probe_soon(place);
}

void Roster::probe_soon(Place& place) {
  place.again = place.in_flight;
  place.due = std::max(now_(), place.last_probe + kLeast);
}

std::vector<NodeAddress> Roster::take_due(std::size_t most, std::size_t most_unproven) {
  const TimePoint now = now_();
  const auto unproven = static_cast<std::size_t>(
      std::count_if(places_.begin(), places_.end(), [](const auto& at) {
        return at.second.in_flight && at.second.kind != Kind::kAlive;
      }));
  std::vector<NodeAddress> due;
  for (const bool live : {true, false}) {
    const std::size_t left = most_unproven - std::min(unproven, most_unproven);
    std::size_t room = live ? most : std::min(most - due.size(), left);
    for (auto& [text, place] : places_) {
      if (room == 0) break;
      if (place.in_flight || place.due > now || (place.kind == Kind::kAlive) != live) continue;
      place.in_flight = true;
      place.again = false;
      place.last_probe = now;
      due.push_back(place.address);
      --room;
    }
  }
  return due;
}

std::optional<TimePoint> Roster::next_due() const {
  std::optional<TimePoint> next;
  for (const auto& [text, place] : places_) {
    if (!place.in_flight && (!next || place.due < *next)) next = place.due;
  }
  return next;
}

Roster::Place* Roster::awaited(const NodeAddress& address) {
  const auto at = places_.find(address.text());
  if (at == places_.end() || !at->second.in_flight) return nullptr;
  at->second.in_flight = false;
  return &at->second;
}

void Roster::answered(const NodeAddress& address, const ProbedStatus& status) {
  Place* const place = awaited(address);
  if (place == nullptr) return;
  if (foreign(*place, status)) {
    set_aside(*place, {std::errc::host_unreachable, "another cluster's now: " + status.name});
    return;
  }
  const bool is_news = place->kind != Kind::kAlive || place->status != status;
  place->kind = Kind::kAlive;
  place->status = status;
  if (is_news) ++revision_;
  look_at_rivals(*place, is_news);
  place->why.clear();
  place->misses = 0;
  place->backoff = Interval(0);
  // What nobody names is believed from one answer to the next only.
  place->suspected = place->hints.empty();
  Interval wait = kRoutine;
  if (place->second_looks > 0) {
    --place->second_looks;
    wait = kSecondLook;
  }
  place->due = now_() + wait;
  if (place->again) probe_soon(*place);
}

void Roster::failed(const NodeAddress& address, const Error& why) {
  Place* const place = awaited(address);
  if (place == nullptr) return;
  ++place->misses;
  const bool certain = place->suspected || place->misses >= kMissesUntilSetAside;
  if (place->kind != Kind::kAlive || certain) {
    set_aside(*place, why);
    return;
  }
  place->why = why.what;
  place->due = now_() + kSecondLook;
}

void Roster::set_aside(Place& place, const Error& why) {
  if (place.kind == Kind::kAlive) ++revision_;
  if (place.hints.empty()) {
    const std::string text = place.address.text();  // outlives the place
    places_.erase(text);
    return;
  }
  place.kind = Kind::kSetAside;
  place.why = why.what;
  place.suspected = false;
  const bool refused = why.code == std::errc::connection_refused;
  place.backoff = std::clamp(2 * place.backoff, kFirstBackoff,
                             refused ? kLongestBackoffRefused : kLongestBackoff);
  place.due = now_() + place.backoff;
  if (place.again) probe_soon(place);
}

void Roster::look_at_rivals(Place& place, bool is_news) {
  const bool was_rivaled = std::exchange(place.rivaled, false);
  if (place.status.id.empty()) return;
  for (auto& [text, other] : places_) {
    if (other.kind != Kind::kAlive || other.status.id != place.status.id) continue;
    if (other.status.name == place.status.name) continue;
    if (was_rivaled && !is_news) {
      warnings_.push_back("two servers run under one node id, only one is used: id=" +
                          place.status.id + " at=" + place.address.text() + " and=" + text);
    } else if (is_news) {
      other.rivaled = other.suspected = true;
      probe_soon(other);
    }
  }
}

bool Roster::foreign(const Place& place, const ProbedStatus& status) const {
  if (status.name.empty() || place.hints.contains(Source::kStatic)) return false;
  Node said;
  said.name = status.name;
  return !belongs_to(said, filter_);
}

void Roster::suspect(const std::string& key, const Error& why) {
  for (auto& [text, place] : places_) {
    if (place.kind != Kind::kAlive || (key != text && key != place.status.id)) continue;
    place.suspected = true;
    place.why = why.what;
    probe_soon(place);
  }
}

Node Roster::node_of(const Place& place) {
  const auto& hints = place.hints;
  Node node;
  node.address = place.address;
  if (place.kind == Kind::kAlive) node.name = place.status.name;
  if (node.name.empty()) node.name = first_known(hints, &Node::name);
  if (place.kind == Kind::kAlive) {
    // The answer is the truth; a hint that speaks of another node tells nothing of this one.
    const ProbedStatus& status = place.status;
    node.id = status.id;
    node.host_id = status.host_id;
    node.cluster = status.cluster;
    node.lane = status.lane;
    if (node.id.empty() || first_known(hints, &Node::id) != node.id) return node;
  } else {
    node.id = first_known(hints, &Node::id);
    if (node.id.empty()) node.id = place.status.id;
  }
  if (node.host_id.empty()) node.host_id = first_known(hints, &Node::host_id);
  if (node.cluster.empty()) node.cluster = first_known(hints, &Node::cluster);
  if (node.lane.empty()) node.lane = first_known(hints, &Node::lane);
  return node;
}

std::string Roster::identity(const Place& place) {
  const Node node = node_of(place);
  if (!node.id.empty()) return node.id;
  const auto mdns = place.hints.find(Source::kMdns);
  if (mdns != place.hints.end() && !mdns->second.name.empty()) return mdns->second.name;
  return place.address.text();
}

bool Roster::better(const Place& a, const Place& b) {
  const auto rank = [](const Place& place) {
    const int kind = place.kind == Kind::kAlive ? 0 : place.kind == Kind::kUnproven ? 1 : 2;
    const std::size_t source =
        place.hints.empty() ? kSources : static_cast<std::size_t>(place.hints.begin()->first);
    const std::string& host = place.address.host;
    const bool remote = !host.starts_with("127.") && host != "::1" && host != "localhost";
    return std::make_tuple(kind, source, remote, place.address.text());
  };
  return rank(a) < rank(b);
}

NodeList Roster::alive() const {
  NodeList nodes;
  std::map<std::string, const Place*> best;
  for (const auto& [text, place] : places_) {
    if (place.kind != Kind::kAlive) continue;
    const Place*& chosen = best[identity(place)];
    if (chosen == nullptr || better(place, *chosen)) chosen = &place;
  }
  for (const auto& [id, place] : best) nodes.push_back(node_of(*place));
  // One node may be named by one source under one name and by another without: fill it in.
  for (Node& node : nodes) {
    for (const auto& [text, place] : places_) {
      if (place.kind != Kind::kAlive || node.id.empty() || place.status.id != node.id) continue;
      const Node other = node_of(place);
      if (node.name.empty()) node.name = other.name;
      if (node.lane.empty()) node.lane = other.lane;
    }
  }
  std::sort(nodes.begin(), nodes.end(),
            [](const Node& a, const Node& b) { return a.key() < b.key(); });
  return nodes;
}

std::vector<NodeState> Roster::states() const {
  struct Shown {
    const Place* best = nullptr;
    std::set<Source> sources;
  };
  std::map<std::string, Shown> shown;
  for (const auto& [text, place] : places_) {
    Shown& one = shown[identity(place)];
    if (one.best == nullptr || better(place, *one.best)) one.best = &place;
    for (const auto& [source, node] : place.hints) one.sources.insert(source);
  }
  std::vector<NodeState> states;
  for (const auto& [id, one] : shown) {
    NodeState state{node_of(*one.best), one.best->kind, "", ""};
    for (const Source source : one.sources) {
      if (!state.sources.empty()) state.sources += "+";
      state.sources += kSourceNames[static_cast<std::size_t>(source)];
    }
    if (state.kind == Kind::kSetAside) state.why = one.best->why;
    states.push_back(std::move(state));
  }
  return states;
}

bool Roster::all_probed() const {
  return std::none_of(places_.begin(), places_.end(),
                      [](const auto& at) { return at.second.kind == Kind::kUnproven; });
}

}  // namespace skein
