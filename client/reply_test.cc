#include "client/reply.h"

#include <doctest/doctest.h>

namespace skein {
namespace {

ResponseHead head_of(const std::string& text, const char* method = "GET") {
  auto head = ResponseHead::parse(text + "\r\n", method);
  REQUIRE(head);
  return std::move(*head);
}

std::errc code_of_status(const std::string& status) {
  return status_error(head_of("HTTP/1.1 " + status + "\r\n"), "PUT /a on cam").code;
}

TEST_CASE("reply: each status means one outcome") {
  CHECK(code_of_status("400 Bad") == std::errc::invalid_argument);
  CHECK(code_of_status("403 No") == std::errc::permission_denied);
  CHECK(code_of_status("404 Absent") == std::errc::no_such_file_or_directory);
  CHECK(code_of_status("405 Exists") == std::errc::file_exists);
  CHECK(code_of_status("413 Big") == std::errc::file_too_large);
  CHECK(code_of_status("500 Broken") == std::errc::io_error);
  CHECK(code_of_status("503 Busy") == std::errc::io_error);
  CHECK(code_of_status("507 Full") == std::errc::no_space_on_device);
  CHECK(code_of_status("302 Elsewhere") == std::errc::bad_message);
  const Error error = status_error(head_of("HTTP/1.1 405 Exists\r\n"), "PUT /a on cam");
  CHECK(error.what == "PUT /a on cam: File exists (405 Exists)");
}

TEST_CASE("reply: a content range is whole or not taken") {
  const auto range = parse_content_range("bytes 10-19/100");
  REQUIRE(range);
  CHECK(range->first == 10);
  CHECK(range->size_bytes == 100);
  CHECK_FALSE(parse_content_range("bytes 10-19/*")->size_bytes.has_value());
  for (const char* bad : {"", "bytes */100", "bytes 19-10/100", "bytes 10-19/19", "bytes 10-19",
                          "bytes 10-19/100x", "items 10-19/100"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_content_range(bad).has_value());
  }
}

TEST_CASE("reply: HEAD tells a file, a directory, and absence apart") {
  const auto file = info_of(head_of("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nETag: \"x\"\r\n"
                                    "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "HEAD"),
                            "HEAD");
  REQUIRE(file);
  REQUIRE(*file);
  CHECK((*file)->size_bytes == 12);
  CHECK((*file)->mtime_s == 784111777);
  CHECK((*file)->etag == "\"x\"");
  CHECK_FALSE((*file)->is_directory);

  const auto directory =
      info_of(head_of("HTTP/1.1 301 Moved\r\nLocation: /a/?x=1\r\n", "HEAD"), "HEAD");
  REQUIRE(directory);
  REQUIRE(*directory);
  CHECK((*directory)->is_directory);

  CHECK_FALSE(info_of(head_of("HTTP/1.1 404 No\r\n", "HEAD"), "HEAD")->has_value());
  CHECK(info_of(head_of("HTTP/1.1 301 Moved\r\nLocation: /other\r\n", "HEAD"), "").error().code ==
        std::errc::bad_message);
  CHECK(info_of(head_of("HTTP/1.1 200 OK\r\n", "HEAD"), "").error().code ==
        std::errc::bad_message);
  CHECK(info_of(head_of("HTTP/1.1 500 Broken\r\n", "HEAD"), "").error().code ==
        std::errc::io_error);
}

}  // namespace
}  // namespace skein
