#include "discovery/browser.h"

#include <avahi-client/lookup.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <net/if.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <tuple>

#include "core/clock.h"
#include "core/log.h"
#include "discovery/avahi_loop.h"
#include "discovery/mdns_records.h"

namespace skein {
namespace {

using std::chrono::milliseconds;

// After the daemon has said what it knows: how long answers about addresses are waited for. They
// come from the daemon's cache, or from the network within a few milliseconds.
constexpr milliseconds kGrace{400};
// A name whose address nobody told is asked about again.
constexpr milliseconds kResolveAgain{2000};

struct ResolverFree {
  void operator()(AvahiServiceResolver* resolver) const { avahi_service_resolver_free(resolver); }
};

// A service as heard on one interface and IP version.
using RecordKey = std::tuple<AvahiIfIndex, AvahiProtocol, std::string, std::string, std::string>;

struct Record {
  // Stays open, so that a changed address is heard of. Null: to be made at `retry`.
  std::unique_ptr<AvahiServiceResolver, ResolverFree> resolver;
  std::optional<Node> node;
  TimePoint retry{};
};

class AvahiBrowser final : public MdnsBrowser {
 public:
  explicit AvahiBrowser(Report report)
      : report_(std::move(report)),
        loop_("browsing", {[this](AvahiClient* client) { return browse(client); }, [] {},
                           [this] { forget(); }, [this] { absent(); }, [this] { turn(); }}) {}

 private:
  bool browse(AvahiClient* client);
  void forget();
  void absent();
  void turn();

  void browsed(AvahiBrowserEvent event, const RecordKey& key);
  void resolve(const RecordKey& key, Record& record);
  void resolved(const RecordKey& key, const AvahiAddress& address, std::uint16_t port,
                AvahiStringList* txt, bool is_local);
  void say();

  // The loop's thread only.
  const Report report_;
  AvahiClient* client_ = nullptr;           // owned by the loop
  AvahiServiceBrowser* browser_ = nullptr;  // owned by the client
  std::map<RecordKey, Record> records_;
  std::vector<Node> before_;         // named by a daemon that went away
  std::optional<TimePoint> all_at_;  // when the daemon had said what it knows
  bool complete_ = false;
  bool is_news_ = true;

  AvahiLoop loop_;  // last: its thread uses the above
};

bool AvahiBrowser::browse(AvahiClient* client) {
  if (browser_ != nullptr) return true;  // the host name changed, nothing else
  client_ = client;
  const auto browsed = [](AvahiServiceBrowser*, AvahiIfIndex interface, AvahiProtocol protocol,
                          AvahiBrowserEvent event, const char* name, const char* type,
                          const char* domain, AvahiLookupResultFlags, void* self) {
    const auto text = [](const char* given) { return std::string(given ? given : ""); };
    static_cast<AvahiBrowser*>(self)->browsed(
        event, {interface, protocol, text(name), text(type), text(domain)});
  };
  browser_ = avahi_service_browser_new(client, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, kMdnsType,
                                       nullptr, AvahiLookupFlags{}, browsed, this);
  if (browser_ != nullptr) return true;
  log()->warn("cannot browse by mDNS: why={}", avahi_strerror(avahi_client_errno(client)));
  complete_ = is_news_ = true;
  return false;
}

void AvahiBrowser::forget() {
  // Until a daemon is back and has said what it knows, the nodes are those named last.
  for (const auto& [key, record] : records_) {
    if (record.node) before_.push_back(*record.node);
  }
  records_.clear();
  browser_ = nullptr;
  client_ = nullptr;
  all_at_.reset();
}

void AvahiBrowser::absent() {
  complete_ = is_news_ = true;
  say();
}

void AvahiBrowser::browsed(AvahiBrowserEvent event, const RecordKey& key) {
  switch (event) {
    case AVAHI_BROWSER_NEW: {
      if (records_.size() >= kMostMdnsRecords && !records_.contains(key)) {
        log()->warn("too many nodes heard of by mDNS, one left out: name={}", std::get<2>(key));
        return;
      }
      resolve(key, records_[key]);
      return;
    }
    case AVAHI_BROWSER_REMOVE:
      is_news_ |= records_.erase(key) > 0;
      return;
    case AVAHI_BROWSER_ALL_FOR_NOW:
      all_at_ = std::chrono::steady_clock::now();
      return;
    case AVAHI_BROWSER_FAILURE:
      loop_.begin_again();
      return;
    case AVAHI_BROWSER_CACHE_EXHAUSTED:
      return;
  }
}

void AvahiBrowser::resolve(const RecordKey& key, Record& record) {
  const auto resolved = [](AvahiServiceResolver*, AvahiIfIndex interface, AvahiProtocol protocol,
                           AvahiResolverEvent event, const char* name, const char* type,
                           const char* domain, const char*, const AvahiAddress* address,
                           std::uint16_t port, AvahiStringList* txt,
                           AvahiLookupResultFlags flags, void* user) {
    auto* const self = static_cast<AvahiBrowser*>(user);
    const RecordKey at{interface, protocol, name, type, domain};
    if (event == AVAHI_RESOLVER_FOUND && address != nullptr) {
      self->resolved(at, *address, port, txt, (flags & AVAHI_LOOKUP_RESULT_LOCAL) != 0);
    } else if (const auto found = self->records_.find(at); found != self->records_.end()) {
      // No address within Avahi's 5 s. The resolver is freed by turn(), not within its callback.
      found->second.retry = std::chrono::steady_clock::now() + kResolveAgain;
    }
  };
  const auto& [interface, protocol, name, type, domain] = key;
  record.retry = {};
  record.resolver.reset(avahi_service_resolver_new(client_, interface, protocol, name.c_str(),
                                                   type.c_str(), domain.c_str(), protocol,
                                                   AvahiLookupFlags{}, resolved, this));
  if (!record.resolver) record.retry = std::chrono::steady_clock::now() + kResolveAgain;
}

void AvahiBrowser::resolved(const RecordKey& key, const AvahiAddress& address, std::uint16_t port,
                            AvahiStringList* txt, bool is_local) {
  const auto found = records_.find(key);
  if (found == records_.end()) return;
  std::array<char, AVAHI_ADDRESS_STR_MAX> host{};
  avahi_address_snprint(host.data(), host.size(), &address);
  Node node;
  node.address = {host.data(), port};
  node.name = std::get<2>(key);
  if (node.address.host.starts_with("fe80:")) {
    std::array<char, IF_NAMESIZE> interface{};
    if (if_indextoname(static_cast<unsigned>(std::get<0>(key)), interface.data()) != nullptr) {
      node.address.host += std::string("%") + interface.data();
    }
  }
  // PYME announces what the host name resolves to, on Debian 127.0.1.1; on another host that
  // address would be this one.
  const bool loopback = node.address.host.starts_with("127.") || node.address.host == "::1";
  if (loopback && !is_local) return;
  for (AvahiStringList* at = txt; at != nullptr; at = avahi_string_list_get_next(at)) {
    const auto* text = reinterpret_cast<const char*>(avahi_string_list_get_text(at));
    apply_txt(std::string(text, avahi_string_list_get_size(at)), node);
  }
  if (found->second.node == node) return;
  found->second.node = std::move(node);
  is_news_ = true;
}

void AvahiBrowser::turn() {
  const TimePoint now = std::chrono::steady_clock::now();
  bool waiting = false;
  for (auto& [key, record] : records_) {
    if (record.retry != TimePoint{} && record.retry <= now) resolve(key, record);
    waiting |= !record.node && record.retry == TimePoint{};
  }
  if (all_at_ && (!waiting || now >= *all_at_ + kGrace)) {
    all_at_.reset();
    before_.clear();
    complete_ = is_news_ = true;
  }
  if (is_news_) say();
}

void AvahiBrowser::say() {
  is_news_ = false;
  std::vector<Node> named = before_;
  for (const auto& [key, record] : records_) {
    if (record.node) named.push_back(*record.node);
  }
  report_(prefer_ipv4(std::move(named)), complete_);
}

}  // namespace

std::unique_ptr<MdnsBrowser> MdnsBrowser::start(Report report) {
  return std::make_unique<AvahiBrowser>(std::move(report));
}

}  // namespace skein
