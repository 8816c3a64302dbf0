#include "dataserver/field_weights.h"

#include <doctest/doctest.h>

#include "dataserver/directory_page.h"

using skein::weight_of;

TEST_CASE("weights: a name without one counts fully, one that is not there is told apart from 0") {
  CHECK(weight_of("gzip, zstd;q=0.5", "gzip") == 1000);
  CHECK(weight_of("gzip, zstd;q=0.5", "ZSTD") == 500);
  CHECK(weight_of("gzip;q=0", "gzip") == 0);
  CHECK(weight_of("text/html;level=1;q=0.125,*/*", "text/html") == 125);
  CHECK_FALSE(weight_of("gzip", "zstd").has_value());
  CHECK_FALSE(weight_of("", "gzip").has_value());
  CHECK_FALSE(weight_of("gzipped", "gzip").has_value());
}

TEST_CASE("weights: what is no weight wins nothing") {
  for (const char* list : {"gzip;q=2", "gzip;q=1.5", "gzip;q=", "gzip;q=0.1234", "gzip;q=-1",
                           "gzip;q=x", "gzip;q=1x"}) {
    CAPTURE(list);
    CHECK(weight_of(list, "gzip") == 0);
  }
}

TEST_CASE("page: no name can end the link or the text it stands in") {
  using skein::NamedEntry;
  const skein::Listing listing({NamedEntry{"a\"><script>", {0, 1}}, NamedEntry{"b'&\xff", {0, 2}},
                                NamedEntry{"c:d", {1, 3}}});
  const std::string page = skein::directory_page(skein::ClusterPath(), listing);
  CHECK(page.find("<script>") == std::string::npos);
  CHECK(page.find("href=\"a%22%3E%3Cscript%3E\"") != std::string::npos);
  CHECK(page.find("b&#39;&amp;\xef\xbf\xbd") != std::string::npos);
  CHECK(page.find("href=\"c%3Ad/\"") != std::string::npos);
}

TEST_CASE("page: names beyond the limit are counted") {
  std::vector<skein::NamedEntry> many;
  for (std::size_t i = 0; i < skein::kMaxPageNames + 7; ++i) {
    many.push_back({std::to_string(i), {0, 0}});
  }
  const auto page = skein::directory_page(skein::ClusterPath(), skein::Listing(std::move(many)));
  CHECK(page.find("and 7 more") != std::string::npos);
}
