#include "dataserver/stage_shelf.h"

#include <sys/stat.h>

#include <thread>

#include "core/checksum.h"
#include "core/uuid.h"
#include "dataserver/scratch_store.h"

namespace skein {
namespace {

Result<void> keep(ScratchStore& s, StageShelf& shelf, const std::string& id,
                  const std::string& bytes) {
  auto stage = s.store->stage(s.path("f"), bytes.size());
  REQUIRE(stage);
  REQUIRE(stage->append(bytes));
  return shelf.keep(id, *stage);
}

TEST_CASE("shelf: a stage can be replaced, published once, and is gone then") {
  for (const bool unnamed : {true, false}) {
    CAPTURE(unnamed);
    FileStore::Options options;
    options.unnamed_stages = unnamed;
    ScratchStore s(options);
    StageShelf shelf(*s.store);
    const std::string id = make_uuid();
    REQUIRE(keep(s, shelf, id, "first"));
    REQUIRE(keep(s, shelf, id, "second"));
    CHECK(s.staged() == 1);
    REQUIRE(shelf.publish(id, s.path("d/f")));
    CHECK(s.read_by_hand("d/f") == "second");
    CHECK(shelf.publish(id, s.path("d/g")).error().code == std::errc::no_such_file_or_directory);
    CHECK(s.staged() == 0);
  }
}

TEST_CASE("shelf: a taken name keeps the stage, a drop removes it") {
  ScratchStore s;
  StageShelf shelf(*s.store);
  REQUIRE(s.put("f", "first"));
  const std::string id = make_uuid();
  auto stage = s.store->stage(s.path("g"), 0);
  REQUIRE(stage);
  REQUIRE(shelf.keep(id, *stage));
  CHECK(shelf.publish(id, s.path("f")).error().code == std::errc::file_exists);
  CHECK(s.staged() == 1);
  REQUIRE(shelf.drop(id));
  CHECK(shelf.drop(id).error().code == std::errc::no_such_file_or_directory);
  CHECK(s.staged() == 0);
}

TEST_CASE("shelf: stages survive a restart, unless they were published or are a day old") {
  ScratchFolder folder;
  const std::string kept = make_uuid();
  const std::string published = make_uuid();
  const std::string old = make_uuid();
  const auto stage_file = [&](const std::string& id) { return folder.path() / ".skein/stage" / id; };
  {
    auto store = FileStore::open(folder.path().string(), {});
    REQUIRE(store);
    for (const std::string& id : {kept, published, old}) std::ofstream(stage_file(id)) << "x";
    std::filesystem::create_hard_link(stage_file(published), folder.path() / "f");
    const time_t day_ago = ::time(nullptr) - 25 * 3600;
    const timespec times[2] = {{day_ago, 0}, {day_ago, 0}};
    REQUIRE(::utimensat(AT_FDCWD, stage_file(old).c_str(), times, 0) == 0);
  }
  auto store = FileStore::open(folder.path().string(), {});
  REQUIRE(store);
  StageShelf shelf(**store);
  CHECK(std::filesystem::exists(stage_file(kept)));
  CHECK_FALSE(std::filesystem::exists(stage_file(published)));
  CHECK_FALSE(std::filesystem::exists(stage_file(old)));
  CHECK(std::filesystem::exists(folder.path() / "f"));
}

TEST_CASE("shelf: the checksum of a stage that came in pieces survives a restart once it is whole") {
  ScratchFolder folder;
  const std::string id = make_uuid();
  {
    auto store = FileStore::open(folder.path().string(), {});
    REQUIRE(store);
    StageShelf shelf(**store);
    REQUIRE(shelf.resize(id, 0));
    const std::string bytes = "abc";
    auto piece = shelf.piece(id, 0);
    REQUIRE(piece);
    REQUIRE((*piece)->add(bytes));
    const auto sum = (*piece)->complete(bytes.size());
    REQUIRE(sum);
    CHECK(*sum == checksum_of(bytes));
  }
  auto store = FileStore::open(folder.path().string(), {});
  REQUIRE(store);
  StageShelf shelf(**store);
  const auto path = *ClusterPath::parse("f");
  REQUIRE(shelf.publish(id, path));
  const auto file = (*store)->open_file(path);
  REQUIRE(file);
  CHECK(file->checksum == checksum_of(std::string_view("abc")));
}

TEST_CASE("shelf: a stage is not published while a piece of it comes, and a piece waits for its turn") {
  ScratchStore s;
  StageShelf shelf(*s.store);
  const std::string id = make_uuid();
  REQUIRE(shelf.resize(id, 0));
  auto piece = shelf.piece(id, 0);
  REQUIRE(piece);
  CHECK(shelf.piece(id, 0).error().code == std::errc::timed_out);
  std::jthread publisher([&] { CHECK(shelf.publish(id, s.path("f")).ok()); });
  REQUIRE((*piece)->add(std::string_view("abc")));
  REQUIRE((*piece)->complete(3));
  piece->reset();
  publisher.join();
  CHECK(s.read_by_hand("f") == "abc");
}

// A folder whose server ended by a power cut: files written lately may not be what they were.
struct CutFolder : ScratchStore {
  std::filesystem::path stage_file(const std::string& id) const {
    return scratch.path() / ".skein/stage" / id;
  }
  void put_whole(const std::string& id, const std::string& bytes) {
    StageShelf shelf(*store);
    REQUIRE(shelf.resize(id, 0));
    auto piece = shelf.piece(id, 0);
    REQUIRE(piece);
    REQUIRE((*piece)->add(bytes));
    REQUIRE((*piece)->complete(bytes.size()));
  }
  // The disk gives zeros back, and the time that it was told.
  void lose_bytes(const std::string& id) const {
    struct stat before {};
    REQUIRE(::stat(stage_file(id).c_str(), &before) == 0);
    std::fstream(stage_file(id), std::ios::in | std::ios::out) << '\0';
    const timespec times[2] = {before.st_mtim, before.st_mtim};
    REQUIRE(::utimensat(AT_FDCWD, stage_file(id).c_str(), times, 0) == 0);
  }
};

TEST_CASE("shelf: after a power cut only what is proven whole is published") {
  CutFolder folder;
  const std::string whole = make_uuid(), damaged = make_uuid(), replaced = make_uuid();
  for (const std::string& id : {whole, damaged, replaced}) folder.put_whole(id, "abc");
  folder.cut_power();
  folder.lose_bytes(damaged);
  StageShelf shelf(*folder.store);
  const auto path = *ClusterPath::parse("d/f");
  const auto gone = std::errc::no_such_file_or_directory;
  CHECK(shelf.publish(damaged, path).error().code == gone);
  CHECK_FALSE(std::filesystem::exists(folder.scratch.path() / "d/f"));
  CHECK_FALSE(std::filesystem::exists(folder.stage_file(damaged)));
  CHECK(shelf.piece(replaced, 3).error().code == gone);
  CHECK(shelf.resize(replaced, 2).error().code == gone);
  REQUIRE(shelf.publish(whole, path));
  CHECK(std::filesystem::file_size(folder.scratch.path() / "d/f") == 3);
}

TEST_CASE("shelf: a stage that was not whole yet at a power cut is gone, and can be begun anew") {
  CutFolder folder;
  const std::string id = make_uuid();
  {
    StageShelf shelf(*folder.store);
    REQUIRE(shelf.resize(id, 0));
    auto piece = shelf.piece(id, 0);
    REQUIRE(piece);
    REQUIRE((*piece)->add(std::string_view("abc")));
    REQUIRE((*piece)->complete(std::nullopt));
  }
  folder.cut_power();
  const auto path = *ClusterPath::parse("f");
  StageShelf shelf(*folder.store);
  CHECK_FALSE(std::filesystem::exists(folder.stage_file(id)));
  CHECK(shelf.piece(id, 3).error().code == std::errc::no_such_file_or_directory);
  CHECK(shelf.publish(id, path).error().code == std::errc::no_such_file_or_directory);
  folder.put_whole(id, "again");
  CHECK(shelf.publish(id, path).ok());
}

}  // namespace
}  // namespace skein
