#include "discovery/mdns_records.h"

#include <doctest/doctest.h>

namespace skein {
namespace {

const std::string kId = "aaaaaaaa-0000-4000-8000-000000000001";

Node heard(const std::string& host, const std::string& name) {
  Node node;
  node.address = {host, 80};
  node.name = name;
  return node;
}

TEST_CASE("mdns records: TXT carries version, id, host and cluster, and is read back") {
  Node node = heard("10.0.0.1", "n");
  node.id = kId;
  node.host_id = "host=1";
  node.cluster = "our lab";
  const auto txt = txt_of(node);
  CHECK(txt == std::vector<std::string>{"v=1", "id=" + kId, "host=host=1", "cluster=our lab"});
  Node read = heard("10.0.0.1", "n");
  for (const auto& text : txt) apply_txt(text, read);
  CHECK(read == node);
}

TEST_CASE("mdns records: what does not fit a TXT string is left out, odd strings are passed over") {
  Node node;
  node.id = kId;
  node.cluster = std::string(300, 'x');
  CHECK(txt_of(node) == std::vector<std::string>{"v=1", "id=" + kId, "host="});
  Node read;
  for (const char* text : {"", "id", "id=../x", "=", "colour=blue"}) apply_txt(text, read);
  CHECK(read == Node{});
}

TEST_CASE("mdns records: a name heard on several interfaces keeps each IPv4 address once") {
  const auto nodes = prefer_ipv4({heard("fe80::1%eth0", "a"), heard("10.0.0.1", "a"),
                                  heard("10.1.0.1", "a"), heard("10.0.0.1", "a"),
                                  heard("fe80::2%eth0", "b")});
  REQUIRE(nodes.size() == 3);
  CHECK(nodes[0].address.host == "10.0.0.1");
  CHECK(nodes[1].address.host == "10.1.0.1");
  CHECK(nodes[2].address.host == "fe80::2%eth0");
}

}  // namespace
}  // namespace skein
