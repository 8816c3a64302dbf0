#include "aggregate/pickle.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <charconv>
#include <cstring>
#include <unordered_map>

#include "aggregate/pickle_codec.h"

namespace skein {
namespace {

using Kind = PickleValue::Kind;
using Global = PickleValue::Global;

// Texts decoded to bytes; each is at most as long as it was, but may be asked for again and again.
constexpr std::size_t kMostUnpacked = 2;

Error malformed(const char* why) { return {std::errc::bad_message, std::string("pickle: ") + why}; }

struct KnownGlobal {
  std::string_view module, name;
  Global global;
};
constexpr KnownGlobal kGlobals[] = {
    {"numpy.core.multiarray", "_reconstruct", Global::kReconstruct},
    {"numpy._core.multiarray", "_reconstruct", Global::kReconstruct},
    {"numpy", "ndarray", Global::kArrayType},
    {"numpy", "dtype", Global::kDtypeType},
    {"_codecs", "encode", Global::kEncode},
};

}  // namespace

// The stack machine. Every value is made once and never freed before the end, so references are
// plain pointers; the number of values is bounded by that of opcodes.
class PickleMachine {
 public:
  explicit PickleMachine(std::string_view text) : rest_(text), budget_(kMostUnpacked * text.size()) {}

  Result<Pickle> run() {
    for (;;) {
      if (rest_.empty()) return malformed("cut short");
      const auto opcode = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      if (opcode == '.') break;
      if (auto done = step(opcode); !done) return done.error();
    }
    if (stack_.size() != 1 || !marks_.empty()) return malformed("does not end with one value");
    pickle_.root_ = stack_.back();
    return std::move(pickle_);
  }

 private:
  PickleValue& make(Kind kind) {
    PickleValue& value = pickle_.values_.emplace_back();
    value.kind = kind;
    stack_.push_back(&value);
    return value;
  }
  Result<void> make_text(Kind kind, std::size_t length_bytes) {
    const auto length = number(length_bytes);
    if (!length || *length > rest_.size()) return malformed("cut short in a text");
    make(kind).text = rest_.substr(0, *length);
    rest_.remove_prefix(*length);
    return {};
  }
  std::string_view keep(std::string text) { return pickle_.texts_.emplace_back(std::move(text)); }

  // Little-endian, unsigned.
  std::optional<std::uint64_t> number(std::size_t bytes) {
    if (rest_.size() < bytes) return std::nullopt;
    std::uint64_t value = 0;
    std::memcpy(&value, rest_.data(), bytes);
    rest_.remove_prefix(bytes);
    return value;
  }
  std::optional<std::string_view> line() {
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return text;
  }

  // What lies above the topmost mark, or above the last `count` values; taken off the stack.
  using Values = std::vector<PickleValue*>;
  std::optional<Values> take_marked() {
    if (marks_.empty()) return std::nullopt;
    const std::size_t from = marks_.back();
    marks_.pop_back();
    return take(stack_.size() - from);
  }
  std::optional<Values> take(std::size_t count) {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() < floor + count) return std::nullopt;
    Values values(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return values;
  }
  Result<void> collect(Kind kind, std::optional<Values> values) {
    if (!values) return malformed("a value is missing");
    if (kind == Kind::kDict && values->size() % 2 != 0) return malformed("a key without a value");
    make(kind).items.assign(values->begin(), values->end());
    return {};
  }
  Result<void> extend(Kind kind, std::optional<Values> values) {
    if (!values || stack_.empty() || stack_.back()->kind != kind) {
      return malformed("nothing to add to");
    }
    if (kind == Kind::kDict && values->size() % 2 != 0) return malformed("a key without a value");
    auto& items = stack_.back()->items;
    items.insert(items.end(), values->begin(), values->end());
    return {};
  }

  Result<void> put(std::uint64_t key) {
    if (stack_.empty()) return malformed("nothing to remember");
    memo_[key] = stack_.back();
    return {};
  }
  Result<void> get(std::optional<std::uint64_t> key) {
    const auto found = key ? memo_.find(*key) : memo_.end();
    if (found == memo_.end()) return malformed("nothing remembered there");
    stack_.push_back(found->second);
    return {};
  }
  static std::optional<std::uint64_t> decimal(std::optional<std::string_view> text) {
    std::uint64_t value = 0;
    if (!text) return std::nullopt;
    const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (failure != std::errc() || end != text->data() + text->size()) return std::nullopt;
    return value;
  }

  Result<void> step(unsigned char opcode);
  Result<void> step_text_protocol(unsigned char opcode);
  Result<void> make_whole_line(std::string_view text);
  Result<void> make_long(std::optional<std::uint64_t> bytes);
  Result<void> make_global(std::string_view module, std::string_view name);
  Result<void> reduce();
  using Arguments = std::vector<const PickleValue*>;
  Result<void> encode(const Arguments& arguments);
  Result<void> build();

  std::string_view rest_;
  std::size_t budget_;  // bytes that decoding may still make
  Pickle pickle_;
  Values stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, PickleValue*> memo_;
};

Result<void> PickleMachine::step(unsigned char opcode) {
  switch (opcode) {
    case 0x80: return number(1) ? Result<void>() : malformed("cut short");
    case 0x95: return number(8) ? Result<void>() : malformed("cut short");  // a frame
    case 'K': case 'M': case 'J': {
      const auto value = number(opcode == 'K' ? 1 : opcode == 'M' ? 2 : 4);
      if (!value) return malformed("cut short");
      make(Kind::kInt).whole = opcode == 'J' ? static_cast<std::int32_t>(*value)
                                             : static_cast<std::int64_t>(*value);
      return {};
    }
    case 0x8a: return make_long(number(1));
    case 0x8b: return make_long(number(4));
    case 'G': {
      if (rest_.size() < 8) return malformed("cut short");
      std::uint64_t bits = 0;
      for (int i = 0; i < 8; ++i) bits = bits << 8 | static_cast<unsigned char>(rest_[i]);
      rest_.remove_prefix(8);
      make(Kind::kFloat).number = std::bit_cast<double>(bits);
      return {};
    }
    case 'N': make(Kind::kNone); return {};
    case 0x88: make(Kind::kBool).whole = 1; return {};
    case 0x89: make(Kind::kBool); return {};
    case 'X': return make_text(Kind::kText, 4);
    case 0x8c: return make_text(Kind::kText, 1);
    case 0x8d: return make_text(Kind::kText, 8);
    case 'U': case 'C': return make_text(Kind::kBytes, 1);
    case 'T': case 'B': return make_text(Kind::kBytes, 4);
    case 0x8e: return make_text(Kind::kBytes, 8);
    case '(': marks_.push_back(stack_.size()); return {};
    case ')': make(Kind::kTuple); return {};
    case ']': make(Kind::kList); return {};
    case '}': make(Kind::kDict); return {};
    case 't': return collect(Kind::kTuple, take_marked());
    case 'l': return collect(Kind::kList, take_marked());
    case 'd': return collect(Kind::kDict, take_marked());
    case 0x85: case 0x86: case 0x87: return collect(Kind::kTuple, take(opcode - 0x84U));
    case 'a': return extend(Kind::kList, take(1));
    case 'e': return extend(Kind::kList, take_marked());
    case 's': return extend(Kind::kDict, take(2));
    case 'u': return extend(Kind::kDict, take_marked());
    case '0': return take(1) ? Result<void>() : malformed("a value is missing");
    case 'q': case 'r': {
      const auto key = number(opcode == 'q' ? 1 : 4);
      return key ? put(*key) : malformed("cut short");
    }
    case 0x94: return put(memo_.size());
    case 'h': return get(number(1));
    case 'j': return get(number(4));
    case 0x93: {
      const auto names = take(2);
      if (!names || !(*names)[0]->is_text() || !(*names)[1]->is_text()) {
        return malformed("a global without a name");
      }
      return make_global((*names)[0]->text, (*names)[1]->text);
    }
    case 'R': return reduce();
    case 'b': return build();
    default: return step_text_protocol(opcode);
  }
}

Result<void> PickleMachine::step_text_protocol(unsigned char opcode) {
  const std::string_view known = "ILFSVpgc";
  if (known.find(static_cast<char>(opcode)) == known.npos) {
    return Error{std::errc::not_supported,
                 "pickle: it makes objects, of which only plain numpy arrays are read"};
  }
  const auto text = line();
  if (!text) return malformed("cut short");
  switch (opcode) {
    case 'I': case 'L': return make_whole_line(*text);
    case 'F': {
      double value = 0;
      const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), value);
      if (failure != std::errc() || end != text->data() + text->size()) {
        return malformed("no number");
      }
      make(Kind::kFloat).number = value;
      return {};
    }
    case 'S':
      if (text->size() < 2 || text->front() != text->back() || text->find('\\') != text->npos) {
        return malformed("a text with escapes");
      }
      make(Kind::kBytes).text = text->substr(1, text->size() - 2);
      return {};
    case 'V': make(Kind::kText).text = keep(utf8_of_raw_unicode(*text)); return {};
    case 'p': {
      const auto key = decimal(text);
      return key ? put(*key) : malformed("no number");
    }
    case 'g': return get(decimal(text));
    default: {
      const auto name = line();
      return name ? make_global(*text, *name) : malformed("cut short");
    }
  }
}

Result<void> PickleMachine::make_whole_line(std::string_view text) {
  if (text == "00" || text == "01") {
    make(Kind::kBool).whole = text == "01";
    return {};
  }
  if (text.ends_with('L')) text.remove_suffix(1);
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return malformed("no number");
  make(Kind::kInt).whole = value;
  return {};
}

Result<void> PickleMachine::make_long(std::optional<std::uint64_t> bytes) {
  if (!bytes || *bytes > 8 || rest_.size() < *bytes) return malformed("a number is too long");
  const auto value = number(*bytes);
  std::uint64_t bits = *value;
  const bool negative = *bytes > 0 && *bytes < 8 && (bits >> (8 * *bytes - 1)) != 0;
  if (negative) bits |= ~std::uint64_t{0} << (8 * *bytes);
  make(Kind::kInt).whole = static_cast<std::int64_t>(bits);
  return {};
}

Result<void> PickleMachine::make_global(std::string_view module, std::string_view name) {
  for (const KnownGlobal& known : kGlobals) {
    if (known.module != module || known.name != name) continue;
    make(Kind::kGlobal).global = known.global;
    return {};
  }
  constexpr std::size_t kMostShown = 80;
  return Error{std::errc::not_supported,
               "pickle: " + std::string(module.substr(0, kMostShown)) + "." +
                   std::string(name.substr(0, kMostShown)) +
                   " is not read, only plain numpy arrays are; send .npy"};
}

Result<void> PickleMachine::encode(const Arguments& arguments) {
  if (arguments.size() != 2 || arguments[0]->kind != Kind::kText || !arguments[1]->is_text() ||
      (arguments[1]->text != "latin1" && arguments[1]->text != "latin-1")) {
    return malformed("bytes that are not written as latin1");
  }
  const std::string_view text = arguments[0]->text;
  if (text.size() > budget_) {
    return Error{std::errc::not_supported, "pickle: unpacks to more than it is worth"};
  }
  budget_ -= text.size();
  auto bytes = latin1_of_utf8(text);
  if (!bytes) return malformed("bytes that are not written as latin1");
  make(Kind::kBytes).text = keep(std::move(*bytes));
  return {};
}

Result<void> PickleMachine::reduce() {
  const auto both = take(2);
  if (!both || (*both)[0]->kind != Kind::kGlobal || (*both)[1]->kind != Kind::kTuple) {
    return malformed("a call of nothing");
  }
  const Arguments& arguments = (*both)[1]->items;
  switch ((*both)[0]->global) {
    case Global::kEncode: return encode(arguments);
    case Global::kReconstruct:
      if (arguments.size() != 3 || arguments[0]->kind != Kind::kGlobal ||
          arguments[0]->global != Global::kArrayType) {
        return Error{std::errc::not_supported, "pickle: only plain numpy arrays are read"};
      }
      make(Kind::kArray);
      return {};
    case Global::kDtypeType:
      if (arguments.empty() || !arguments[0]->is_text()) {
        return Error{std::errc::not_supported, "pickle: a dtype of objects"};
      }
      make(Kind::kDtype).text = arguments[0]->text;
      return {};
    case Global::kArrayType: break;
  }
  return Error{std::errc::not_supported, "pickle: only plain numpy arrays are read"};
}

Result<void> PickleMachine::build() {
  const auto state = take(1);
  if (!state || stack_.empty() || (*state)[0]->kind != Kind::kTuple ||
      (stack_.back()->kind != Kind::kArray && stack_.back()->kind != Kind::kDtype)) {
    return malformed("a state of nothing");
  }
  stack_.back()->state = (*state)[0];
  return {};
}

Result<Pickle> Pickle::parse(std::string_view text) { return PickleMachine(text).run(); }

bool looks_like_pickle(std::string_view text) {
  if (text.size() > 1 && text[0] == '\x80') return text[1] >= 2 && text[1] <= 5;
  // A global's module, alone in its line, and the full stop at the end.
  if (!text.starts_with('c') || !text.ends_with('.')) return false;
  const std::string_view module = text.substr(1, text.find('\n') - 1);
  return std::all_of(module.begin(), module.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.';
  });
}

}  // namespace skein
