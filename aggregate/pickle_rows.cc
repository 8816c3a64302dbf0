#include "aggregate/pickle_rows.h"

#include <algorithm>
#include <cstring>

#include "aggregate/pickle.h"

namespace skein {
namespace {

using Kind = PickleValue::Kind;
using Values = std::vector<const PickleValue*>;

constexpr std::size_t kEventDescriptionBytes = 256;
constexpr std::size_t kEventNameBytes = 32;

Error malformed(const char* why) { return {std::errc::bad_message, std::string("pickle: ") + why}; }
Error not_rows(const std::string& why) {
  return {std::errc::not_supported, "pickle: " + why + "; send .npy"};
}

bool is_size(const PickleValue& value, std::size_t most) {
  return value.kind == Kind::kInt && value.whole >= 0 &&
         static_cast<std::uint64_t>(value.whole) <= most;
}

Result<std::vector<std::size_t>> shape_of(const PickleValue& value) {
  std::vector<std::size_t> shape;
  if (value.kind == Kind::kInt && value.whole >= 0) {
    return std::vector{static_cast<std::size_t>(value.whole)};
  }
  if (value.kind != Kind::kTuple) return malformed("a shape is no tuple");
  for (const PickleValue* item : value.items) {
    if (!is_size(*item, INT64_MAX)) return malformed("a shape is not of numbers");
    shape.push_back(static_cast<std::size_t>(item->whole));
  }
  return shape;
}

Result<RowType> row_type_of(const PickleValue& dtype, std::size_t depth);

// Sets all but name and offset.
Result<void> set_type(RowField& field, const PickleValue& dtype, std::size_t depth) {
  if (depth > kMaxNesting) return malformed("nested too deeply");
  if (dtype.kind != Kind::kDtype) return malformed("a field without a dtype");
  if (dtype.state == nullptr) return set_numpy_code(field, dtype.text);
  // (version, order, subarray, names, fields, size, alignment[, flags[, metadata]])
  const Values& state = dtype.state->items;
  if (state.size() < 7 || state[0]->kind != Kind::kInt || !state[1]->is_text()) {
    return malformed("a dtype of an unknown version");
  }
  if (state[2]->kind != Kind::kNone) {
    const Values& subarray = state[2]->items;
    if (state[2]->kind != Kind::kTuple || subarray.size() != 2) return malformed("a bad subarray");
    auto dimensions = shape_of(*subarray[1]);
    if (!dimensions) return dimensions.error();
    if (auto set = set_type(field, *subarray[0], depth + 1); !set) return set;
    if (!field.dimensions.empty()) return not_rows("arrays of arrays");
    field.dimensions = std::move(*dimensions);
    return {};
  }
  if (state[3]->kind != Kind::kNone) {
    auto row = row_type_of(dtype, depth + 1);
    if (!row) return row.error();
    field.kind = RowField::Kind::kRow;
    field.item_bytes = row->size_bytes;
    field.row = std::move(*row);
    return {};
  }
  if (auto set = set_numpy_code(field, dtype.text); !set) return set;
  field.big_endian = state[1]->text == ">";
  return {};
}

Result<RowType> row_type_of(const PickleValue& dtype, std::size_t depth) {
  if (dtype.kind != Kind::kDtype || dtype.state == nullptr || dtype.state->items.size() < 7) {
    return not_rows("an array without named fields");
  }
  const Values& state = dtype.state->items;
  const PickleValue& names = *state[3];
  const PickleValue& fields = *state[4];
  if (names.kind != Kind::kTuple || fields.kind != Kind::kDict) {
    return not_rows("an array without named fields");
  }
  if (names.items.size() > kMaxFields || !is_size(*state[5], kMaxRowBytes)) {
    return malformed("a row is too long");
  }
  RowType type;
  type.size_bytes = static_cast<std::size_t>(state[5]->whole);
  for (const PickleValue* name : names.items) {
    const PickleValue* entry = nullptr;
    for (std::size_t i = 0; i + 1 < fields.items.size() && entry == nullptr; i += 2) {
      if (fields.items[i]->is_text() && fields.items[i]->text == name->text) entry = fields.items[i + 1];
    }
    if (!name->is_text() || entry == nullptr || entry->kind != Kind::kTuple ||
        entry->items.size() < 2 || !is_size(*entry->items[1], kMaxRowBytes)) {
      return malformed("a field without a place");
    }
    RowField field;
    field.name = name->text;
    field.offset = static_cast<std::size_t>(entry->items[1]->whole);
    if (auto set = set_type(field, *entry->items[0], depth); !set) return set.error();
    type.fields.push_back(std::move(field));
  }
  if (auto checked = check_row_type(type); !checked) return checked.error();
  return type;
}

void put_text(char* to, std::string_view text, std::size_t room) {
  std::memcpy(to, text.data(), std::min(text.size(), room));
}

}  // namespace

Result<Rows> parse_pickled_rows(std::string_view text) {
  const auto pickle = Pickle::parse(text);
  if (!pickle) return pickle.error();
  const PickleValue& array = pickle->root();
  if (array.kind != Kind::kArray || array.state == nullptr) return not_rows("no numpy array");
  // (version, shape, dtype, is Fortran, bytes)
  const Values& state = array.state->items;
  if (state.size() != 5 || state[4]->kind != Kind::kBytes) {
    return not_rows("an array of objects, or of an unknown version");
  }
  const auto shape = shape_of(*state[1]);
  if (!shape) return shape.error();
  if (shape->size() > 1) return not_rows("an array of more than one dimension");
  auto type = row_type_of(*state[2], 1);
  if (!type) return type.error();
  Rows rows;
  rows.count = shape->empty() ? 1 : shape->front();
  rows.bytes = state[4]->text;
  if (rows.bytes.size() / type->size_bytes != rows.count ||
      rows.bytes.size() % type->size_bytes != 0) {
    return malformed("its length is not that of its rows");
  }
  rows.type = std::move(*type);
  return rows;
}

Result<Rows> parse_pickled_events(std::string_view text) {
  const auto pickle = Pickle::parse(text);
  if (!pickle) return pickle.error();
  if (pickle->root().kind == Kind::kArray) return parse_pickled_rows(text);
  if (!pickle->root().is_sequence()) return not_rows("neither an array nor a list of events");
  Rows events;
  events.type = events_type();
  for (const PickleValue* item : pickle->root().items) {
    if (!item->is_sequence() || item->items.size() != 3 || !item->items[0]->is_text() ||
        !item->items[1]->is_text() ||
        (item->items[2]->kind != Kind::kFloat && item->items[2]->kind != Kind::kInt)) {
      return malformed("an event is no (name, description, time)");
    }
    const PickleValue& time = *item->items[2];
    add_event(events, {item->items[0]->text, item->items[1]->text,
                       time.kind == Kind::kFloat ? time.number : static_cast<double>(time.whole)});
  }
  return events;
}

RowType events_type() {
  RowType type;
  RowField field;
  field.name = "EventDescr";
  field.item_bytes = kEventDescriptionBytes;
  add_field(type, field);
  field.name = "EventName";
  field.item_bytes = kEventNameBytes;
  add_field(type, field);
  field.name = "Time";
  field.kind = RowField::Kind::kFloat;
  field.item_bytes = sizeof(double);
  add_field(type, field);
  return type;
}

void add_event(Rows& events, const Event& event) {
  const std::size_t at = events.bytes.size();
  events.bytes.resize(at + events.type.size_bytes);
  put_text(events.bytes.data() + at, event.description, kEventDescriptionBytes);
  put_text(events.bytes.data() + at + kEventDescriptionBytes, event.name, kEventNameBytes);
  std::memcpy(events.bytes.data() + at + kEventDescriptionBytes + kEventNameBytes, &event.time,
              sizeof event.time);
  ++events.count;
}

}  // namespace skein
