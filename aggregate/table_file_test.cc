#include "aggregate/table_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include <doctest/doctest.h>

#include "aggregate/numpy_samples.h"
#include "core/scratch_folder.h"

using namespace skein;

namespace {

AppendTarget table(const std::string& name) { return {GrowthKind::kTable, {}, name}; }
AppendTarget member(const std::string& name) { return {GrowthKind::kSeries, {}, name}; }

TableChange change_of(const AppendTarget& target, std::string body) {
  auto change = parse_table_change(target, "", std::move(body));
  REQUIRE_MESSAGE(change.ok(), change.error().what);
  return std::move(*change);
}

// A file that grows in a folder of its own.
struct Place {
  ScratchFolder folder;
  Fd journals{::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY)};
  TableFile::Options options{journals.get(), "a/t.h5r", true};

  Fd fd(int flags = O_RDWR) const {
    return Fd(::open((folder.path() / "t.h5r").c_str(), flags | O_CREAT, 0600));
  }
  std::unique_ptr<TableFile> create() const {
    auto made = TableFile::create(fd(), options);
    REQUIRE_MESSAGE(made.ok(), made.error().what);
    return std::move(*made);
  }
  std::unique_ptr<TableFile> open() const {
    auto opened = TableFile::open(fd(), options);
    REQUIRE_MESSAGE(opened.ok(), opened.error().what);
    return std::move(*opened);
  }
};

std::uint64_t rows_in(TableFile& file, const std::string& name) {
  const auto shape = file.shape(name);
  REQUIRE_MESSAGE(shape.ok(), shape.error().what);
  return *shape ? (*shape)->rows : 0;
}

bool knows(TableFile& file, const RequestId& request) {
  const auto made = file.has_made(request);
  REQUIRE_MESSAGE(made.ok(), made.error().what);
  return *made;
}

}  // namespace

TEST_CASE("table file: nested rows are made, appended to, and read back as they were") {
  const Place place;
  {
    const auto file = place.create();
    REQUIRE(file->change(change_of(table("T"), from_hex(kNpyHex))).ok());
    REQUIRE(file->commit().ok());
    REQUIRE(file->start_journal().ok());
    REQUIRE(file->change(change_of(table("T"), from_hex(kDumpsHex))).ok());
    REQUIRE(file->commit().ok());
    CHECK(file->close().ok());
  }
  const auto file = place.open();
  CHECK(rows_in(*file, "T") == 4);
  const auto rows = file->read("T", 2, 2);
  REQUIRE_MESSAGE(rows.ok(), rows.error().what);
  // The same values, big-endian floats turned.
  std::string wanted = from_hex(kRowsHex);
  for (const std::size_t row : {0, 27}) {
    std::swap(wanted[row + 12], wanted[row + 15]);
    std::swap(wanted[row + 13], wanted[row + 14]);
  }
  CHECK(rows->bytes == wanted);
  CHECK(rows_in(*file, "Nothing") == 0);
}

TEST_CASE("table file: rows of another type are refused and change nothing") {
  const Place place;
  const auto file = place.create();
  REQUIRE(file->change(change_of(table("T"), "x,y\n1,2.5\n")).ok());
  for (const char* body : {"x\n1\n", "x,y,z\n1,2,3\n", "x,y\n1.5,2\n", "x,y\na,2\n"}) {
    const auto refused = file->change(change_of(table("T"), body));
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == std::errc::invalid_argument);
  }
  CHECK(file->change(change_of(table("T"), from_hex(kNpyHex))).error().code ==
        std::errc::invalid_argument);
  CHECK_FALSE(file->spoilt());
  REQUIRE(file->change(change_of(table("T"), "y,x\n1,2\n")).ok());
  REQUIRE(file->commit().ok());
  CHECK(rows_in(*file, "T") == 2);
}

TEST_CASE("table file: what was not committed is not in the file, what was recorded is") {
  const Place place;
  {
    const auto file = place.create();
    REQUIRE(file->change(change_of(table("T"), "x\n1\n")).ok());
    REQUIRE(file->commit().ok());
    REQUIRE(file->start_journal().ok());
    REQUIRE(file->change(change_of(table("T"), "x\n2\n")).ok());
    REQUIRE(file->commit().ok());
    REQUIRE(file->change(change_of(table("T"), "x\n3\n")).ok());
    // Gone without close(), as after a kill.
  }
  const auto file = place.open();
  CHECK(rows_in(*file, "T") == 2);
}

TEST_CASE("table file: the latest 256 request ids are committed with what they changed") {
  const Place place;
  const auto id = [](unsigned n) {
    RequestId made{1};
    std::memcpy(made.data() + 1, &n, sizeof n);
    return made;
  };
  constexpr unsigned most = 256;  // docs/wire.md, "Tables"
  {
    const auto file = place.create();
    REQUIRE(file->change(change_of(table("T"), "x\n1\n"), id(0)).ok());
    CHECK(file->change(change_of(table("T"), "y\n1\n"), id(1)).error().code ==
          std::errc::invalid_argument);
    CHECK(knows(*file, id(0)));
    CHECK_FALSE(knows(*file, id(1)));
    REQUIRE(file->commit().ok());
    REQUIRE(file->start_journal().ok());
    for (unsigned n = 1; n <= most; ++n) {
      REQUIRE(file->change(change_of(table("T"), "x\n1\n"), id(n)).ok());
    }
    REQUIRE(file->commit().ok());
    REQUIRE(file->change(change_of(table("T"), "x\n1\n"), id(most + 1)).ok());
    // Gone without close(), as after a kill.
  }
  const auto file = place.open();
  CHECK(rows_in(*file, "T") == most + 1);
  CHECK_FALSE(knows(*file, id(0)));
  for (unsigned n = 1; n <= most; ++n) CHECK(knows(*file, id(n)));
  CHECK_FALSE(knows(*file, id(most + 1)));
  CHECK_FALSE(knows(*file, RequestId{2}));
  // The ring goes on where it was.
  REQUIRE(file->change(change_of(table("T"), "x\n1\n"), id(most + 1)).ok());
  CHECK_FALSE(knows(*file, id(1)));
  CHECK(knows(*file, id(2)));
  CHECK_FALSE(file->spoilt());
}

TEST_CASE("table file: no table takes the place of the request ids") {
  const Place place;
  const auto file = place.create();
  REQUIRE(file->change(change_of(table("T"), "x\n1\n")).ok());
  const std::string name = "_i_skein";
  CHECK(file->change(change_of(table(name), "x\n1\n")).error().code == std::errc::bad_message);
  CHECK(file->shape(name).error().code == std::errc::bad_message);
  CHECK_FALSE(file->spoilt());
}

TEST_CASE("table file: metadata is merged, every kind of value comes back") {
  const Place place;
  {
    const auto file = place.create();
    REQUIRE(file->change(change_of(table("MetaData"),
                                   R"({"Camera.Name":"ü","Camera.Gain":1.5,"n":3,"ok":true,)"
                                   R"("list":[1,"a",null],"none":null,"empty":""})")).ok());
    REQUIRE(file->change(change_of(table("MetaData"), R"({"n":"now text","Camera.x.y":-1})")).ok());
    const std::string deep = R"({"a":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
    for (const char* bad : {"[1]", "{", R"({"a..b":1})", R"({"":1})", R"({"a/b":1})",
                            deep.c_str()}) {
      CHECK(file->change(change_of(table("MetaData"), bad)).error().code ==
            std::errc::bad_message);
    }
    CHECK_FALSE(file->spoilt());
    REQUIRE(file->commit().ok());
    REQUIRE(file->close().ok());
  }
  const auto file = place.open();
  const auto json = file->metadata_json();
  REQUIRE(json.ok());
  CHECK(*json == R"({"Camera.Gain":1.5,"Camera.Name":"ü","Camera.x.y":-1,"empty":"",)"
                 R"("list":[1,"a",null],"n":"now text","none":null,"ok":true})");
}

TEST_CASE("table file: frames of a series are kept by number and never replaced") {
  const Place place;
  const std::string large = "BD" + std::string(3'000'000, 'z');
  {
    const auto file = place.create();
    REQUIRE(file->change(change_of(member("frame00007.pzf"), "BD seven")).ok());
    REQUIRE(file->commit().ok());
    REQUIRE(file->start_journal().ok());
    REQUIRE(file->change(change_of(member("frame00002.pzf"), large)).ok());
    CHECK(file->change(change_of(member("frame00007.pzf"), "BD other")).error().code ==
          std::errc::file_exists);
    REQUIRE(file->change(change_of(member("events.json"), R"([["a","b",1.5]])")).ok());
    REQUIRE(file->change(change_of(member("metadata.json"), R"({"SizeC":1})")).ok());
    REQUIRE(file->commit().ok());
    REQUIRE(file->close().ok());
  }
  const auto file = place.open();
  const auto members = file->members();
  REQUIRE_MESSAGE(members.ok(), members.error().what);
  CHECK(*members == std::vector<std::string>{"metadata.json", "events.json", "frame00002.pzf",
                                             "frame00007.pzf"});
  CHECK(file->frame(2)->value() == large);
  CHECK(file->frame(7)->value() == "BD seven");
  CHECK_FALSE(file->frame(3)->has_value());
}

TEST_CASE("table file: what is no HDF5 file is refused, and stays as it is") {
  const Place place;
  REQUIRE(::write(place.fd().get(), "hello", 5) == 5);
  const auto opened = TableFile::open(place.fd(), place.options);
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == std::errc::bad_message);
  CHECK(std::filesystem::file_size(place.folder.path() / "t.h5r") == 5);
}
