#include "aggregate/hdf5_metadata.h"

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include "aggregate/hdf5_attribute.h"
#include "aggregate/hdf5_table.h"
#include "aggregate/json_depth.h"
#include "aggregate/pickle_rows.h"
#include "core/path.h"

namespace skein {
namespace {

using Json = nlohmann::json;

constexpr const char* kGroup = "MetaData";
// Groups may hold one another in circles.
constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxKeys = 100'000;

Error malformed(const std::string& why) { return {std::errc::bad_message, "metadata: " + why}; }

Json parse(std::string_view text) { return Json::parse(text, nullptr, false); }

std::vector<std::string> parts_of(std::string_view key) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t dot = key.find('.');
    parts.emplace_back(key.substr(0, dot));
    if (dot == key.npos) return parts;
    key.remove_prefix(dot + 1);
  }
}

bool is_whole(const Json& value) {
  return value.is_number_integer() &&
         (!value.is_number_unsigned() || value.get<std::uint64_t>() <= INT64_MAX);
}

// What goes into a string attribute.
std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : pickle_of_json(value);
}

Result<Hdf5Handle> group_in(hid_t parent, const std::string& name) {
  const auto there = has_object(parent, name);
  if (!there) return there.error();
  if (*there) {
    Hdf5Handle group(H5Gopen2(parent, name.c_str(), H5P_DEFAULT));
    if (!group) return hdf5_error("open group " + name);
    return group;
  }
  Hdf5Handle group(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  if (!group) return hdf5_error("make group " + name);
  if (auto marked = mark_pytables(group.get(), "GROUP", "1.0"); !marked) return marked.error();
  return group;
}

Result<void> set_value(hid_t group, const std::string& name, const Json& value) {
  if (value.is_boolean()) {
    const unsigned char truth = value.get<bool>() ? 1 : 0;
    return set_attribute(group, name, H5T_STD_B8LE, H5T_NATIVE_B8, &truth);
  }
  if (is_whole(value)) {
    const auto whole = value.get<std::int64_t>();
    return set_attribute(group, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &whole);
  }
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    return set_attribute(group, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &number);
  }
  return set_text_attribute(group, name, text_of(value),
                            value.is_string() ? TextSet::kUtf8 : TextSet::kAscii);
}

std::optional<Json> read_text(hid_t attribute, hid_t type) {
  if (H5Tis_variable_str(type) > 0) return std::nullopt;
  std::string text(H5Tget_size(type), '\0');
  if (text.size() > kMaxAttributeBytes * 2 || H5Aread(attribute, type, text.data()) < 0) {
    return std::nullopt;
  }
  text.resize(std::min(text.size(), text.find('\0')));
  // PyTables looks for pickles in the same way.
  if (H5Tget_cset(type) == H5T_CSET_ASCII && text.size() > 1 && text.ends_with('.')) {
    if (auto value = json_of_pickle(text)) return value;
  }
  return Json(std::move(text));
}

std::optional<Json> read_value(hid_t attribute) {
  const Hdf5Handle type(H5Aget_type(attribute)), space(H5Aget_space(attribute));
  const H5T_class_t kind = H5Tget_class(type.get());
  if (H5Sget_simple_extent_type(space.get()) == H5S_NULL) {
    return kind == H5T_STRING ? std::optional(Json("")) : std::nullopt;
  }
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  const bool scalar = H5Sget_simple_extent_type(space.get()) == H5S_SCALAR;
  if (kind == H5T_STRING) return scalar ? read_text(attribute, type.get()) : std::nullopt;
  if (count < 1 || static_cast<std::size_t>(count) > kMaxAttributeBytes) return std::nullopt;
  const auto collect = [&](auto element, hid_t memory, auto to_json) -> std::optional<Json> {
    std::vector<decltype(element)> values(static_cast<std::size_t>(count));
    if (H5Aread(attribute, memory, values.data()) < 0) return std::nullopt;
    if (scalar) return to_json(values[0]);
    Json list = Json::array();
    for (const auto value : values) list.push_back(to_json(value));
    return list;
  };
  switch (kind) {
    case H5T_INTEGER:
      return collect(std::int64_t{}, H5T_NATIVE_INT64, [](std::int64_t v) { return Json(v); });
    case H5T_FLOAT: return collect(double{}, H5T_NATIVE_DOUBLE, [](double v) { return Json(v); });
    case H5T_BITFIELD:
      if (H5Tget_size(type.get()) != 1) return std::nullopt;
      return collect(static_cast<unsigned char>(0), type.get(),
                     [](unsigned char v) { return Json(v != 0); });
    default: return std::nullopt;
  }
}

void read_attributes(hid_t group, const std::string& prefix, Json& into) {
  static const std::set<std::string> kOfPyTables = {"CLASS", "TITLE", "VERSION", "FILTERS"};
  H5O_info_t object{};
  H5Oget_info2(group, &object, H5O_INFO_NUM_ATTRS);
  for (hsize_t i = 0; i < object.num_attrs && into.size() < kMaxKeys; ++i) {
    const Hdf5Handle attribute(
        H5Aopen_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT));
    char name[256] = "";
    if (!attribute || H5Aget_name(attribute.get(), sizeof name, name) < 0) continue;
    if (kOfPyTables.contains(name)) continue;
    if (auto value = read_value(attribute.get())) into[prefix + name] = std::move(*value);
  }
}

void read_group(hid_t group, const std::string& prefix, int depth, Json& into) {
  read_attributes(group, prefix, into);
  H5G_info_t found{};
  if (depth == kMaxDepth || H5Gget_info(group, &found) < 0) return;
  for (hsize_t i = 0; i < found.nlinks && into.size() < kMaxKeys; ++i) {
    char name[256] = "";
    if (H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name,
                           H5P_DEFAULT) < 0) {
      continue;
    }
    const auto there = has_object(group, name);
    if (!there || !*there) continue;
    const Hdf5Handle inner(H5Gopen2(group, name, H5P_DEFAULT));
    if (inner) read_group(inner.get(), prefix + name + ".", depth + 1, into);
  }
}

}  // namespace

Result<void> check_metadata(std::string_view text) {
  if (nests_too_deeply(text)) return malformed("nested too deeply");
  const Json flat = parse(text);
  if (!flat.is_object()) return malformed("no JSON object");
  for (const auto& [key, value] : flat.items()) {
    const std::vector<std::string> parts = parts_of(key);
    if (parts.size() > kMaxDepth) return malformed("the key " + key + " has too many parts");
    for (const std::string& part : parts) {
      if (part.empty() || part.size() > kMaxNameBytes || part.find('/') != part.npos ||
          part.find('\0') != part.npos) {
        return malformed("the key '" + key + "' cannot name a value");
      }
    }
    const bool text_kind = !value.is_boolean() && !is_whole(value) && !value.is_number_float();
    if (text_kind && text_of(value).size() > kMaxAttributeBytes) {
      return malformed("the value of " + key + " is longer than " +
                       std::to_string(kMaxAttributeBytes) + " bytes");
    }
    if (value.is_string() && value.get_ref<const std::string&>().find('\0') != std::string::npos) {
      return malformed("the value of " + key + " holds a NUL");
    }
  }
  return {};
}

Result<void> merge_metadata(hid_t file, std::string_view text) {
  const auto root = group_in(file, kGroup);
  if (!root) return root.error();
  const Json flat = parse(text);
  for (const auto& [key, value] : flat.items()) {
    std::vector<std::string> parts = parts_of(key);
    Hdf5Handle inner;
    hid_t group = root->get();
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      auto next = group_in(group, parts[i]);
      if (!next) return next.error();
      inner = std::move(*next);
      group = inner.get();
    }
    if (auto set = set_value(group, parts.back(), value); !set) return set;
  }
  return {};
}

Result<std::string> metadata_json(hid_t file) {
  Json all = Json::object();
  const auto there = has_object(file, kGroup);
  if (!there) return there.error();
  if (*there) {
    const Hdf5Handle group(H5Gopen2(file, kGroup, H5P_DEFAULT));
    if (group) read_group(group.get(), "", 0, all);
  }
  return all.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace skein
