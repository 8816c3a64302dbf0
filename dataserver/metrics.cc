#include "dataserver/metrics.h"

#include <algorithm>
#include <cassert>
#include <charconv>

namespace skein {
namespace {

constexpr std::array<std::string_view, Metrics::kVerbs> kVerbNames = {"GET", "HEAD", "PUT", "POST",
                                                                      "OPTIONS", "other"};

std::string number(double value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

void append_family(std::string& out, std::string_view name, std::string_view kind,
                   std::string_view help) {
  out.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
  out.append(name).append(" ").append(kind).append("\n");
}

void append_sample(std::string& out, std::string_view name, std::string_view labels,
                   std::string_view value) {
  out.append(name);
  if (!labels.empty()) out.append("{").append(labels).append("}");
  out.append(" ").append(value).append("\n");
}

std::string label(std::string_view name, std::string_view value) {
  return std::string(name).append("=\"").append(value).append("\"");
}

}  // namespace

Metrics::Verb Metrics::verb_of(std::string_view method) {
  for (std::size_t i = 0; i + 1 < kVerbs; ++i) {
    if (method == kVerbNames[i]) return static_cast<Verb>(i);
  }
  return Verb::kOther;
}

void Metrics::answered(Verb verb, int status, std::chrono::nanoseconds took) {
  PerVerb& counts = verbs_[static_cast<std::size_t>(verb)];
  const auto place = static_cast<std::size_t>(status - kFirstStatus);
  assert(place < kStatuses);
  add(counts.by_status[place], 1);
  const double seconds = std::chrono::duration<double>(took).count();
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  add(counts.by_bound[static_cast<std::size_t>(bound - kBounds.begin())], 1);
  add(counts.took_ns, static_cast<std::uint64_t>(std::max<std::int64_t>(0, took.count())));
}

void Metrics::add_gauge(std::string name, std::string help, std::function<double()> value) {
  const std::lock_guard lock(mutex_);
  gauges_.push_back({std::move(name), std::move(help), std::move(value)});
}

void Metrics::append_requests(std::string& out) const {
  append_family(out, "skein_requests_total", "counter", "Requests answered, by verb and status.");
  for (std::size_t verb = 0; verb < kVerbs; ++verb) {
    for (std::size_t i = 0; i < kStatuses; ++i) {
      const std::uint64_t count = verbs_[verb].by_status[i].load(std::memory_order_relaxed);
      if (count == 0) continue;
      const std::string status = std::to_string(static_cast<int>(i) + kFirstStatus);
      append_sample(out, "skein_requests_total",
                    label("verb", kVerbNames[verb]) + "," + label("status", status),
                    std::to_string(count));
    }
  }
}

void Metrics::append_latency(std::string& out) const {
  append_family(out, "skein_request_seconds", "histogram",
                "Time from a request's head to its reply being ready, by verb.");
  for (std::size_t verb = 0; verb < kVerbs; ++verb) {
    const std::string name = label("verb", kVerbNames[verb]);
    std::uint64_t count = 0;
    for (std::size_t i = 0; i <= kBounds.size(); ++i) {
      count += verbs_[verb].by_bound[i].load(std::memory_order_relaxed);
      const std::string bound = i < kBounds.size() ? number(kBounds[i]) : "+Inf";
      append_sample(out, "skein_request_seconds_bucket", name + "," + label("le", bound),
                    std::to_string(count));
    }
    const auto took_ns = static_cast<double>(verbs_[verb].took_ns.load(std::memory_order_relaxed));
    append_sample(out, "skein_request_seconds_sum", name, number(took_ns / 1e9));
    append_sample(out, "skein_request_seconds_count", name, std::to_string(count));
  }
}

std::string Metrics::text() const {
  std::string out;
  append_requests(out);
  append_latency(out);
  append_family(out, "skein_received_bytes_total", "counter", "Bytes of requests, heads included.");
  append_sample(out, "skein_received_bytes_total", "",
                std::to_string(received_bytes_.load(std::memory_order_relaxed)));
  append_family(out, "skein_sent_bytes_total", "counter", "Bytes of replies, heads included.");
  append_sample(out, "skein_sent_bytes_total", "",
                std::to_string(sent_bytes_.load(std::memory_order_relaxed)));
  const std::lock_guard lock(mutex_);
  for (const Gauge& gauge : gauges_) {
    append_family(out, gauge.name, "gauge", gauge.help);
    append_sample(out, gauge.name, "", number(gauge.value()));
  }
  return out;
}

}  // namespace skein
