#include "fuse/space.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "fuse/spare_thread.h"

namespace skein {
namespace {

constexpr std::chrono::seconds kTrust{1};
// More nodes than this are asked in turns of so many threads.
constexpr std::size_t kAskedAtOnce = 16;
// Reports of one disk differ by what was written between them: up to a few seconds of writing.
constexpr std::uint64_t kNearlyBytes = std::uint64_t{8} << 30;

bool same_disk(const HostDisk& a, const HostDisk& b) {
  if (a.host_id.empty() || a.host_id != b.host_id) return false;
  const auto [low, high] = std::minmax(a.space.free_bytes, b.space.free_bytes);
  return a.space.total_bytes == b.space.total_bytes && high - low < kNearlyBytes;
}

}  // namespace

Result<DiskSpace> parse_disk(std::string_view status_json) {
  const auto json = nlohmann::json::parse(status_json, nullptr, false);
  const Error bad{std::errc::bad_message, "status without Disk.total and Disk.free"};
  if (!json.is_object() || !json.contains("Disk") || !json["Disk"].is_object()) return bad;
  const auto& disk = json["Disk"];
  for (const char* key : {"total", "free"}) {
    if (!disk.contains(key) || !disk[key].is_number_unsigned()) return bad;
  }
  return DiskSpace{disk["total"].get<std::uint64_t>(), disk["free"].get<std::uint64_t>()};
}

DiskSpace sum_disks(const std::vector<HostDisk>& disks) {
  DiskSpace sum;
  for (auto disk = disks.begin(); disk != disks.end(); ++disk) {
    const bool counted = std::any_of(
        disks.begin(), disk, [&](const HostDisk& other) { return same_disk(other, *disk); });
    if (counted) continue;
    sum.total_bytes += disk->space.total_bytes;
    sum.free_bytes += disk->space.free_bytes;
  }
  return sum;
}

SpaceCounter::SpaceCounter(NodeClient& client, Membership& membership)
    : client_(client), membership_(membership) {}

DiskSpace SpaceCounter::count() {
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = std::chrono::steady_clock::now();
    if (now - asked_ < kTrust) return sum_;
    asked_ = now;  // others take the old sum while this call asks
  }
  const NodeSnapshot nodes = membership_.nodes();
  std::vector<std::optional<DiskSpace>> answers(nodes->size());
  for (std::size_t from = 0; from < nodes->size(); from += kAskedAtOnce) {
    std::vector<std::jthread> asking;
    for (std::size_t i = from; i < std::min(from + kAskedAtOnce, nodes->size()); ++i) {
      const auto ask = [&, i] {
        const auto status = client_.status((*nodes)[i]);
        if (!status) return membership_.report_failure((*nodes)[i].key(), status.error());
        if (const auto disk = parse_disk(*status)) answers[i] = *disk;
      };
      asking.push_back(spare_thread(ask));
      if (!asking.back().joinable()) ask();
    }
  }
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, HostDisk>> known;
  std::vector<HostDisk> disks;
  for (std::size_t i = 0; i < nodes->size(); ++i) {
    const Node& node = (*nodes)[i];
    const auto before = std::find_if(last_.begin(), last_.end(),
                                     [&](const auto& pair) { return pair.first == node.key(); });
    if (!answers[i] && before == last_.end()) continue;
    known.emplace_back(node.key(), answers[i] ? HostDisk{node.host_id, *answers[i]}
                                              : before->second);
    disks.push_back(known.back().second);
  }
  last_ = std::move(known);
  sum_ = sum_disks(disks);
  return sum_;
}

}  // namespace skein
