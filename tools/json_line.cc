#include "tools/json_line.h"

#include "core/json_text.h"

namespace skein {

std::string json_string(std::string_view text) {
  std::string out = "\"";
  append_json_text(out, text);
  out += '"';
  return out;
}

std::string json_array(const std::vector<std::string>& elements) {
  std::string out = "[";
  for (const std::string& element : elements) {
    if (out.size() > 1) out += ",";
    out += element;
  }
  return out + "]";
}

JsonLine& JsonLine::text(std::string_view key, std::string_view value) {
  return json(key, json_string(value));
}

JsonLine& JsonLine::number(std::string_view key, std::int64_t value) {
  return json(key, std::to_string(value));
}

JsonLine& JsonLine::truth(std::string_view key, bool value) {
  return json(key, value ? "true" : "false");
}

JsonLine& JsonLine::json(std::string_view key, std::string_view value) {
  if (!members_.empty()) members_ += ",";
  members_ += json_string(key);
  members_ += ":";
  members_ += value;
  return *this;
}

}  // namespace skein
