#include "core/digests.h"

#include <doctest/doctest.h>

#include <string>

#include "core/base64.h"

using namespace skein;

namespace {

Result<Digests> parse(const std::string& lines) {
  const auto head = RequestHead::parse("PUT /a HTTP/1.1\r\nContent-Length: 3\r\n" + lines + "\r\n");
  REQUIRE(head.ok());
  return digests_of(*head);
}

constexpr const char* kSha256OfAbc = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";

std::string unbase64(const std::string& text) {
  const auto bytes = parse_base64(text);
  return bytes ? std::string(bytes->begin(), bytes->end()) : "none";
}

}  // namespace

TEST_CASE("base64: the test vectors of RFC 4648") {
  const std::string whole = "foobar";
  const char* coded[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const std::string plain = whole.substr(0, size);
    CHECK(base64({reinterpret_cast<const unsigned char*>(plain.data()), size}) == coded[size]);
    CHECK(unbase64(coded[size]) == plain);
  }
  CHECK(unbase64("Zg") == "f");
  for (const char* bad : {"Z", "Zg=", "Zh==", "Z===", "Zm9*", "Zm 9", "=", "===="}) {
    CHECK_MESSAGE(!parse_base64(bad), bad);
  }
}

TEST_CASE("digests: both kinds are found among others, on one line or on several") {
  const std::string xxh3 = checksum_field(checksum_of(std::string("abc")));
  const auto one = parse("Repr-Digest: md5=:AAAA:, " + xxh3 + ";p=\"a,b\" , " + kSha256OfAbc + "\r\n");
  REQUIRE(one.ok());
  CHECK(one->xxh3 == checksum_of(std::string("abc")));
  CHECK(one->sha256);
  const auto two = parse("repr-digest: " + xxh3 + "\r\nContent-Digest: " + kSha256OfAbc + "\r\n");
  REQUIRE(two.ok());
  CHECK(two->xxh3 == one->xxh3);
  CHECK(two->sha256 == one->sha256);
  CHECK_FALSE(parse("")->any());
  CHECK_FALSE(parse("Repr-Digest: unixsum=?1, flag\r\n")->any());
}

TEST_CASE("digests: what cannot be read is refused, not passed over") {
  for (const char* bad :
       {"xxh3-64", "xxh3-64=", "xxh3-64=LQaABTjTlMI=", "xxh3-64=:LQaABTjTlMI=", "xxh3-64=:AAAA:",
        "xxh3-64=:LQaABTjTlMI*:", "xxh3-64=:LQaABTjTlMI=:x", "sha-256=:LQaABTjTlMI=:",
        "xxh3-64=:LQaABTjTlMI=:,,", "xxh3-64=:LQaABTjTlMI=:, xxh3-64=:AAAAAAAAAAE=:"}) {
    const auto digests = parse("Repr-Digest: " + std::string(bad) + "\r\n");
    CHECK_MESSAGE(!digests.ok(), bad);
    if (!digests.ok()) CHECK(digests.error().code == std::errc::bad_message);
  }
}

TEST_CASE("digests: the bytes announced pass, others do not, whichever kind tells") {
  const std::string xxh3 = checksum_field(checksum_of(std::string("abc")));
  for (const std::string& field : {xxh3, std::string(kSha256OfAbc), xxh3 + ", " + kSha256OfAbc}) {
    const auto digests = parse("Repr-Digest: " + field + "\r\n");
    REQUIRE(digests.ok());
    DigestCheck right(*digests);
    right.add(std::string("a"));
    right.add(std::string("bc"));
    CHECK(right.verdict().ok());
    DigestCheck wrong(*digests);
    wrong.add(std::string("abd"));
    const auto verdict = wrong.verdict();
    REQUIRE_FALSE(verdict.ok());
    CHECK(verdict.error().code == std::errc::illegal_byte_sequence);
    CHECK(verdict.error().what.find(field.substr(0, field.find(','))) != std::string::npos);
  }
}
