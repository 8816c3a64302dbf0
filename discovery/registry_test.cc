#include "discovery/registry.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "discovery/registry_watch.h"
#include "discovery/test_node.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

const std::string kId = "aaaaaaaa-0000-4000-8000-000000000001";
const std::string kOtherId = "bbbbbbbb-0000-4000-8000-000000000002";

Node some_node() {
  return {{"127.0.0.1", 8080}, kId, local_host_id(), "PYMEDataServer [lab]:a - PID:1", "lab",
          "/run/skein/" + kId + ".sock"};
}

// Number of a process of ours that has ended.
pid_t ended_process() {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(0);
  REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  return pid;
}

RegistryEntry dead_entry() {
  return {some_node(), ended_process(), 1,
          std::filesystem::read_symlink("/proc/self/ns/pid").string()};
}

void put(const std::filesystem::path& dir, const std::string& name, const std::string& text) {
  std::filesystem::create_directories(dir);
  std::ofstream(dir / name) << text;
}

TEST_CASE("registry: an entry survives being written and read, whatever its names hold") {
  RegistryEntry entry{some_node(), 42, 99, "pid:[1]"};
  entry.node.cluster = "our lab = 100%\nid=x";
  entry.node.name = "PYMEDataServer [\xc3\xa9t\xc3\xa9]:a - PID:1";
  entry.node.address.host = "::1";
  const auto read = parse_registry_text(registry_text(entry));
  REQUIRE(read);
  CHECK(read->node == entry.node);
  CHECK(read->pid == 42);
  CHECK(read->pid_start == 99);
  CHECK(read->pid_namespace == "pid:[1]");
}

TEST_CASE("registry: what is cut short or malformed is no entry, at any length") {
  const std::string text = registry_text({some_node(), 42, 99, "pid:[1]"});
  const std::size_t needed = text.find("host_id=");
  for (std::size_t length = 0; length < needed; ++length) {
    CHECK_FALSE(parse_registry_text(text.substr(0, length)));
  }
  CHECK_FALSE(parse_registry_text("v=1\nid=../../etc\nhost=h\nport=1\n"));
  CHECK_FALSE(parse_registry_text("v=1\nid=" + kId + "\nhost=h\nport=99999\n"));
  CHECK_FALSE(parse_registry_text("v=2\nid=" + kId + "\nhost=h\nport=1\n"));
  CHECK_FALSE(parse_registry_text("v=1\nid=" + kId + "\nhost=%zz\nport=1\n"));
  CHECK(parse_registry_text("v=1\nid=" + kId + "\nhost=h\nport=1\ncolour=blue\nodd\n"));
}

TEST_CASE("registry: a node's file lives as long as the node") {
  const OwnRunDir run_dir;
  const auto dir = registry_dir(run_dir.path());
  {
    const auto file = RegistryFile::write(some_node());
    REQUIRE(file);
    const auto nodes = read_registry(dir);
    REQUIRE(nodes.size() == 1);
    CHECK(nodes.front() == some_node());
  }
  CHECK(read_registry(dir).empty());
  CHECK(std::filesystem::is_empty(dir));
}

TEST_CASE("registry: a node without an id is refused, and nothing is written") {
  const OwnRunDir run_dir;
  Node node = some_node();
  node.id.clear();
  const auto file = RegistryFile::write(node);
  REQUIRE_FALSE(file);
  CHECK(file.error().code == std::errc::invalid_argument);
  CHECK(std::filesystem::is_empty(run_dir.path()));
}

TEST_CASE("registry: a server that ends leaves the file of its successor alone") {
  const OwnRunDir run_dir;
  const auto dir = registry_dir(run_dir.path());
  const std::string successor = registry_text({some_node(), 1, 0, ""});
  {
    const auto file = RegistryFile::write(some_node());
    REQUIRE(file);
    put(dir, kId, successor);
  }
  CHECK(read_registry(dir).size() == 1);
}

TEST_CASE("registry: the file of a process that is gone is ignored and removed") {
  const OwnRunDir run_dir;
  const auto dir = registry_dir(run_dir.path());
  put(dir, kId, registry_text(dead_entry()));
  CHECK(read_registry(dir).empty());
  CHECK(std::filesystem::is_empty(dir));
}

TEST_CASE("registry: a process number that was given to another process does not count") {
  const OwnRunDir run_dir;
  RegistryEntry entry = dead_entry();
  entry.pid = ::getpid();
  entry.pid_start = 1;  // nothing but the kernel was started in the first tick
  put(registry_dir(run_dir.path()), kId, registry_text(entry));
  CHECK(read_registry(registry_dir(run_dir.path())).empty());
}

TEST_CASE("registry: of another PID namespace nothing is known, so its file stays") {
  const OwnRunDir run_dir;
  RegistryEntry entry = dead_entry();
  entry.pid_namespace = "pid:[1]";
  put(registry_dir(run_dir.path()), kId, registry_text(entry));
  CHECK(read_registry(registry_dir(run_dir.path())).size() == 1);
}

TEST_CASE("registry: files of other machines, odd names, links and huge files are left out") {
  const OwnRunDir run_dir;
  const auto dir = registry_dir(run_dir.path());
  RegistryEntry foreign{some_node(), 0, 0, ""};
  foreign.node.host_id = "another machine";
  put(dir, kId, registry_text(foreign));
  put(dir, kOtherId, registry_text({some_node(), 0, 0, ""}));  // the id of another file
  put(dir, "README", "hello");
  const std::string third = "cccccccc-0000-4000-8000-000000000003";
  put(dir, third, std::string(kMaxRegistryFileBytes + 1, '\n'));
  std::filesystem::create_symlink("/etc/passwd", dir / "dddddddd-0000-4000-8000-000000000004");
  CHECK(read_registry(dir).empty());
  CHECK(std::filesystem::exists(dir / kId));
}

// What a watch reported, waited for.
class Reported {
 public:
  RegistryWatch::Report report() {
    return [this](const std::vector<Node>& nodes) {
      const std::lock_guard lock(mutex_);
      last_ = nodes.size();
      ++reports_;
      changed_.notify_all();
    };
  }
  bool comes_to(std::size_t count, std::chrono::milliseconds within) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, within, [&] { return reports_ > 0 && last_ == count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t last_ = 0;
  int reports_ = 0;
};

TEST_CASE("registry watch: a folder that is made later, a node that comes and one that goes") {
  const OwnRunDir run_dir;
  Reported reported;
  const RegistryWatch watch({run_dir.path() / "later"}, reported.report());
  REQUIRE(reported.comes_to(0, 5s));
  ::setenv("SKEIN_RUN_DIR", (run_dir.path() / "later").c_str(), 1);
  {
    const auto file = RegistryFile::write(some_node());
    REQUIRE(file);
    CHECK(reported.comes_to(1, 5s));
  }
  CHECK(reported.comes_to(0, 5s));
}

TEST_CASE("registry watch: a node whose process died without a word is noticed") {
  const OwnRunDir run_dir;
  Reported reported;
  int alive[2];
  REQUIRE(::pipe(alive) == 0);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    const auto file = RegistryFile::write(some_node());
    char byte;
    ::close(alive[1]);
    [[maybe_unused]] const auto ended = ::read(alive[0], &byte, 1);
    ::_exit(0);  // like SIGKILL: the file stays
  }
  const RegistryWatch watch({run_dir.path()}, reported.report());
  CHECK(reported.comes_to(1, 5s));
  ::close(alive[0]);
  ::close(alive[1]);
  REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  CHECK(reported.comes_to(0, 5s));
}

}  // namespace
}  // namespace skein
