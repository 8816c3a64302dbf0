#include "dataserver/node_status.h"

#include <array>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace skein {
namespace {

using Json = nlohmann::ordered_json;

// "0:00:12.345678", as Python prints a timedelta.
std::string uptime_text(std::chrono::steady_clock::duration uptime) {
  const long long us =
      std::chrono::duration_cast<std::chrono::microseconds>(uptime).count();
  const long long seconds = us / 1'000'000;
  const long long days = seconds / 86400;
  std::array<char, 80> text{};
  std::snprintf(text.data(), text.size(), "%lld:%02lld:%02lld.%06lld", seconds / 3600 % 24,
                seconds / 60 % 60, seconds % 60, us % 1'000'000);
  const std::string day_text = days == 1 ? "1 day, " : std::to_string(days) + " days, ";
  return (days > 0 ? day_text : std::string()) + text.data();
}

// Source: proc(5), /proc/meminfo; the keys are psutil's.
Json memory() {
  std::map<std::string, std::uint64_t> kib;
  std::ifstream in("/proc/meminfo");
  std::string name;
  std::string rest;
  std::uint64_t value = 0;
  while (in >> name >> value) {
    std::getline(in, rest);
    kib[name] = value;
  }
  const std::uint64_t total = kib["MemTotal:"] * 1024;
  const std::uint64_t available = kib["MemAvailable:"] * 1024;
  const std::uint64_t free = kib["MemFree:"] * 1024;
  const std::uint64_t cached = (kib["Buffers:"] + kib["Cached:"] + kib["SReclaimable:"]) * 1024;
  const std::uint64_t per_mille = total == 0 ? 0 : (total - available) * 1000 / total;
  return {{"total", total},
          {"available", available},
          {"percent", static_cast<double>(per_mille) / 10},
          {"used", total > free + cached ? total - free - cached : 0},
          {"free", free}};
}

}  // namespace

NodeStatus::NodeStatus(Node node, std::string bind_address, const FileStore& store)
    : node_(std::move(node)), bind_address_(std::move(bind_address)), store_(store) {
  cpu_percent_.assign(cpus_.size(), 0.0);
  bytes_per_s_ = traffic_;
  for (auto& [name, rate] : bytes_per_s_) rate = {};
}

// Source: proc(5), /proc/stat: user nice system idle iowait irq softirq steal ...
std::vector<NodeStatus::Cpu> NodeStatus::read_cpus() {
  std::vector<Cpu> cpus;
  std::ifstream in("/proc/stat");
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with("cpu") || line.starts_with("cpu ")) continue;
    std::istringstream fields(line);
    std::string name;
    fields >> name;
    Cpu cpu;
    std::uint64_t ticks = 0;
    for (int i = 0; i < 8 && fields >> ticks; ++i) {
      cpu.all += ticks;
      if (i != 3 && i != 4) cpu.busy += ticks;
    }
    cpus.push_back(cpu);
  }
  return cpus;
}

// Source: proc(5), /proc/net/dev: received bytes are the first field, sent bytes the ninth.
std::map<std::string, NodeStatus::Traffic> NodeStatus::read_traffic() {
  std::map<std::string, Traffic> traffic;
  std::ifstream in("/proc/net/dev");
  std::string line;
  while (std::getline(in, line)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::istringstream fields(line.substr(colon + 1));
    Traffic one;
    std::uint64_t skipped = 0;
    fields >> one.received_bytes;
    for (int i = 0; i < 7; ++i) fields >> skipped;
    fields >> one.sent_bytes;
    traffic[line.substr(line.find_first_not_of(' '), colon - line.find_first_not_of(' '))] = one;
  }
  return traffic;
}

void NodeStatus::sample() {
  const TimePoint now = std::chrono::steady_clock::now();
  const std::chrono::duration<double> passed = now - sampled_;
  if (passed < kSample) return;
  const auto cpus = read_cpus();
  for (std::size_t i = 0; i < std::min(cpus.size(), cpus_.size()); ++i) {
    const double all = static_cast<double>(cpus[i].all - cpus_[i].all);
    const double busy = static_cast<double>(cpus[i].busy - cpus_[i].busy);
    cpu_percent_[i] = all > 0 ? static_cast<double>(static_cast<int>(busy / all * 1000)) / 10 : 0;
  }
  const auto traffic = read_traffic();
  bytes_per_s_.clear();
  for (const auto& [name, bytes] : traffic) {
    const Traffic before = traffic_.contains(name) ? traffic_[name] : bytes;
    const auto rate = [&](std::uint64_t to, std::uint64_t from) {
      return static_cast<std::uint64_t>(static_cast<double>(to - from) / passed.count());
    };
    bytes_per_s_[name] = {rate(bytes.sent_bytes, before.sent_bytes),
                          rate(bytes.received_bytes, before.received_bytes)};
  }
  cpus_ = cpus;
  traffic_ = traffic;
  sampled_ = now;
}

std::string NodeStatus::json() {
  Json status;
  status["IPAddress"] = node_.address.host;
  status["BindAddress"] = Json::array({bind_address_, node_.address.port});
  status["Port"] = node_.address.port;
  status["Protocol"] = "1.1";
  status["TestMode"] = false;
  status["ComputerName"] = computer_name();
  const auto space = store_.space();
  const FileStore::Space disk = space ? *space : FileStore::Space{};
  status["Disk"] = {{"total", disk.total_bytes},
                    {"used", disk.total_bytes - disk.free_bytes},
                    {"free", disk.free_bytes}};
  status["Uptime"] = uptime_text(std::chrono::steady_clock::now() - started_);
  status["MemUsage"] = memory();
  {
    const std::lock_guard lock(mutex_);
    sample();
    status["CPUUsage"] = cpu_percent_;
    status["Network"] = Json::object();
    for (const auto& [name, rate] : bytes_per_s_) {
      status["Network"][name] = {{"send", rate.sent_bytes}, {"recv", rate.received_bytes}};
    }
  }
  status["NodeId"] = node_.id;
  status["HostId"] = node_.host_id;
  status["Cluster"] = node_.cluster;
  status["Lane"] = node_.lane;
  status["InstanceName"] = node_.name;
  status["Version"] = SKEIN_VERSION;
  return status.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace skein
