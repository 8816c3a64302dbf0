// One JSON object on one line, members in the order given. No document tree: names that are no
// UTF-8 must come through (core/json_text.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace skein {

std::string json_string(std::string_view text);
std::string json_array(const std::vector<std::string>& elements);  // elements are JSON already

class JsonLine {
 public:
  JsonLine& text(std::string_view key, std::string_view value);
  JsonLine& number(std::string_view key, std::int64_t value);
  JsonLine& truth(std::string_view key, bool value);
  JsonLine& json(std::string_view key, std::string_view value);  // JSON already

  std::string str() const { return "{" + members_ + "}"; }

 private:
  std::string members_;
};

}  // namespace skein
