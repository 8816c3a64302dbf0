// JSON records and columns, read into loose rows.
#include "aggregate/loose_rows.h"

#include <nlohmann/json.hpp>

#include "aggregate/json_depth.h"
#include "aggregate/pickle_rows.h"

namespace skein {
namespace {

using Json = nlohmann::json;

Error malformed(const std::string& why) { return {std::errc::bad_message, "JSON rows: " + why}; }

Result<LooseCell> cell_of(const Json& value, const std::string& name) {
  switch (value.type()) {
    case Json::value_t::null: return LooseCell();
    case Json::value_t::boolean: return LooseCell(value.get<bool>());
    case Json::value_t::number_integer: return LooseCell(value.get<std::int64_t>());
    case Json::value_t::number_unsigned:
      if (value.get<std::uint64_t>() > INT64_MAX) return malformed(name + ": a number is too large");
      return LooseCell(value.get<std::int64_t>());
    case Json::value_t::number_float: return LooseCell(value.get<double>());
    case Json::value_t::string: return LooseCell(value.get<std::string>());
    default:
      return Error{std::errc::not_supported,
                   "JSON rows: " + name + " holds a list or an object; send nested rows as .npy"};
  }
}

Result<void> add_record(LooseRows& rows, const Json& record) {
  if (!record.is_object() || record.empty()) return malformed("a record is no object of values");
  if (rows.names.empty()) {
    for (const auto& [name, value] : record.items()) rows.names.push_back(name);
    rows.columns.resize(rows.names.size());
  }
  if (record.size() != rows.names.size()) return malformed("records with different keys");
  std::size_t i = 0;
  // Both are sorted by name.
  for (const auto& [name, value] : record.items()) {
    if (name != rows.names[i]) return malformed("records with different keys");
    auto cell = cell_of(value, name);
    if (!cell) return cell.error();
    rows.columns[i++].push_back(std::move(*cell));
  }
  ++rows.count;
  return {};
}

// {"x":{"0":1,"1":2}}; the row keys are "0", "1", ... without gaps.
Result<LooseRows> from_columns(const Json& table) {
  LooseRows rows;
  for (const auto& [name, column] : table.items()) {
    if (!rows.names.empty() && column.size() != rows.count) {
      return malformed("columns of different lengths");
    }
    rows.count = column.size();
    rows.names.push_back(name);
    std::vector<LooseCell>& cells = rows.columns.emplace_back();
    for (std::size_t i = 0; i < rows.count; ++i) {
      const auto found = column.find(std::to_string(i));
      if (found == column.end()) return malformed("column " + name + " has no row " + std::to_string(i));
      auto cell = cell_of(*found, name);
      if (!cell) return cell.error();
      cells.push_back(std::move(*cell));
    }
  }
  return rows;
}

bool is_columns(const Json& value) {
  if (!value.is_object() || value.empty()) return false;
  for (const auto& column : value) {
    if (!column.is_object()) return false;
  }
  return true;
}

Result<LooseRows> from_lines(std::string_view text) {
  LooseRows rows;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const Json record = Json::parse(line, nullptr, false);
    if (record.is_discarded()) return malformed("a line is no JSON object");
    if (auto added = add_record(rows, record); !added) return added.error();
  }
  if (rows.names.empty()) return malformed("nothing in it");
  return rows;
}

}  // namespace

Result<LooseRows> parse_json_rows(std::string_view text) {
  if (nests_too_deeply(text)) return malformed("nested too deeply");
  const Json whole = Json::parse(text, nullptr, false);
  if (whole.is_discarded()) return from_lines(text);
  if (is_columns(whole)) return from_columns(whole);
  LooseRows rows;
  if (whole.is_object()) {
    if (auto added = add_record(rows, whole); !added) return added.error();
    return rows;
  }
  if (!whole.is_array() || whole.empty()) return malformed("no array of records");
  for (const Json& record : whole) {
    if (auto added = add_record(rows, record); !added) return added.error();
  }
  return rows;
}

Result<Rows> parse_json_events(std::string_view text) {
  if (nests_too_deeply(text)) return malformed("nested too deeply");
  const Json list = Json::parse(text, nullptr, false);
  if (!list.is_array()) return malformed("events are no array");
  Rows events;
  events.type = events_type();
  for (const Json& item : list) {
    if (!item.is_array() || item.size() != 3 || !item[0].is_string() || !item[1].is_string() ||
        !item[2].is_number()) {
      return malformed("an event is no [name, description, time]");
    }
    add_event(events, {item[0].get_ref<const std::string&>(),
                       item[1].get_ref<const std::string&>(), item[2].get<double>()});
  }
  return events;
}

}  // namespace skein
