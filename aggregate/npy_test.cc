#include "aggregate/npy.h"

#include <doctest/doctest.h>

#include "aggregate/numpy_samples.h"

using namespace skein;

TEST_CASE(".npy: nested fields, arrays and big-endian numbers are read, and written as they were") {
  const std::string file = from_hex(kNpyHex);
  const auto rows = parse_npy(file);
  REQUIRE(rows.ok());
  CHECK(rows->count == 2);
  CHECK(rows->bytes == from_hex(kRowsHex));
  CHECK(npy_head(rows->type, rows->count) + rows->bytes == file);
  REQUIRE(rows->type.fields.size() == 4);
  CHECK(rows->type.fields[1].row.fields[1].big_endian);
  CHECK(rows->type.fields[3].dimensions == std::vector<std::size_t>{2});
  CHECK(rows->type.fields[3].offset == 19);
  CHECK_FALSE(mismatch(rows->type, packed(rows->type)));
}

TEST_CASE(".npy: padding is kept between fields and left out of packed rows") {
  const auto rows = parse_npy(from_hex(kAlignedNpyHex));
  REQUIRE(rows.ok());
  CHECK(rows->type.size_bytes == 16);
  CHECK(rows->type.fields[1].offset == 8);
  CHECK(packed(rows->type).size_bytes == 9);
  CHECK(npy_head(rows->type, 1) + rows->bytes == from_hex(kAlignedNpyHex));
}

TEST_CASE(".npy: no prefix of a file is taken, nor one with more behind") {
  const std::string file = from_hex(kNpyHex);
  for (std::size_t n = 0; n < file.size(); ++n) CHECK_FALSE(parse_npy(file.substr(0, n)).ok());
  CHECK_FALSE(parse_npy(file + "x").ok());
}

TEST_CASE(".npy: a file with any one byte changed is read or refused, never more than it has") {
  const std::string file = from_hex(kNpyHex);
  for (std::size_t n = 0; n < file.size(); ++n) {
    for (const char c : {'\0', '(', '9', '\xff'}) {
      std::string changed = file;
      changed[n] = c;
      const auto rows = parse_npy(changed);
      if (rows) CHECK(rows->bytes.size() == rows->count * rows->type.size_bytes);
    }
  }
}

namespace {
std::string with_header(const std::string& header) {
  std::string file(kNpyMagic);
  file.append("\x01\x00", 2);
  file += static_cast<char>(header.size() & 0xff);
  file += static_cast<char>(header.size() >> 8);
  return file + header;
}
}  // namespace

TEST_CASE(".npy: lengths that a header only claims are refused") {
  const auto refused = [](const std::string& descr, const std::string& shape) {
    const auto rows = parse_npy(
        with_header("{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }"));
    return !rows.ok();
  };
  CHECK(refused("[('a', '<f8')]", "(18446744073709551615,)"));
  CHECK(refused("[('a', '<f8')]", "(2305843009213693952,)"));
  CHECK(refused("[('a', '<f8', (4294967296, 4294967296))]", "(1,)"));
  CHECK(refused("[('a', '|S99999999999')]", "(1,)"));
  CHECK(refused("[('a', '<f8'), ('a', '<f8')]", "(0,)"));
  CHECK(refused("[('a', '|O')]", "(0,)"));
  CHECK(refused("[('a', '<U4')]", "(0,)"));
  CHECK(refused("[('', '|V99999999999999')]", "(0,)"));
  CHECK(refused("[]", "(0,)"));
  CHECK(refused(std::string(3000, '[') + std::string(3000, ']'), "(0,)"));
  CHECK_FALSE(refused("[('a', '<f8')]", "(0,)"));
}

TEST_CASE(".npy: an array without named fields is another kind of file, and the text says so") {
  const auto rows = parse_npy(empty_npy());
  REQUIRE_FALSE(rows.ok());
  CHECK(rows.error().code == std::errc::not_supported);
  CHECK(rows.error().what.find("named fields") != std::string::npos);
}
