#include "fuse/inode_table.h"

#include <doctest/doctest.h>

using namespace skein;

TEST_CASE("inodes: a sealed file of the tree costs no memory here") {
  InodeTable table;
  table.counted(17);
  CHECK(table.size() == 0);
  CHECK(table.kernel_number(17) == 17);
  CHECK(table.tree_number(17) == Inode{17});
  table.forget(17, 1);
  CHECK(table.size() == 0);
}

TEST_CASE("inodes: a new file keeps its number over the seal, until the kernel forgets it") {
  InodeTable table;
  const Inode mine = table.new_private();
  CHECK(mine != table.new_private());
  table.counted(mine);
  CHECK_FALSE(table.tree_number(mine).has_value());
  table.bind(mine, 42);
  CHECK(table.kernel_number(42) == mine);
  CHECK(table.tree_number(mine) == Inode{42});
  table.counted(mine);  // looked up again after the seal
  table.forget(mine, 1);
  CHECK(table.kernel_number(42) == mine);
}

TEST_CASE("inodes: what a late reply may name stands for its file, after the kernel forgot it, too") {
  InodeTable table;
  const Inode late = table.new_private();
  table.counted(late);
  table.forget(late, 1);
  table.bind(late, 42);
  table.counted(late);
  CHECK(table.tree_number(late) == Inode{42});
  table.forget(late, 1);
  table.counted(late);
  CHECK(table.tree_number(late) == Inode{42});
}

TEST_CASE("inodes: forgotten files take a bounded room, and those in use are not among them") {
  InodeTable table;
  const Inode used = table.new_private();
  table.counted(used);
  table.bind(used, 42);
  const Inode first = table.new_private();
  table.bind(first, 43);
  for (std::size_t i = 0; i < 2 * InodeTable::kMostForgotten; ++i) {
    const Inode mine = table.new_private();
    table.counted(mine);
    table.bind(mine, 1000 + i);
    table.forget(mine, 1);
  }
  CHECK(table.size() == InodeTable::kMostForgotten + 1);
  CHECK(table.tree_number(used) == Inode{42});
  CHECK_FALSE(table.tree_number(first).has_value());
  CHECK(table.kernel_number(43) == 43);
}

TEST_CASE("inodes: a directory found again under another tree number keeps the kernel's") {
  InodeTable table;
  table.counted_directory(5, kRootInode, "scan");
  table.counted_directory(5, kRootInode, "scan");
  REQUIRE(table.directory(5).has_value());
  CHECK(table.directory(5)->name == "scan");
  table.bind(5, 9);
  CHECK(table.tree_number(5) == Inode{9});
  CHECK(table.kernel_number(9) == 5);
  table.bind(5, 11);
  CHECK(table.kernel_number(9) == 9);
  CHECK(table.kernel_number(11) == 5);
  table.counted_directory(5, kRootInode, "scan");
  CHECK(table.tree_number(5) == Inode{11});
  table.forget(5, 3);
  CHECK(table.size() == 0);
  CHECK(table.kernel_number(11) == 11);
}

TEST_CASE("inodes: a forget of more than was counted does no harm") {
  InodeTable table;
  table.counted_directory(5, kRootInode, "scan");
  table.forget(5, 100);
  table.forget(5, 1);
  table.forget(6, 1);
  CHECK(table.size() == 0);
}
