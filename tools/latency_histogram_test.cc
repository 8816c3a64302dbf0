#include "tools/latency_histogram.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace skein {
namespace {

TEST_CASE("latency: percentiles are those of the sorted list, within 3 %") {
  std::mt19937 random(1);
  std::lognormal_distribution<double> latency(14, 2);  // ns, around a millisecond
  LatencyHistogram histogram;
  std::vector<double> sorted;
  for (int i = 0; i < 20000; ++i) {
    const double ns = std::floor(latency(random));
    histogram.add(std::chrono::nanoseconds(static_cast<std::int64_t>(ns)));
    sorted.push_back(ns);
  }
  std::sort(sorted.begin(), sorted.end());
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const double exact = sorted[static_cast<std::size_t>(share * 20000)];
    const auto got = static_cast<double>(histogram.percentile(share).count());
    CHECK(got >= exact);
    CHECK(got <= exact * 1.04);
  }
  CHECK(static_cast<double>(histogram.most().count()) == sorted.back());
  CHECK(histogram.percentile(1) == histogram.most());
  CHECK(LatencyHistogram().percentile(0.5).count() == 0);
}

}  // namespace
}  // namespace skein
