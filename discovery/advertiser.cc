#include "discovery/advertiser.h"

#include <arpa/inet.h>
#include <avahi-client/publish.h>
#include <avahi-common/alternative.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <spdlog/spdlog.h>

#include <array>
#include <optional>

#include "discovery/avahi_loop.h"
#include "discovery/mdns_records.h"
#include "discovery/registry.h"

namespace skein {
namespace {

// Names tried after a collision, each with a higher number at its end.
constexpr int kMostNames = 20;

std::string numeric_host(const sockaddr* address) {
  const bool v4 = address->sa_family == AF_INET;
  if (!v4 && address->sa_family != AF_INET6) return {};
  std::array<char, NI_MAXHOST> host{};
  const socklen_t size = v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (getnameinfo(address, size, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return {};
  }
  return host.data();
}

// The interface that has this address, or the loopback one; unspecified if there is none such.
// Announced elsewhere, the name would stand for an address at which nobody listens.
AvahiIfIndex interface_of(const std::string& host, const Advertiser::Options& options) {
  if (!options.loopback_only && options.all_addresses) return AVAHI_IF_UNSPEC;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return AVAHI_IF_UNSPEC;
  AvahiIfIndex found = AVAHI_IF_UNSPEC;
  for (const ifaddrs* at = list; at != nullptr && found == AVAHI_IF_UNSPEC; at = at->ifa_next) {
    const bool is_loopback = (at->ifa_flags & IFF_LOOPBACK) != 0;
    const bool has_address = at->ifa_addr != nullptr && numeric_host(at->ifa_addr) == host;
    if (!(options.loopback_only ? is_loopback : has_address)) continue;
    found = static_cast<AvahiIfIndex>(if_nametoindex(at->ifa_name));
  }
  freeifaddrs(list);
  return found;
}

// "::" listens for IPv4 too, unless the host is set up otherwise; ::1 is an address of its own.
std::string loopback_of(const std::string& host) {
  return host == "::1" ? host : "127.0.0.1";
}

AvahiProtocol protocol_of(const std::string& host) {
  if (host == "::") return AVAHI_PROTO_UNSPEC;
  return host.find(':') == std::string::npos ? AVAHI_PROTO_INET : AVAHI_PROTO_INET6;
}

struct TxtFree {
  void operator()(AvahiStringList* list) const { avahi_string_list_free(list); }
};
using Txt = std::unique_ptr<AvahiStringList, TxtFree>;

Txt make_txt(const Node& node) {
  const std::vector<std::string> strings = txt_of(node);
  Txt txt;
  // Avahi's lists grow at the front.
  for (auto at = strings.rbegin(); at != strings.rend(); ++at) {
    txt.reset(avahi_string_list_add(txt.release(), at->c_str()));
  }
  return txt;
}

// Announces one node by mDNS for as long as it lives.
class Announcement {
 public:
  Announcement(const Node& node, const Advertiser::Options& options)
      : node_(node),
        interface_(interface_of(node.address.host, options)),
        name_(node.name),
        loop_("announcing " + node.name,
              {[this](AvahiClient* client) { return publish(client); },
               [this] { take_back(); }, [this] { group_ = nullptr; }, [] {}, [this] { turn(); }}) {}

 private:
  bool publish(AvahiClient* client);
  // Puts the records under name_ into the empty group. Returns Avahi's outcome.
  int add_records();
  void take_back();
  void turn();
  void rename();

  const Node node_;
  const AvahiIfIndex interface_;

  // The loop's thread only.
  std::string name_;
  int names_tried_ = 1;
  bool collided_ = false;
  AvahiEntryGroup* group_ = nullptr;  // owned by the client

  AvahiLoop loop_;  // last: its thread uses the above
};

bool Announcement::publish(AvahiClient* client) {
  const auto changed = [](AvahiEntryGroup*, AvahiEntryGroupState state, void* user) {
    auto* const self = static_cast<Announcement*>(user);
    if (state == AVAHI_ENTRY_GROUP_ESTABLISHED) {
      spdlog::info("announced by mDNS: name={} port={}", self->name_, self->node_.address.port);
    }
    if (state == AVAHI_ENTRY_GROUP_COLLISION) self->collided_ = true;
    if (state == AVAHI_ENTRY_GROUP_FAILURE) self->loop_.begin_again();
  };
  if (group_ == nullptr) group_ = avahi_entry_group_new(client, changed, this);
  if (group_ == nullptr) {
    spdlog::warn("cannot announce by mDNS: name={} why={}", name_,
                 avahi_strerror(avahi_client_errno(client)));
    return false;
  }
  if (!avahi_entry_group_is_empty(group_)) return true;
  int outcome = add_records();
  while (outcome == AVAHI_ERR_COLLISION && names_tried_ < kMostNames) {
    rename();
    outcome = add_records();
  }
  if (outcome == AVAHI_OK) return true;
  spdlog::warn("cannot announce by mDNS: name={} why={}", name_, avahi_strerror(outcome));
  return false;
}

int Announcement::add_records() {
  avahi_entry_group_reset(group_);
  const Txt txt = make_txt(node_);
  const int added = avahi_entry_group_add_service_strlst(
      group_, interface_, protocol_of(node_.address.host), AvahiPublishFlags{}, name_.c_str(),
      kMdnsType, nullptr, nullptr, node_.address.port, txt.get());
  return added == AVAHI_OK ? avahi_entry_group_commit(group_) : added;
}

void Announcement::take_back() {
  if (group_ != nullptr) avahi_entry_group_reset(group_);
}

// A collision is answered here, because a group must not be changed within its own callback.
void Announcement::turn() {
  if (!collided_) return;
  collided_ = false;
  if (group_ == nullptr || names_tried_ >= kMostNames) return;
  avahi_entry_group_reset(group_);
  rename();
  if (!publish(avahi_entry_group_get_client(group_))) loop_.begin_again();
}

// Instance names hold the process number, so this is another host with the same name and number.
void Announcement::rename() {
  char* const other = avahi_alternative_service_name(name_.c_str());
  spdlog::warn("mDNS name is taken, using another: name={} instead={}", name_, other);
  name_ = other;
  ++names_tried_;
  avahi_free(other);
}

class LiveAdvertiser final : public Advertiser {
 public:
  LiveAdvertiser(std::optional<RegistryFile> file, std::unique_ptr<Announcement> announcement)
      : announcement_(std::move(announcement)), file_(std::move(file)) {}

 private:
  // Destroyed from the last: the registry file first, since the goodbye may take a moment.
  std::unique_ptr<Announcement> announcement_;
  std::optional<RegistryFile> file_;
};

}  // namespace

Result<std::unique_ptr<Advertiser>> Advertiser::start(const Node& node, Options options) {
  std::optional<RegistryFile> file;
  if (options.registry) {
    Node here = node;
    if (options.all_addresses) here.address.host = loopback_of(node.address.host);
    auto written = RegistryFile::write(here);
    if (!written) return written.error();
    file.emplace(std::move(*written));
  }
  std::unique_ptr<Announcement> announcement;
  if (options.mdns) announcement = std::make_unique<Announcement>(node, options);
  std::unique_ptr<Advertiser> advertiser =
      std::make_unique<LiveAdvertiser>(std::move(file), std::move(announcement));
  return advertiser;
}

}  // namespace skein
