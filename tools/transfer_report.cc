#include "tools/transfer_report.h"

namespace skein {

TransferReport::TransferReport(const Surroundings& with, TransferWords words, bool json)
    : with_(with), words_(std::move(words)), json_(json), bar_(!with.flags.quiet) {
  with_.messages.before_line([this] { bar_.clear(); });
}

TransferReport::~TransferReport() { with_.messages.before_line({}); }

void TransferReport::done(const std::string& from, const std::string& to,
                          std::uint64_t size_bytes, const std::string& node_url) {
  ++done_;
  bar_.end_file(size_bytes);
  if (!json_) return;
  JsonLine line;
  line.text(words_.from_key, from).text(words_.to_key, to).truth("ok", true);
  line.number("size_bytes", static_cast<std::int64_t>(size_bytes));
  if (!node_url.empty()) line.text("node", node_url);
  with_.out.line(line.str());
}

void TransferReport::failed(const std::string& from, const std::string& to, const Error& why) {
  ++failed_;
  if (why.code == std::errc::file_exists) ++existing_;
  with_.messages.failure(from, why);
  if (!json_) return;
  JsonLine line;
  line.text(words_.from_key, from).text(words_.to_key, to).truth("ok", false);
  with_.out.line(line.text("error", why.what).str());
}

void TransferReport::conclude() {
  bar_.clear();
  if (failed_ == 0 || done_ + failed_ < 2) return;
  std::string sum = std::to_string(done_) + " " + words_.done + ", " + std::to_string(failed_) +
                    " failed";
  if (existing_ > 0) sum += ", " + std::to_string(existing_) + " of them because the name exists";
  with_.messages.note(sum);
}

}  // namespace skein
