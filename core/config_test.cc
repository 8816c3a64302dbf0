#include "core/config.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/node.h"
#include "core/scratch_folder.h"

namespace skein {
namespace {

// The environment as a test wants it: one settings file, no variables left from outside.
class Surroundings {
 public:
  explicit Surroundings(const std::string& toml) {
    file_ = folder_.path() / "skein.toml";
    std::ofstream(file_) << toml;
    set("SKEIN_CONFIG", file_.string());
  }
  ~Surroundings() {
    for (const std::string& name : names_) ::unsetenv(name.c_str());
  }
  Surroundings(const Surroundings&) = delete;
  Surroundings& operator=(const Surroundings&) = delete;

  void set(const std::string& name, const std::string& value) {
    ::setenv(name.c_str(), value.c_str(), 1);
    names_.push_back(name);
  }
  std::string file() const { return file_.string(); }

 private:
  ScratchFolder folder_;
  std::filesystem::path file_;
  std::vector<std::string> names_;
};

}  // namespace

TEST_CASE("config: with no file and no variable every setting is its default and says so") {
  Surroundings surroundings("");
  const auto config = Config::load();
  REQUIRE(config);
  CHECK(config->text("cluster") == computer_name());
  CHECK(config->integer("server.port") == kDefaultPort);
  CHECK(config->milliseconds("listing_trust_ms") == std::chrono::milliseconds(2500));
  CHECK(config->flag("mdns"));
  CHECK(config->list("nodes").empty());
  for (const auto& [key, setting] : config->all()) CHECK(setting.origin == "default");
  CHECK(config->all().size() == known_settings().size());
}

TEST_CASE("config: a flag wins over the environment, which wins over the file") {
  Surroundings surroundings(
      "cluster = \"from-file\"\n[server]\nport = 1\nroot = \"/from/file\"\n");
  surroundings.set("SKEIN_SERVER_PORT", "2");
  surroundings.set("SKEIN_CLUSTER", "from-environment");
  auto config = Config::load();
  REQUIRE(config);
  REQUIRE(config->set("cluster", "from-flag", "flag --cluster"));
  CHECK(config->get("server.root").value == "/from/file");
  CHECK(config->get("server.root").origin == surroundings.file());
  CHECK(config->integer("server.port") == 2);
  CHECK(config->get("server.port").origin == "environment SKEIN_SERVER_PORT");
  CHECK(config->text("cluster") == "from-flag");
  CHECK(config->get("cluster").origin == "flag --cluster");
}

TEST_CASE("config: a list is an array in the file and comma-separated elsewhere") {
  Surroundings surroundings("nodes = [\"http://a:1\", \"http://b:2\"]\n");
  auto config = Config::load();
  REQUIRE(config);
  CHECK(config->list("nodes") == std::vector<std::string>{"http://a:1", "http://b:2"});
  REQUIRE(config->set("nodes", "http://c:3,http://d:4", "flag --node"));
  CHECK(config->list("nodes") == std::vector<std::string>{"http://c:3", "http://d:4"});
}

TEST_CASE("config: what is wrong in the file is refused, with file and line") {
  const struct {
    const char* toml;
    int line;
    const char* says;
  } cases[] = {
      {"cluster = \"a\"\nclutser = \"b\"\n", 2, "clutser"},
      {"[server]\nport = \"many\"\n", 2, "server.port"},
      {"\n\n[server]\nprot = 1\n", 4, "server.prot"},
      {"mdns = 1\n", 1, "mdns"},
      {"nodes = \"http://a:1\"\n", 1, "nodes"},
      {"cluster = \n", 1, ""},
  };
  for (const auto& bad : cases) {
    CAPTURE(bad.toml);
    Surroundings surroundings(bad.toml);
    const auto config = Config::load();
    REQUIRE(!config);
    CHECK(config.error().code == std::errc::invalid_argument);
    const std::string place = surroundings.file() + ":" + std::to_string(bad.line);
    CHECK(config.error().what.find(place) != std::string::npos);
    CHECK(config.error().what.find(bad.says) != std::string::npos);
  }
}

TEST_CASE("config: a wrong value in the environment or a flag is refused by its name") {
  Surroundings surroundings("");
  auto config = Config::load();
  REQUIRE(config);
  const auto set = config->set("server.port", "-1", "flag --port");
  REQUIRE(!set);
  CHECK(set.error().what.find("flag --port") != std::string::npos);
  CHECK(config->integer("server.port") == kDefaultPort);

  surroundings.set("SKEIN_MDNS", "yes");
  const auto loaded = Config::load();
  REQUIRE(!loaded);
  CHECK(loaded.error().what.find("SKEIN_MDNS") != std::string::npos);
}

TEST_CASE("config: a settings file that is not there changes nothing") {
  Surroundings surroundings("");
  std::filesystem::remove(surroundings.file());
  const auto config = Config::load();
  REQUIRE(config);
  CHECK(config->get("cluster").origin == "default");
}

}  // namespace skein
