#include "streamer/series_metadata.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "streamer/series_layout.h"

namespace skein {
namespace {

using Json = nlohmann::json;

constexpr int kIndent = 2;

Error refuse(const std::string& subject, const char* why) {
  return {std::errc::invalid_argument, subject + ": " + why};
}

Result<Json> json_of(const std::string& key, const MetadataValue& value) {
  if (const auto* text = std::get_if<JsonText>(&value)) {
    Json parsed = Json::parse(text->text, nullptr, /*allow_exceptions=*/false);
    if (parsed.is_discarded()) return refuse(key, "no JSON");
    return parsed;
  }
  if (const auto* number = std::get_if<double>(&value)) {
    if (!std::isfinite(*number)) return refuse(key, "not a finite number");
    return Json(*number);
  }
  if (const auto* truth = std::get_if<bool>(&value)) return Json(*truth);
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return Json(*whole);
  return Json(std::get<std::string>(value));
}

// The library throws for text that is no UTF-8.
Result<std::string> dump(const Json& json, const std::string& subject) {
  try {
    return json.dump(kIndent, ' ', /*ensure_ascii=*/true);
  } catch (const Json::exception&) {
    return refuse(subject, "no UTF-8");
  }
}

MetadataValue value_of(const Json& json) {
  if (json.is_boolean()) return json.get<bool>();
  const bool fits = !json.is_number_unsigned() ||
                    json.get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max();
  if (json.is_number_integer() && fits) return json.get<std::int64_t>();
  if (json.is_number_integer()) return JsonText{json.dump()};
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  return JsonText{json.dump()};
}

}  // namespace

Result<std::string> metadata_json(const SeriesMetadata& metadata) {
  Json object = Json::object();  // sorts its keys
  for (const auto& [key, value] : metadata) {
    if (key.empty()) return refuse("metadata", "an empty key");
    auto json = json_of(key, value);
    if (!json) return json.error();
    if (auto sound = dump({{key, *json}}, "metadata key " + key); !sound) return sound.error();
    object[key] = std::move(*json);
  }
  return dump(object, "metadata");
}

Result<std::string> events_json(const std::vector<SeriesEvent>& events) {
  Json array = Json::array();
  for (const SeriesEvent& event : events) {
    if (!std::isfinite(event.unix_time_s)) return refuse("event " + event.name, "its time");
    array.push_back(Json::array({event.name, event.description, event.unix_time_s}));
  }
  try {
    return array.dump(-1, ' ', /*ensure_ascii=*/true);
  } catch (const Json::exception&) {
    return refuse("events", "no UTF-8");
  }
}

Result<SeriesMetadata> parse_metadata(std::string_view json) {
  const auto malformed = [](std::string why) {
    return Error{std::errc::bad_message, "metadata: " + std::move(why)};
  };
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return malformed("not a JSON object");
  SeriesMetadata metadata;
  for (const auto& [key, value] : parsed.items()) {
    if (value.is_object()) {
      return malformed("keys are flat: write {\"" + key + ".NAME\": ...} for what is in \"" + key +
                       "\"");
    }
    metadata[key] = value_of(value);
  }
  return metadata;
}

void close_sizes(SeriesMetadata& metadata, std::uint64_t frames) {
  constexpr auto kMost = static_cast<std::int64_t>(kMostFrames);
  std::int64_t others = 1;
  std::string open;
  for (const char* key : {"SizeC", "SizeZ", "SizeT"}) {
    const std::int64_t size = whole_number(metadata, key).value_or(1);
    if (size == -1) open = key;
    if (size > kMost / others) return;  // they promise more than a series can have
    if (size > 0) others *= size;
  }
  if (open.empty()) return;
  metadata[open] = (static_cast<std::int64_t>(frames) + others - 1) / others;
}

std::optional<std::int64_t> whole_number(const SeriesMetadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  const auto* number = std::get_if<std::int64_t>(&found->second);
  return number == nullptr ? std::nullopt : std::optional(*number);
}

}  // namespace skein
