#include "aggregate/npy.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace skein {
namespace {

constexpr std::size_t kMaxHeaderBytes = 1 << 20;
// A header's own nesting: tuples within lists within the nested descriptions.
constexpr int kMaxDepth = 4 * static_cast<int>(kMaxNesting);

Error malformed(const std::string& why) { return {std::errc::bad_message, ".npy: " + why}; }

// The literals that occur in a header.
struct Literal {
  enum class Kind { kText, kNumber, kBool, kNone, kList, kTuple, kDict };
  Kind kind = Kind::kNone;
  std::string text;
  std::size_t number = 0;
  std::vector<Literal> items;  // kDict: key, value, key, value

  bool is_sequence() const { return kind == Kind::kList || kind == Kind::kTuple; }
};

class LiteralReader {
 public:
  explicit LiteralReader(std::string_view text) : rest_(text) {}

  // nullopt: not such a literal, or more than one.
  std::optional<Literal> read_all() {
    auto literal = read(0);
    skip_space();
    if (!rest_.empty()) return std::nullopt;
    return literal;
  }

 private:
  void skip_space() {
    while (!rest_.empty() && std::string_view(" \t\r\n\0", 5).find(rest_.front()) != rest_.npos) {
      rest_.remove_prefix(1);
    }
  }
  bool take(std::string_view token) {
    skip_space();
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  std::optional<Literal> read(int depth) {
    if (depth > kMaxDepth) return std::nullopt;
    Literal literal;
    if (take("[")) return read_items(Literal::Kind::kList, "]", depth);
    if (take("(")) return read_items(Literal::Kind::kTuple, ")", depth);
    if (take("{")) return read_items(Literal::Kind::kDict, "}", depth);
    if (take("True") || take("False")) {
      literal.kind = Literal::Kind::kBool;  // which order one dimension has does not matter
      return literal;
    }
    if (take("None")) return literal;
    skip_space();
    if (rest_.empty()) return std::nullopt;
    if (rest_.front() == '\'' || rest_.front() == '"' || rest_.front() == 'u') return read_text();
    literal.kind = Literal::Kind::kNumber;
    const auto [end, failure] =
        std::from_chars(rest_.data(), rest_.data() + rest_.size(), literal.number);
    if (failure != std::errc()) return std::nullopt;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    take("L");  // as Python 2 wrote long numbers
    return literal;
  }

  std::optional<Literal> read_items(Literal::Kind kind, std::string_view closing, int depth) {
    Literal literal;
    literal.kind = kind;
    while (!take(closing)) {
      auto item = read(depth + 1);
      if (!item) return std::nullopt;
      literal.items.push_back(std::move(*item));
      const bool key = kind == Literal::Kind::kDict && literal.items.size() % 2 == 1;
      if (key) {
        if (!take(":")) return std::nullopt;
        continue;
      }
      if (take(",")) continue;
      if (!take(closing)) return std::nullopt;
      // A parenthesis around one item is no tuple; numpy writes "(3,)".
      break;
    }
    if (kind == Literal::Kind::kDict && literal.items.size() % 2 == 1) return std::nullopt;
    return literal;
  }

  std::optional<Literal> read_text() {
    Literal literal;
    literal.kind = Literal::Kind::kText;
    if (rest_.front() == 'u') rest_.remove_prefix(1);
    if (rest_.empty()) return std::nullopt;
    const char quote = rest_.front();
    if (quote != '\'' && quote != '"') return std::nullopt;
    rest_.remove_prefix(1);
    for (;;) {
      if (rest_.empty()) return std::nullopt;
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == quote) return literal;
      if (c != '\\') {
        literal.text += c;
        continue;
      }
      // Of the escapes only these two are needed to write any printable name.
      if (rest_.empty() || (rest_.front() != '\\' && rest_.front() != '\'')) return std::nullopt;
      literal.text += rest_.front();
      rest_.remove_prefix(1);
    }
  }

  std::string_view rest_;
};

Result<std::vector<std::size_t>> shape_of(const Literal& literal) {
  std::vector<std::size_t> shape;
  if (literal.kind == Literal::Kind::kNumber) return std::vector{literal.number};
  if (literal.kind != Literal::Kind::kTuple) return malformed("a shape is no tuple");
  for (const Literal& item : literal.items) {
    if (item.kind != Literal::Kind::kNumber) return malformed("a shape is not of numbers");
    shape.push_back(item.number);
  }
  return shape;
}

bool is_padding(const Literal& name, const Literal& code) {
  return name.text.empty() && name.kind == Literal::Kind::kText &&
         code.text.starts_with("|V");
}

Result<std::size_t> padding_bytes(std::string_view code) {
  std::size_t bytes = 0;
  const std::string_view digits = code.substr(2);
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), bytes);
  if (failure != std::errc() || end != digits.data() + digits.size() || bytes > kMaxRowBytes) {
    return malformed("padding of no length");
  }
  return bytes;
}

Result<RowType> row_type_of(const Literal& list, std::size_t depth) {
  RowType type;
  if (depth > kMaxNesting) return malformed("nested too deeply");
  for (const Literal& item : list.items) {
    if (item.kind != Literal::Kind::kTuple || item.items.size() < 2 || item.items.size() > 3) {
      return malformed("a field is no (name, type) or (name, type, shape)");
    }
    const Literal& code = item.items[1];
    if (type.size_bytes > kMaxRowBytes) return malformed("a row is too long");
    if (is_padding(item.items[0], code)) {
      const auto bytes = padding_bytes(code.text);
      if (!bytes) return bytes.error();
      type.size_bytes += *bytes;
      continue;
    }
    RowField field;
    const Literal& name = item.items[0];
    field.name = name.is_sequence() && name.items.size() == 2 ? name.items[1].text : name.text;
    if (code.kind == Literal::Kind::kList) {
      auto inner = row_type_of(code, depth + 1);
      if (!inner) return inner.error();
      field.kind = RowField::Kind::kRow;
      field.row = std::move(*inner);
      field.item_bytes = field.row.size_bytes;
    } else if (auto set = set_numpy_code(field, code.text); !set) {
      return set.error();
    }
    if (item.items.size() == 3) {
      auto shape = shape_of(item.items[2]);
      if (!shape) return shape.error();
      field.dimensions = std::move(*shape);
    }
    // Checked here too, so that sizes cannot overflow while they are added up.
    RowType alone;
    alone.size_bytes = kMaxRowBytes;
    field.offset = 0;
    alone.fields = {field};
    if (auto checked = check_row_type(alone); !checked) return checked.error();
    add_field(type, std::move(field));
  }
  return type;
}

const Literal* find(const Literal& dict, std::string_view key) {
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    if (dict.items[i].text == key) return &dict.items[i + 1];
  }
  return nullptr;
}

// Takes magic, version and header off the front.
Result<std::string_view> take_header(std::string_view& text) {
  if (!text.starts_with(kNpyMagic) || text.size() < 10) return malformed("no such file");
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const int version = byte(6);
  if (version < 1 || version > 3) return malformed("version " + std::to_string(version));
  const std::size_t fixed = version == 1 ? 10 : 12;
  if (text.size() < fixed) return malformed("cut short in its header");
  std::size_t length = byte(8) + 256UL * byte(9);
  if (version > 1) length += 65536UL * byte(10) + 16777216UL * byte(11);
  if (length > kMaxHeaderBytes) return malformed("its header is too long");
  if (length > text.size() - fixed) return malformed("cut short in its header");
  const std::string_view header = text.substr(fixed, length);
  text.remove_prefix(fixed + length);
  return header;
}

void quote(std::string& out, std::string_view name) {
  out += '\'';
  for (const char c : name) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  out += '\'';
}

void append_descr(std::string& out, const RowType& type) {
  std::size_t at = 0;
  const char* between = "";
  out += '[';
  const auto pad_to = [&](std::size_t offset) {
    if (offset > at) out.append(between).append("('', '|V" + std::to_string(offset - at) + "')");
    if (offset > at) between = ", ";
  };
  for (const RowField& field : type.fields) {
    pad_to(field.offset);
    out.append(between).append("(");
    quote(out, field.name);
    out += ", ";
    if (field.kind == RowField::Kind::kRow) {
      append_descr(out, field.row);
    } else {
      out.append("'").append(numpy_code(field)).append("'");
    }
    if (!field.dimensions.empty()) {
      out += ", (";
      for (const std::size_t n : field.dimensions) out += std::to_string(n) + ", ";
      out.pop_back();
      if (field.dimensions.size() > 1) out.pop_back();
      out += ')';
    }
    out += ')';
    between = ", ";
    at = field.offset + field.size_bytes();
  }
  pad_to(type.size_bytes);
  out += ']';
}

std::string head_of(const std::string& descr, std::size_t count) {
  std::string header = "{'descr': " + descr + ", 'fortran_order': False, 'shape': (" +
                       std::to_string(count) + ",), }";
  const bool ascii = std::all_of(header.begin(), header.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  const int version = !ascii ? 3 : header.size() + 64 > 65535 ? 2 : 1;
  const std::size_t fixed = version == 1 ? 10 : 12;
  // numpy lets the rows begin at a multiple of 64.
  while ((fixed + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string head(kNpyMagic);
  head += static_cast<char>(version);
  head += '\0';
  std::size_t length = header.size();
  for (std::size_t i = 8; i < fixed; ++i) {
    head += static_cast<char>(length & 0xff);
    length >>= 8;
  }
  return head + header;
}

}  // namespace

Result<Rows> parse_npy(std::string_view text) {
  const auto header = take_header(text);
  if (!header) return header.error();
  const auto dict = LiteralReader(*header).read_all();
  if (!dict || dict->kind != Literal::Kind::kDict) return malformed("its header is no dict");
  const Literal* descr = find(*dict, "descr");
  const Literal* shape_literal = find(*dict, "shape");
  if (descr == nullptr || shape_literal == nullptr) return malformed("its header is incomplete");
  if (descr->kind != Literal::Kind::kList) {
    return Error{std::errc::not_supported,
                 ".npy: rows have named fields (a structured dtype); this is an array of " +
                     descr->text};
  }
  auto type = row_type_of(*descr, 1);
  if (!type) return type.error();
  if (auto checked = check_row_type(*type); !checked) return checked.error();
  const auto shape = shape_of(*shape_literal);
  if (!shape) return shape.error();
  if (shape->size() > 1) {
    return Error{std::errc::not_supported, ".npy: an array of more than one dimension"};
  }
  Rows rows;
  rows.count = shape->empty() ? 1 : shape->front();
  if (rows.count > text.size() / type->size_bytes ||
      rows.count * type->size_bytes != text.size()) {
    return malformed("its length is not that of " + std::to_string(rows.count) + " rows");
  }
  rows.type = std::move(*type);
  rows.bytes = text;
  return rows;
}

std::string npy_head(const RowType& type, std::size_t count) {
  std::string descr;
  append_descr(descr, type);
  return head_of(descr, count);
}

std::string empty_npy() { return head_of("'<f8'", 0); }

}  // namespace skein
