// Pickles as this server writes them.
#include <cstdint>

#include <nlohmann/json.hpp>

#include "aggregate/pickle.h"
#include "aggregate/pickle_codec.h"
#include "aggregate/pickle_rows.h"

namespace skein {
namespace {

using Json = nlohmann::json;
using Kind = PickleValue::Kind;

// Bounds of what is read back from a file that anybody may have written.
constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxValues = 100'000;

void put_u32(std::string& out, std::uint64_t value) {
  for (int i = 0; i < 4; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

// A whole number below 2^63.
void put_whole(std::string& out, std::uint64_t value) {
  out.append("\x8a\x08", 2);
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

void put_text(std::string& out, std::string_view text) {
  out += 'X';
  put_u32(out, text.size());
  out += text;
}

void put_dtype(std::string& out, const RowType& type);

// dtype(code, False, True) and the state that follows it: BUILD comes from the caller.
void put_dtype_call(std::string& out, std::string_view code) {
  out += "cnumpy\ndtype\n";
  put_text(out, code);
  out += "\x89\x88\x87R(K\x03";
}

void put_element_dtype(std::string& out, const RowField& field) {
  if (field.kind == RowField::Kind::kRow) return put_dtype(out, field.row);
  const std::string code = numpy_code(field);
  put_dtype_call(out, code.substr(1));
  put_text(out, code.substr(0, 1));
  const bool sized = field.kind == RowField::Kind::kBytes;
  out += "NNN";
  if (sized) {
    put_whole(out, field.item_bytes);
    out += "K\x01K";
    out += '\0';
  } else {
    out.append("J\xff\xff\xff\xffJ\xff\xff\xff\xffK\0", 12);
  }
  out += "tb";
}

void put_field_dtype(std::string& out, const RowField& field) {
  if (field.dimensions.empty()) return put_element_dtype(out, field);
  put_dtype_call(out, "V" + std::to_string(field.size_bytes()));
  put_text(out, "|");
  put_element_dtype(out, field);
  out += '(';
  for (const std::size_t n : field.dimensions) put_whole(out, n);
  out += "t\x86NN";
  put_whole(out, field.size_bytes());
  out.append("K\x01K\0tb", 6);
}

void put_dtype(std::string& out, const RowType& type) {
  put_dtype_call(out, "V" + std::to_string(type.size_bytes));
  put_text(out, "|");
  out += "N(";
  for (const RowField& field : type.fields) put_text(out, field.name);
  out += "t}(";
  for (const RowField& field : type.fields) {
    put_text(out, field.name);
    put_field_dtype(out, field);
    put_whole(out, field.offset);
    out += '\x86';
  }
  out += 'u';
  put_whole(out, type.size_bytes);
  out.append("K\x01K\0tb", 6);
}

void put_json(std::string& out, const Json& value) {
  switch (value.type()) {
    case Json::value_t::boolean: out += value.get<bool>() ? "I01\n" : "I00\n"; return;
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: out += "L" + value.dump() + "L\n"; return;
    case Json::value_t::number_float: out += "F" + value.dump() + "\n"; return;
    case Json::value_t::string:
      out += 'V';
      append_raw_unicode(out, value.get_ref<const std::string&>());
      out += '\n';
      return;
    case Json::value_t::array:
      out += "(l";
      for (const Json& item : value) {
        put_json(out, item);
        out += 'a';
      }
      return;
    case Json::value_t::object:
      out += "(d";
      for (const auto& [key, item] : value.items()) {
        put_json(out, key);
        put_json(out, item);
        out += 's';
      }
      return;
    default: out += 'N'; return;
  }
}

class JsonReader {
 public:
  std::optional<Json> read(const PickleValue& value, int depth = 0) {
    if (depth > kMaxDepth || ++values_ > kMaxValues) return std::nullopt;
    switch (value.kind) {
      case Kind::kNone: return Json();
      case Kind::kBool: return Json(value.whole != 0);
      case Kind::kInt: return Json(value.whole);
      case Kind::kFloat: return Json(value.number);
      case Kind::kText:
      case Kind::kBytes: return Json(std::string(value.text));
      case Kind::kTuple:
      case Kind::kList: return read_list(value, depth);
      case Kind::kDict: return read_dict(value, depth);
      default: return std::nullopt;
    }
  }

 private:
  std::optional<Json> read_list(const PickleValue& value, int depth) {
    Json list = Json::array();
    for (const PickleValue* item : value.items) {
      auto read_item = read(*item, depth + 1);
      if (!read_item) return std::nullopt;
      list.push_back(std::move(*read_item));
    }
    return list;
  }
  std::optional<Json> read_dict(const PickleValue& value, int depth) {
    Json dict = Json::object();
    for (std::size_t i = 0; i + 1 < value.items.size(); i += 2) {
      auto item = read(*value.items[i + 1], depth + 1);
      if (!item || !value.items[i]->is_text()) return std::nullopt;
      dict[std::string(value.items[i]->text)] = std::move(*item);
    }
    return dict;
  }

  std::size_t values_ = 0;
};

}  // namespace

namespace {

// Up to the array's dtype, which follows.
std::string array_head(std::size_t count) {
  std::string head = "\x80\x03";
  head += "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n";
  head.append("K\0\x85" "C\x01" "b\x87R", 8);
  head += "(K\x01";
  put_whole(head, count);
  return head += '\x85';
}

void put_bytes_head(std::string& out, std::size_t bytes) {
  out += "\x89" "B";
  put_u32(out, bytes);
}

constexpr const char* kArrayTail = "tb.";

}  // namespace

PickleFrame pickle_frame(const RowType& type, std::size_t count) {
  PickleFrame frame{array_head(count), kArrayTail};
  put_dtype(frame.head, type);
  put_bytes_head(frame.head, count * type.size_bytes);
  return frame;
}

std::string empty_pickle() {
  RowField number;
  number.kind = RowField::Kind::kFloat;
  number.item_bytes = sizeof(double);
  std::string out = array_head(0);
  put_element_dtype(out, number);
  put_bytes_head(out, 0);
  return out + kArrayTail;
}

std::string pickle_of_json(const Json& value) {
  std::string out;
  put_json(out, value);
  return out += '.';
}

std::optional<Json> json_of_pickle(std::string_view text) {
  const auto pickle = Pickle::parse(text);
  if (!pickle) return std::nullopt;
  return JsonReader().read(pickle->root());
}

}  // namespace skein
