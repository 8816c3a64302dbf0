#include "tools/printable.h"

#include <doctest/doctest.h>

namespace skein {
namespace {

TEST_CASE("printable: no name can send a terminal a command or break a line") {
  CHECK(printable("a\nb\tc") == "a\\nb\\tc");
  CHECK(printable("\x1b[2J\x7f") == "\\x1b[2J\\x7f");
  CHECK(printable("\xc2\x9b" "0m") == "\\xc2\\x9b" "0m");  // U+009B begins a command too
  CHECK(printable(std::string("a\0b", 3)) == "a\\x00b");
  CHECK(printable("bad\xff\xc3") == "bad\\xff\\xc3");
}

TEST_CASE("printable: ordinary names of any language stay as they are") {
  for (const char* name :
       {"frame00042.pzf", "a b#c%20", "Zelle \xc3\xa4.tif", "\xe7\xb4\xb0\xe8\x83\x9e"}) {
    CHECK(printable(name) == name);
  }
}

TEST_CASE("human size: as ls -h prints them") {
  CHECK(human_size(0) == "0");
  CHECK(human_size(1023) == "1023");
  CHECK(human_size(1024) == "1.0K");
  CHECK(human_size(1025) == "1.1K");
  CHECK(human_size(10 * 1024) == "10K");
  CHECK(human_size(10 * 1024 - 1) == "10K");
  CHECK(human_size(1024 * 1024 - 1) == "1.0M");
  CHECK(human_size(300'000) == "293K");
  CHECK(human_size(~0ull) == "16E");
}

TEST_CASE("table: columns line up, and no line ends in spaces") {
  Table table({Table::Align::kLeft, Table::Align::kRight, Table::Align::kLeft});
  table.add({"a", "1", "x"});
  table.add({"long", "1000", ""});
  CHECK(table.text() == "a        1  x\nlong  1000\n");
}

TEST_CASE("table: letters of two bytes take one column") {
  Table table({Table::Align::kLeft, Table::Align::kLeft});
  table.add({"\xc3\xa4", "x"});
  table.add({"ab", "y"});
  CHECK(table.text() == "\xc3\xa4   x\nab  y\n");
}

}  // namespace
}  // namespace skein
