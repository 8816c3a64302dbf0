#include "tools/node_status.h"

#include <doctest/doctest.h>

namespace skein {
namespace {

// As PYME's server gives it (docs/wire.md, "Status, glob, client operations").
constexpr std::string_view kPyme = R"({
  "IPAddress": "10.0.0.2", "Port": 15348, "ComputerName": "cam2", "Uptime": "26:03:01.123456",
  "Disk": {"total": 1000, "used": 400, "free": 600}, "CPUUsage": [10.0, 30.0],
  "MemUsage": {"total": 2000, "available": 500, "percent": 75.0}})";

TEST_CASE("status: what PYME's server says is understood") {
  const auto status = parse_status(kPyme);
  REQUIRE(status);
  CHECK(status->computer == "cam2");
  CHECK(status->uptime == "26:03:01");
  CHECK(status->disk_total_bytes == 1000);
  CHECK(status->disk_free_bytes == 600);
  CHECK(status->cpu_percent == 20.0);
  CHECK(status->memory_available_bytes == 500);
  CHECK(status->version == "");
}

TEST_CASE("status: members that are missing or of another kind are unknown, not errors") {
  for (const char* text :
       {"{}", R"({"Disk":[],"CPUUsage":[],"MemUsage":7,"Uptime":3,"ComputerName":null})",
        R"({"Disk":{"total":"many","free":-1},"CPUUsage":["a"]})"}) {
    CAPTURE(text);
    const auto status = parse_status(text);
    REQUIRE(status);
    CHECK_FALSE(status->disk_total_bytes.has_value());
    CHECK_FALSE(status->disk_free_bytes.has_value());
    CHECK_FALSE(status->cpu_percent.has_value());
    CHECK(status->computer.empty());
  }
}

TEST_CASE("status: what is no JSON object is an error") {
  for (const char* text : {"", "[]", "<html>", "{", "7"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_status(text).ok());
  }
}

StatusReply reply(const std::string& host, std::uint64_t total, std::uint64_t free) {
  NodeStatus status;
  status.host_id = host;
  status.disk_total_bytes = total;
  status.disk_free_bytes = free;
  return {Node{}, status, "{}"};
}

TEST_CASE("status: nodes that share a disk count it once") {
  const std::vector<StatusReply> replies{reply("h1", 100, 40), reply("h1", 100, 40),
                                         reply("h1", 500, 10), reply("h2", 100, 30),
                                         {Node{}, Error{std::errc::timed_out, "late"}, ""}};
  const SpaceSum sum = sum_space(replies);
  CHECK(sum.total_bytes == 700);
  CHECK(sum.free_bytes == 80);
}

}  // namespace
}  // namespace skein
