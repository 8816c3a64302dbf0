#include "dataserver/metrics.h"

#include <doctest/doctest.h>

using skein::Metrics;
using namespace std::chrono_literals;

TEST_CASE("metrics: a request is counted once, in every bucket that is not too small for it") {
  Metrics metrics;
  metrics.answered(Metrics::Verb::kPut, 200, 2ms);
  metrics.answered(Metrics::Verb::kPut, 405, 100s);
  const std::string text = metrics.text();
  const auto has = [&](const char* line) { return text.find(line) != std::string::npos; };
  CHECK(has("skein_requests_total{verb=\"PUT\",status=\"200\"} 1\n"));
  CHECK(has("skein_requests_total{verb=\"PUT\",status=\"405\"} 1\n"));
  CHECK(has("skein_request_seconds_bucket{verb=\"PUT\",le=\"0.001\"} 0\n"));
  CHECK(has("skein_request_seconds_bucket{verb=\"PUT\",le=\"0.003\"} 1\n"));
  CHECK(has("skein_request_seconds_bucket{verb=\"PUT\",le=\"60\"} 1\n"));
  CHECK(has("skein_request_seconds_bucket{verb=\"PUT\",le=\"+Inf\"} 2\n"));
  CHECK(has("skein_request_seconds_sum{verb=\"PUT\"} 100.002\n"));
  CHECK(has("skein_request_seconds_count{verb=\"GET\"} 0\n"));
}

TEST_CASE("metrics: verbs that a client makes up share one name") {
  CHECK(Metrics::verb_of("GET") == Metrics::Verb::kGet);
  CHECK(Metrics::verb_of("get") == Metrics::Verb::kOther);
  CHECK(Metrics::verb_of("PROPFIND") == Metrics::Verb::kOther);
}

TEST_CASE("metrics: a gauge is asked when somebody looks") {
  Metrics metrics;
  double value = 1;
  metrics.add_gauge("skein_things", "Things.", [&] { return value; });
  value = 2.5;
  CHECK(metrics.text().ends_with("# TYPE skein_things gauge\nskein_things 2.5\n"));
}
