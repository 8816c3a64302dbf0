#include "aggregate/table_change.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "aggregate/npy.h"
#include "aggregate/pickle.h"
#include "aggregate/pickle_rows.h"

namespace skein {
namespace {

constexpr std::string_view kTaken = "send rows as .npy, JSON records, or CSV with a header";

Error unknown(const std::string& what) {
  return {std::errc::not_supported, what + "; " + std::string(kTaken)};
}

bool has_type(std::string_view content_type, std::string_view wanted) {
  return content_type.substr(0, content_type.find(';')) == wanted;
}

template <typename Found>
Result<AddRows> rows_in(const std::string& table, Result<Found> rows) {
  if (!rows) return rows.error();
  return AddRows{table, std::move(*rows)};
}

Result<AddRows> parse_rows(const std::string& table, std::string_view content_type,
                           std::string_view body) {
  if (body.empty()) return Error{std::errc::bad_message, "no rows; " + std::string(kTaken)};
  if (body.starts_with(kNpyMagic)) return rows_in(table, parse_npy(body));
  if (looks_like_pickle(body) || (table == "Events" && body.starts_with("(l"))) {
    return rows_in(table, table == "Events" ? parse_pickled_events(body) : parse_pickled_rows(body));
  }
  if (body.starts_with("ARROW1") || body.starts_with("\xff\xff\xff\xff") ||
      has_type(content_type, "application/vnd.apache.arrow.file") ||
      has_type(content_type, "application/vnd.apache.arrow.stream")) {
    return unknown("Arrow is not read, Debian 12 has no library for it");
  }
  if (body.starts_with("PAR1")) return unknown("Parquet is not read");
  if (has_type(content_type, "text/csv")) return rows_in(table, parse_csv_rows(body));
  const std::size_t first = body.find_first_not_of(" \t\r\n");
  if (first != body.npos && (body[first] == '[' || body[first] == '{')) {
    return rows_in(table, parse_json_rows(body));
  }
  const std::string_view start = body.substr(0, 4096);
  if (std::any_of(start.begin(), start.end(), [](char c) { return c >= 0 && c < '\t'; })) {
    return unknown("rows in a form that is not known");
  }
  return rows_in(table, parse_csv_rows(body));
}

Result<TableChange> parse_member(const std::string& name, std::string body) {
  // PYME sends final_metadata.json with what an acquisition knew at its end.
  if (name == "metadata.json" || name == "MetaData" || name == "final_metadata.json") {
    return TableChange(MergeMetadata{std::move(body)});
  }
  if (name == "events.json") {
    auto events = parse_json_events(body);
    if (!events) return events.error();
    return TableChange(AddRows{"Events", std::move(*events)});
  }
  if (const auto number = frame_number(name)) {
    if (!body.starts_with("BD")) return Error{std::errc::not_supported, name + ": no PZF frame"};
    return TableChange(AddFrame{*number, std::move(body)});
  }
  return Error{std::errc::no_such_file_or_directory,
               name + ": a series in one file keeps metadata.json, events.json and frameNNNNN.pzf"};
}

}  // namespace

Result<TableChange> parse_table_change(const AppendTarget& target, std::string_view content_type,
                                       std::string body) {
  if (target.kind == GrowthKind::kSeries) return parse_member(target.part, std::move(body));
  if (target.part == "MetaData" || target.part == "Metadata") {
    return TableChange(MergeMetadata{std::move(body)});
  }
  auto rows = parse_rows(target.part, content_type, body);
  if (!rows) return rows.error();
  return TableChange(std::move(*rows));
}

std::optional<std::int32_t> frame_number(std::string_view member) {
  constexpr std::string_view kBegin = "frame", kEnd = ".pzf";
  constexpr std::size_t kFewestDigits = 5;
  if (!member.starts_with(kBegin) || !member.ends_with(kEnd)) return std::nullopt;
  if (member.size() < kBegin.size() + kFewestDigits + kEnd.size()) return std::nullopt;
  member.remove_prefix(kBegin.size());
  member.remove_suffix(kEnd.size());
  if (member.front() == '-') return std::nullopt;
  std::int32_t number = 0;
  const auto [end, failure] = std::from_chars(member.data(), member.data() + member.size(), number);
  if (failure != std::errc() || end != member.data() + member.size()) return std::nullopt;
  return number;
}

std::string frame_name(std::int32_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "frame%05d.pzf", number);
  return name;
}

}  // namespace skein
