#include "fuse/dying_writer.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <string>

using namespace skein;

namespace {

std::string stat_line(const std::string& name, unsigned flags, int exit_code) {
  std::string line = "4711 (" + name + ") S 1 2 3 4 5 " + std::to_string(flags);
  for (int field = 10; field < 52; ++field) line += " 0";
  return line + " " + std::to_string(exit_code) + "\n";
}

}  // namespace

TEST_CASE("dying writer: only one that exits by a signal counts as killed") {
  CHECK(was_killed(stat_line("cp", 0x4, 9)));
  CHECK(was_killed(stat_line("cp", 0x40400c, 13)));
  CHECK_FALSE(was_killed(stat_line("cp", 0x4, 0)));      // ends by itself with files open
  CHECK_FALSE(was_killed(stat_line("cp", 0x4, 0x100)));  // exit status 1
  CHECK_FALSE(was_killed(stat_line("cp", 0x400000, 0)));
}

TEST_CASE("dying writer: a program's name cannot fake it") {
  CHECK_FALSE(was_killed(stat_line("x) S 1 2 3 4 5 4 9", 0, 0)));
  CHECK(was_killed(stat_line(") ) (", 0x4, 15)));
}

TEST_CASE("dying writer: what cannot be read is taken for alive") {
  CHECK_FALSE(was_killed(""));
  CHECK_FALSE(was_killed("4711 (cp)"));
  CHECK_FALSE(was_killed("4711 (cp) S 1 2 3"));
  CHECK_FALSE(was_killed("4711 (cp) S a b c d e f g"));
  CHECK_FALSE(is_dying_of_signal(0));
  CHECK_FALSE(is_dying_of_signal(getpid()));
}
