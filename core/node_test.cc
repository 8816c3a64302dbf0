#include "core/node.h"

#include <doctest/doctest.h>

#include "core/uuid.h"

namespace skein {
namespace {

TEST_CASE("node url: scheme, port and trailing slash are optional") {
  CHECK(*parse_node_url("http://10.0.0.2:8080/") == NodeAddress{"10.0.0.2", 8080});
  CHECK(*parse_node_url("10.0.0.2:8080") == NodeAddress{"10.0.0.2", 8080});
  CHECK(*parse_node_url("cam2") == NodeAddress{"cam2", kDefaultPort});
  CHECK(*parse_node_url("http://[::1]:99") == NodeAddress{"::1", 99});
  CHECK(parse_node_url("http://[::1]:99")->text() == "[::1]:99");
}

TEST_CASE("node url: anything else is refused") {
  for (const char* text : {"", "http://", "https://a:1", "http://a:0", "http://a:70000", "http://a:",
                           "http://a:1/x", "http://:1", "http://[::1", "http://[::1]x", "a b",
                           "http://u@h:1", "http://a:1x"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_node_url(text));
  }
}

TEST_CASE("instance name: at most 63 bytes, the pid always whole") {
  CHECK(instance_name("lab", "cam1", 77) == "PYMEDataServer [lab]:cam1 - PID:77");
  for (std::size_t length = 1; length < 120; ++length) {
    const std::string name = instance_name(std::string(length, 'c'), "cam1", 4194304);
    REQUIRE(name.size() <= 63);
    REQUIRE(name.ends_with("PID:4194304"));
  }
}

TEST_CASE("instance name: is never cut inside a UTF-8 character") {
  for (int pad = 0; pad < 4; ++pad) {
    std::string cluster(static_cast<std::size_t>(pad), 'x');
    for (int i = 0; i < 40; ++i) cluster += "\xc3\xa9";
    const std::string name = instance_name(cluster, "cam", 12);
    const std::string front = name.substr(0, name.find("PID:"));
    REQUIRE(static_cast<unsigned char>(front.back()) == 0xa9);
  }
}

Node cam1() {
  Node node;
  node.address.host = "10.0.0.2";
  node.address.port = 1;
  node.name = "PYMEDataServer [lab]:cam1 - PID:7";
  node.cluster = "lab";
  return node;
}

TEST_CASE("filter: a substring of the instance name; without one the cluster's own name") {
  Node node = cam1();
  CHECK(belongs_to(node, ""));
  CHECK(belongs_to(node, "lab"));
  CHECK(belongs_to(node, "cam1"));
  CHECK_FALSE(belongs_to(node, "LAB"));
  node.name.clear();
  CHECK(belongs_to(node, "lab"));
  CHECK_FALSE(belongs_to(node, "la"));
}

TEST_CASE("label: the computer's name where an instance name tells it") {
  Node node = cam1();
  CHECK(node.label() == "cam1 (10.0.0.2:1)");
  node.name.clear();
  CHECK(node.label() == "10.0.0.2:1");
}

TEST_CASE("uuid: made ones are well-formed and differ") {
  const std::string one = make_uuid();
  CHECK(is_uuid(one));
  CHECK(one != make_uuid());
  for (const char* text : {"", "x", "00000000-0000-0000-0000-00000000000G",
                           "00000000-0000-0000-0000-0000000000000", "../../../../../../../../../../etc/pw"}) {
    CAPTURE(text);
    CHECK_FALSE(is_uuid(text));
  }
}

}  // namespace
}  // namespace skein
