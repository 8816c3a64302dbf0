#include "dataserver/table_reading.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "aggregate/npy.h"
#include "aggregate/pickle_rows.h"
#include "aggregate/row_text.h"
#include "aggregate/table_file.h"
#include "core/json_text.h"
#include "dataserver/tables.h"

namespace skein {
namespace {

// Read at a time; between two steps others get their turn.
constexpr std::size_t kStepBytes = 8ull << 20;
// The text of rows takes about so many times their bytes.
constexpr std::size_t kTextGrowth = 8;

Error absent(const std::string& what) { return {std::errc::no_such_file_or_directory, what}; }

// One bound of a slice; nullopt: not given.
Result<std::optional<std::int64_t>> bound(const Target& target, std::string_view name) {
  const std::string text = target.query_value(name);
  if (text.empty()) return std::optional<std::int64_t>();
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) {
    return Error{std::errc::bad_message, std::string(name) + " must be a whole number"};
  }
  return std::optional(value);
}

// As Python slices: negative ones count from the end, all are cut to what is there.
std::uint64_t row_at(std::optional<std::int64_t> bound, std::uint64_t count, std::uint64_t absent) {
  if (!bound) return absent;
  const auto rows = static_cast<std::int64_t>(count);
  const std::int64_t at = *bound < 0 ? *bound + rows : *bound;
  return static_cast<std::uint64_t>(std::clamp<std::int64_t>(at, 0, rows));
}

// What is true only now.
Reply momentary(std::string_view type) {
  Reply reply;
  reply.add_field("Content-Type", type);
  reply.add_field("Cache-Control", "no-store");
  return reply;
}

std::string_view bytes_field(const Rows& rows, std::size_t row, const RowField& field) {
  const char* from = rows.bytes.data() + row * rows.type.size_bytes + field.offset;
  return {from, ::strnlen(from, field.item_bytes)};
}

// [[name, description, time], ...], as a series has it in events.json.
Result<std::string> events_json(const Rows& events) {
  if (mismatch(events.type, events_type())) return absent("the events are of an unknown form");
  const auto& fields = events.type.fields;
  const auto field = [&](std::string_view name) -> const RowField& {
    return *std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.name == name; });
  };
  std::string out = "[";
  for (std::size_t i = 0; i < events.count; ++i) {
    out += i > 0 ? ",[\"" : "[\"";
    append_json_text(out, bytes_field(events, i, field("EventName")));
    out += "\",\"";
    append_json_text(out, bytes_field(events, i, field("EventDescr")));
    out += "\",";
    double time = 0;
    std::memcpy(&time, events.bytes.data() + i * events.type.size_bytes + field("Time").offset,
                sizeof time);
    char text[40];
    out.append(text, std::to_chars(text, text + sizeof text, time).ptr);
    out += "]";
  }
  return out += "]";
}

}  // namespace

Result<std::shared_ptr<TableReading>> TableReading::of(GrowthKind kind, const std::string& part,
                                                       const Target& target,
                                                       MemoryBudget& budget) {
  std::shared_ptr<TableReading> reading(new TableReading(budget));
  if (kind == GrowthKind::kSeries) {
    const auto frame = frame_number(part);
    if (part.empty()) {
      reading->what_ = What::kListing;
    } else if (part == "metadata.json") {
      reading->what_ = What::kMetadata;
    } else if (part == "events.json") {
      reading->what_ = What::kEvents;
      reading->table_ = "Events";
    } else if (frame) {
      reading->what_ = What::kFrame;
      reading->frame_ = *frame;
    } else {
      return absent(part + ": no member of a series");
    }
    return reading;
  }
  if (part.empty() || part.find('/') != part.npos) return absent(part + ": no table");
  if (part == "Metadata" || part == "Metadata.json" || part == "MetaData" ||
      part == "MetaData.json") {
    reading->what_ = What::kMetadata;
    return reading;
  }
  reading->table_ = part;
  for (const auto& [ending, form] : {std::pair(".json", Form::kJson), std::pair(".npy", Form::kNpy),
                                     std::pair(".csv", Form::kCsv)}) {
    if (!part.ends_with(ending)) continue;
    reading->form_ = form;
    reading->table_.resize(part.size() - std::strlen(ending));
  }
  auto from = bound(target, "from"), to = bound(target, "to");
  if (!from) return from.error();
  if (!to) return to.error();
  reading->from_ = *from;
  reading->to_ = *to;
  return reading;
}

Result<TableJob::Progress> TableReading::step(TableFile& file) {
  switch (what_) {
    case What::kRows:
    case What::kEvents: return step_rows(file);
    case What::kMetadata: {
      auto json = file.metadata_json();
      if (!json) return json.error();
      text_ = std::move(*json);
      break;
    }
    case What::kFrame: {
      auto frame = file.frame(frame_);
      if (!frame) return frame.error();
      if (!*frame) return absent(frame_name(frame_) + ": no such frame");
      text_ = std::move(**frame);
      break;
    }
    case What::kListing:
      if (auto listed = list(file); !listed) return listed.error();
      break;
  }
  return TableJob::Progress::kDone;
}

Result<void> TableReading::begin_rows(TableFile& file) {
  begun_ = true;
  const auto shape = file.shape(table_);
  if (!shape) return shape.error();
  if (!*shape) {
    missing_ = true;
    return what_ == What::kEvents ? Result<void>(absent("no events")) : Result<void>();
  }
  const std::uint64_t count = (*shape)->rows;
  next_ = row_at(from_, count, 0);
  end_ = std::max(next_, row_at(to_, count, count));
  rows_.type = (*shape)->type;
  const std::size_t row_bytes = rows_.type.size_bytes;
  const std::size_t growth = form_ == Form::kNpy || form_ == Form::kPickle ? 2 : kTextGrowth;
  if (end_ - next_ > Tables::kMostReadBytes / row_bytes) {
    return Error{std::errc::file_too_large,
                 std::to_string(end_ - next_) + " rows of " + std::to_string(row_bytes) +
                     " bytes are more than one reply may have; ask with ?from= and &to= for at most " +
                     std::to_string(Tables::kMostReadBytes / row_bytes)};
  }
  const std::size_t bytes = (end_ - next_) * row_bytes;
  if (bytes > 0) share_ = budget_.take(std::min(bytes * growth, Tables::kReadBudgetBytes));
  if (bytes > 0 && share_.bytes() == 0) {
    return Error{std::errc::resource_unavailable_try_again, "too many rows are being read"};
  }
  rows_.bytes.reserve(bytes);
  return {};
}

Result<TableJob::Progress> TableReading::step_rows(TableFile& file) {
  if (!begun_) {
    if (auto begun = begin_rows(file); !begun) return begun.error();
  }
  if (next_ < end_) {
    const std::uint64_t most = std::max<std::uint64_t>(1, kStepBytes / rows_.type.size_bytes);
    const std::uint64_t count = std::min(most, end_ - next_);
    const auto piece = file.read(table_, next_, count);
    if (!piece) return piece.error();
    rows_.bytes += piece->bytes;
    rows_.count += count;
    next_ += count;
  }
  if (next_ < end_) return TableJob::Progress::kMore;
  if (what_ == What::kEvents) {
    auto json = events_json(rows_);
    if (!json) return json.error();
    text_ = std::move(*json);
  }
  return TableJob::Progress::kDone;
}

Result<void> TableReading::list(TableFile& file) {
  const auto members = file.members();
  if (!members) return members.error();
  text_ = "{";
  for (const std::string& name : *members) {
    text_ += text_.size() > 1 ? ",\"" : "\"";
    append_json_text(text_, name);
    text_ += "\":[0,0]";
  }
  text_ += "}";
  return {};
}

std::string_view TableReading::type() const {
  constexpr std::string_view kBytes = "application/octet-stream";
  switch (what_) {
    case What::kFrame: return kBytes;
    case What::kListing: return "application/json; charset=utf-8";
    case What::kMetadata:
    case What::kEvents: return "text/json";
    case What::kRows: break;
  }
  switch (form_) {
    case Form::kJson: return "text/json";
    case Form::kCsv: return "text/csv";
    default: return kBytes;
  }
}

std::string TableReading::text() const { return what_ == What::kRows ? rows_text() : text_; }

std::string TableReading::rows_text() const {
  switch (form_) {
    case Form::kJson: return missing_ ? "{}" : json_of_rows(rows_);
    case Form::kCsv: return missing_ ? "" : csv_of_rows(rows_);
    case Form::kNpy:
      return missing_ ? empty_npy() : npy_head(rows_.type, rows_.count) + rows_.bytes;
    case Form::kPickle: break;
  }
  if (missing_) return empty_pickle();
  const PickleFrame frame = pickle_frame(rows_.type, rows_.count);
  return frame.head + rows_.bytes + frame.tail;
}

Reply TableReading::reply() const {
  Reply reply = momentary(type());
  reply.text = text();
  return reply;
}

Reply TableReading::reply(FilePart text) const {
  Reply reply = momentary(type());
  if (text.length > 0) reply.parts.push_back({{}, std::move(text)});
  return reply;
}

}  // namespace skein
