#include "fuse/options.h"

#include <doctest/doctest.h>

#include <cstdlib>

using namespace skein;

namespace {

Config empty_config() {
  ::setenv("SKEIN_CONFIG", "/dev/null", 1);
  auto config = Config::load();
  REQUIRE(config.ok());
  return *config;
}

Result<MountOptions> own(std::vector<std::string> words) {
  TextToPrint print;
  return parse_mount_options(empty_config(), words, false, &print);
}

Result<MountOptions> helper(std::vector<std::string> words) {
  TextToPrint print;
  return parse_mount_options(empty_config(), words, true, &print);
}

}  // namespace

TEST_CASE("options: nodes without a cluster mean these nodes and no others") {
  const auto options = own({"/mnt/x", "--node", "http://a:1", "--node", "b:2"});
  REQUIRE(options.ok());
  REQUIRE(options->nodes.size() == 2);
  CHECK(options->nodes[1] == NodeAddress{"b", 2});
  CHECK_FALSE(options->mdns);
  CHECK_FALSE(options->registry);
  const auto both = own({"/mnt/x", "--node", "http://a:1", "--cluster", "room1"});
  REQUIRE(both.ok());
  CHECK(both->mdns);
  CHECK(both->cluster == "room1");
}

TEST_CASE("options: a mount point keeps no trailing slash and becomes absolute") {
  REQUIRE(own({"/mnt/x/"}).ok());
  CHECK(own({"/mnt/x/"})->mount_point == "/mnt/x");
  CHECK(own({"x"})->mount_point.is_absolute());
}

TEST_CASE("options: an fstab line as mount(8) passes it on") {
  const auto options = helper({"room1", "/mnt/x", "-o",
                               "rw,nodev,nosuid,_netdev,nofail,x-systemd.automount,allow_other,"
                               "uid=1000,gid=100,umask=027,node=http://a:1;http://b:2",
                               "-t", "fuse.skein", "-sn"});
  REQUIRE(options.ok());
  CHECK(options->cluster == "room1");
  CHECK(options->mount_point == "/mnt/x");
  CHECK(options->allow_other);
  CHECK_FALSE(options->read_only);
  CHECK(options->uid == 1000);
  CHECK(options->gid == 100);
  CHECK(options->umask == 027);
  CHECK(options->nodes.size() == 2);
  CHECK(options->kernel_options == std::vector<std::string>{"nodev", "nosuid"});
  const auto by_url = helper({"http://a:1;http://b:2", "/mnt/x", "-o", "ro"});
  REQUIRE(by_url.ok());
  CHECK(by_url->nodes.size() == 2);
  CHECK(by_url->read_only);
  CHECK_FALSE(by_url->mdns);
  CHECK(helper({"skein", "/mnt/x"})->cluster == computer_name());
}

TEST_CASE("options: what cannot be meant is refused with one line") {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"/mnt/x", "--no-such-flag"},
      {"/mnt/x", "/mnt/y"},
      {"/mnt/x", "--node", "http://a:port"},
      {"/mnt/x", "-o", "no_such_option"},
      {"/mnt/x", "-o", "uid=root"},
      {"/mnt/x", "-o", "umask=9"},
      {"/mnt/x", "-o", "deadline_ms=1"},
      {"/mnt/x", "--wait-for-nodes", "soon"},
  };
  for (const auto& words : wrong) {
    const auto options = own(words);
    REQUIRE_FALSE(options.ok());
    CHECK(options.error().code == std::errc::invalid_argument);
    CHECK(options.error().what.find('\n') == std::string::npos);
  }
  CHECK_FALSE(helper({"room1"}).ok());
  CHECK_FALSE(helper({"room1", "/mnt/x", "-o"}).ok());
  CHECK_FALSE(helper({"room1", "/mnt/x", "-q"}).ok());
}

TEST_CASE("options: --help ends with the exit statuses") {
  TextToPrint print;
  const std::vector<std::string> words{"--help"};
  REQUIRE(parse_mount_options(empty_config(), words, false, &print).ok());
  CHECK(print.text.find("exit status: 0 mounted") != std::string::npos);
  CHECK(print.text.find("--cluster") != std::string::npos);
}

TEST_CASE("options: the mount helper is known by its name") {
  CHECK(is_mount_helper("/sbin/mount.fuse.skein"));
  CHECK(is_mount_helper("mount.skein"));
  CHECK_FALSE(is_mount_helper("/usr/bin/skein-mount"));
}
