#include "dataserver/mirror_sources.h"

#include <doctest/doctest.h>

using skein::MirrorSources;
using skein::NodeAddress;
using skein::parse_mirror_source;

TEST_CASE("mirror source: a URL is host, port and a target that can be sent") {
  const auto source = parse_mirror_source("http://10.0.0.2:15348/a b/\xc3\xa4?x#y");
  REQUIRE(source);
  CHECK(source->address == NodeAddress{"10.0.0.2", 15348});
  CHECK(source->target == "/a%20b/%C3%A4?x");
  CHECK(parse_mirror_source("http://cam2/a%20b")->address == NodeAddress{"cam2", 80});
  CHECK(parse_mirror_source("http://cam2/a%20b")->target == "/a%20b");
  CHECK(parse_mirror_source("http://[fe80::1]:81/a")->address.port == 81);
}

TEST_CASE("mirror source: what is no such URL is refused") {
  for (const char* url :
       {"", "/a", "http://", "http:///a", "http://h", "https://h/a", "ftp://h/a", "http://h/",
        "file:///etc/passwd", "http://u:p@h/a", "http://h:99999/a", "http://h:x/a",
        "http://h/a\r\nX: y", "http://h/\x7f", "http://[::1/a", "http://h/d/?x"}) {
    CAPTURE(url);
    CHECK_FALSE(parse_mirror_source(url));
  }
}

TEST_CASE("mirror sources: an address is allowed as host, or as host and port") {
  MirrorSources sources({.cluster = "c", .allowed = {"10.0.0.2", "10.0.0.3:81"}});
  CHECK(*sources.allows({"10.0.0.2", 1}));
  CHECK(*sources.allows({"10.0.0.3", 81}));
  CHECK_FALSE(*sources.allows({"10.0.0.3", 80}));
  CHECK_FALSE(*sources.allows({"10.0.0.22", 1}));
  CHECK_FALSE(*sources.allows({"", 1}));
}
