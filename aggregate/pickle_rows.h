// What pickles mean to tables: rows of a numpy array, events, values of metadata; and back.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "aggregate/row_type.h"
#include "core/error.h"

namespace skein {

// The array of an ndarray.dumps(), one-dimensional (or one row) and structured. Errors:
// bad_message; not_supported (another pickle; the text says what was met).
Result<Rows> parse_pickled_rows(std::string_view text);

// A list of (name, description, time): rows of an Events table (events_type()). Errors: as above.
Result<Rows> parse_pickled_events(std::string_view text);

// [[name, description, time], ...]. Errors: bad_message.
Result<Rows> parse_json_events(std::string_view text);

// EventDescr bytes256, EventName bytes32, Time float64: what PYME's readers expect. Texts that are
// longer are cut.
RowType events_type();
struct Event {
  std::string_view name;
  std::string_view description;
  double time = 0;  // seconds since 1970
};
void add_event(Rows& events, const Event& event);

// The rows as numpy would pickle them (protocol 3); `bytes` of rows of that type follow the head,
// the tail follows them. Precondition: bytes < 4 GiB.
struct PickleFrame {
  std::string head;
  std::string tail;
};
PickleFrame pickle_frame(const RowType& type, std::size_t count);
// An array of no rows and no fields.
std::string empty_pickle();

// A JSON value as protocol 0, as PyTables keeps what is neither number nor text; and back, nullopt
// for a pickle of anything else.
std::string pickle_of_json(const nlohmann::json& value);
std::optional<nlohmann::json> json_of_pickle(std::string_view text);

}  // namespace skein
