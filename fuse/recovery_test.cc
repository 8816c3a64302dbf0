#include "fuse/recovery.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "client/scripted_server.h"
#include "fuse/scratch_mount.h"

using namespace skein;

namespace {

// A file of `text` in recover/, as a mount leaves it there.
void keep(Spool& spool, const std::string& id, const std::string& text, const RecoveryNote& note,
          Spool::Then then = Spool::Then::kStays) {
  auto file = spool.create();
  REQUIRE(file);
  REQUIRE(::pwrite(file->get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  REQUIRE(spool.keep(id, file->get(), note, then).ok());
}

std::string listed(const std::filesystem::path& spool) {
  const auto found = list_recoverable(spool);
  REQUIRE(found);
  std::string text;
  for (const Recoverable& one : *found) {
    text += one.id + " /" + one.note.path.text() + " " + std::to_string(one.size_bytes) +
            (one.in_use ? " in use" : "") + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("recovery: a file whose note is renewed is in the mount's hands all the time") {
  const ScratchFolder folder;
  auto spool = Spool::open(folder.path(), "test", 0);
  REQUIRE(spool);
  auto file = (*spool)->create();
  REQUIRE(file);
  const auto renew = [&] {
    return (*spool)->keep(kId, file->get(), {path_of("f"), "why", "", ""},
                          Spool::Then::kWillStore);
  };
  REQUIRE(renew().ok());
  std::atomic<bool> over{false};
  std::atomic<int> taken{0};
  std::jthread other([&] {
    while (!over) taken += RecoveredFile::take(folder.path(), kId).ok() ? 1 : 0;
  });
  for (int i = 0; i < 1000; ++i) CHECK(renew().ok());
  over = true;
  other.join();
  CHECK(taken == 0);
}

TEST_CASE("recovery: a note keeps every byte of a name, what it is for, and where the stage is") {
  const RecoveryNote note{path_of("d \"x\"\n/\xff\xfe%41"), "no node \xff", "stage", "http://h:1/",
                          "lab"};
  const auto read = parse_recovery_note(to_json(note, 7));
  REQUIRE(read);
  CHECK(read->path == note.path);
  CHECK(read->stage_id == "stage");
  CHECK(read->node_url == "http://h:1/");
  CHECK(read->cluster == "lab");
  for (const char* bad : {"", "[]", "{\"path\": 7", "7", "{\"target\": \"/%zz\"}"}) {
    CHECK_MESSAGE(!parse_recovery_note(bad), bad);
  }
}

TEST_CASE("recovery: what a mount is about to store is in use until the mount is gone") {
  const ScratchFolder folder;
  CHECK(listed(folder.path()).empty());
  auto spool = Spool::open(folder.path(), "lab", 0);
  REQUIRE(spool);
  keep(**spool, "id", "bytes", {path_of("a/b"), "why", "", ""}, Spool::Then::kWillStore);
  CHECK(listed(folder.path()) == "id /a/b 5 in use\n");
  CHECK(RecoveredFile::take(folder.path(), "id").error().code ==
        std::errc::device_or_resource_busy);
  spool->reset();
  CHECK(listed(folder.path()) == "id /a/b 5\n");
  auto taken = RecoveredFile::take(folder.path(), "id");
  REQUIRE(taken);
  CHECK(listed(folder.path()) == "id /a/b 5 in use\n");
  CHECK_FALSE(RecoveredFile::take(folder.path(), "id"));
  taken->remove();
  CHECK(listed(folder.path()).empty());
  CHECK(RecoveredFile::take(folder.path(), "id").error().code ==
        std::errc::no_such_file_or_directory);
}

TEST_CASE("recovery: bytes whose note is missing or damaged are listed without a path") {
  const ScratchFolder folder;
  auto spool = Spool::open(folder.path(), "lab", 0);
  REQUIRE(spool);
  keep(**spool, "id", "bytes", {path_of("f"), "why", "", ""});
  SUBCASE("missing") { std::filesystem::remove(folder.path() / "recover" / "id.json"); }
  SUBCASE("damaged") { std::filesystem::resize_file(folder.path() / "recover" / "id.json", 9); }
  CHECK(listed(folder.path()) == "id / 5\n");
  CHECK(RecoveredFile::take(folder.path(), "id").ok());
}
