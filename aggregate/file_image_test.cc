#include "aggregate/file_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include <doctest/doctest.h>

#include "core/scratch_folder.h"

using namespace skein;

namespace {

// A folder with a file "data" and a folder "journals".
struct Place {
  ScratchFolder scratch;
  const std::string folder = scratch.path();
  Fd journals;

  Place() {
    ::mkdir((folder + "/journals").c_str(), 0700);
    journals = Fd(::open((folder + "/journals").c_str(), O_RDONLY | O_DIRECTORY));
    (void)open_data();
  }

  Fd open_data() const { return Fd(::open((folder + "/data").c_str(), O_RDWR | O_CREAT, 0600)); }
  std::string content() const {
    const Fd fd = open_data();
    std::string text(static_cast<std::size_t>(::lseek(fd.get(), 0, SEEK_END)), '\0');
    REQUIRE(::pread(fd.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    return text;
  }
  FileImage open_image(bool sync = false) const {
    auto image = FileImage::open(open_data(), sync);
    auto journal = RedoJournal::open(image->fd(), {journals.get(), "a/data", sync});
    REQUIRE_MESSAGE(journal.ok(), journal.error().what);
    // What was replayed changed the length.
    image = FileImage::open(open_data(), sync);
    image->keep_journal(std::move(*journal));
    return std::move(*image);
  }
  std::string journal_file() const {
    for (const auto& entry : std::filesystem::directory_iterator(folder + "/journals")) {
      return entry.path();
    }
    return {};
  }
};

std::span<const char> bytes(const std::string& text) { return text; }

}  // namespace

TEST_CASE("image: writes are read back at once, and are in the file after the commit") {
  Place place;
  FileImage image = place.open_image();
  REQUIRE(image.write(10, bytes("hello")).ok());
  REQUIRE(image.write(8190, bytes("across pages")).ok());
  CHECK(place.content().empty());
  std::string got(8202, 'x');
  REQUIRE(image.read(0, got).ok());
  CHECK(got.substr(10, 5) == "hello");
  CHECK(got.substr(8190) == "across pages");
  CHECK(got[9] == '\0');
  REQUIRE(image.commit().ok());
  CHECK(place.content() == got);
}

TEST_CASE("image: what is dropped was never there") {
  Place place;
  FileImage image = place.open_image();
  REQUIRE(image.write(0, bytes("kept")).ok());
  REQUIRE(image.commit().ok());
  REQUIRE(image.write(2, bytes("dropped")).ok());
  image.drop();
  CHECK(image.size_bytes() == 4);
  REQUIRE(image.commit().ok());
  CHECK(place.content() == "kept");
}

TEST_CASE("image: random writes and commits agree with plain memory") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  Place place;
  FileImage image = place.open_image(true);
  std::string model;
  for (int i = 0; i < 300; ++i) {
    const std::size_t at = random() % 40'000;
    const std::string text(1 + random() % 9'000, static_cast<char>('a' + random() % 26));
    REQUIRE(image.write(at, bytes(text)).ok());
    if (model.size() < at + text.size()) model.resize(at + text.size());
    model.replace(at, text.size(), text);
    if (i % 7 == 0) REQUIRE(image.commit().ok());
    const std::size_t from = random() % model.size();
    std::string got(random() % (model.size() - from) + 1, 'x');
    REQUIRE(image.read(from, got).ok());
    CHECK(got == model.substr(from, got.size()));
  }
  REQUIRE(image.commit().ok());
  CHECK(place.content() == model);
}

TEST_CASE("journal: a change that was recorded and not made is made by who opens the file next") {
  for (const bool sync : {false, true}) {
    Place place;
    const Fd data = place.open_data();
    auto journal = RedoJournal::open(data.get(), {place.journals.get(), "a/data", sync});
    REQUIRE(journal.ok());
    const std::string first = "first", second = "second";
    const RedoRun runs[] = {{0, first}, {100, second}};
    REQUIRE(journal->append(runs, 106).ok());
    const RedoRun more[] = {{3, second}};
    REQUIRE(journal->append(more, 50).ok());
    CHECK(RedoJournal::left_in(place.journals.get()).ok());
    CHECK(*RedoJournal::left_in(place.journals.get()) == std::vector<std::string>{"a/data"});
    CHECK(place.content().empty());

    REQUIRE(RedoJournal::open(data.get(), {place.journals.get(), "a/data", sync}).ok());
    CHECK(place.content() == "firsecond" + std::string(41, '\0'));
  }
}

TEST_CASE("journal: a record cut anywhere is ignored, and the whole ones before it are not") {
  const std::string first(5000, 'a'), second(300, 'b');
  std::uint64_t whole = 0, both = 0;
  {
    Place place;
    const Fd data = place.open_data();
    auto journal = RedoJournal::open(data.get(), {place.journals.get(), "d", false});
    const RedoRun one[] = {{0, first}};
    REQUIRE(journal->append(one, first.size()).ok());
    whole = journal->size_bytes();
    const RedoRun two[] = {{0, second}};
    REQUIRE(journal->append(two, first.size()).ok());
    both = journal->size_bytes();
  }
  for (std::uint64_t cut = whole; cut <= both; ++cut) {
    Place place;
    const Fd data = place.open_data();
    auto journal = RedoJournal::open(data.get(), {place.journals.get(), "d", false});
    const RedoRun one[] = {{0, first}}, two[] = {{0, second}};
    REQUIRE(journal->append(one, first.size()).ok());
    REQUIRE(journal->append(two, first.size()).ok());
    const std::string name = place.journal_file();
    REQUIRE(::truncate(name.c_str(), static_cast<off_t>(cut)) == 0);
    REQUIRE(RedoJournal::open(data.get(), {place.journals.get(), "d", false}).ok());
    CHECK(place.content() == (cut == both ? second + first.substr(300) : first));
  }
}

TEST_CASE("journal: one of a file that had the same inode, or another path, is not replayed") {
  Place place;
  const Fd data = place.open_data();
  auto journal = RedoJournal::open(data.get(), {place.journals.get(), "old/path", false});
  const std::string text = "not yours";
  const RedoRun runs[] = {{0, text}};
  REQUIRE(journal->append(runs, text.size()).ok());
  REQUIRE(RedoJournal::open(data.get(), {place.journals.get(), "new/path", false}).ok());
  CHECK(place.content().empty());
}

TEST_CASE("journal: it is gone when the file is closed in order") {
  Place place;
  FileImage image = place.open_image(true);
  REQUIRE(image.write(0, bytes("x")).ok());
  REQUIRE(image.commit().ok());
  CHECK_FALSE(place.journal_file().empty());
  REQUIRE(image.close_journal().ok());
  CHECK(place.journal_file().empty());
}
