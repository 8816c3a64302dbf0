// Python pickles, read without running anything: protocols 0 to 5, as far as plain values and numpy
// arrays need them. The only globals taken are those that ndarray.dumps() writes:
//
//   numpy.core.multiarray _reconstruct   (numpy 2: numpy._core.multiarray)
//   numpy ndarray, numpy dtype, _codecs encode
//
// They are not called: each stands for a rule of this reader. Everything else is refused.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace skein {

struct PickleValue {
  enum class Kind {
    kNone, kBool, kInt, kFloat,
    kText,   // str, as UTF-8
    kBytes,  // bytes, and the str of Python 2
    kTuple, kList,
    kDict,   // items: key, value, key, value
    kGlobal, kArray, kDtype,
  };
  enum class Global { kReconstruct, kArrayType, kDtypeType, kEncode };

  Kind kind = Kind::kNone;
  std::int64_t whole = 0;  // kBool, kInt
  double number = 0;       // kFloat
  std::string_view text;   // kText, kBytes; kDtype: the code it was made with
  std::vector<const PickleValue*> items;
  const PickleValue* state = nullptr;  // kArray, kDtype: what BUILD gave
  Global global = Global::kArrayType;

  bool is_text() const { return kind == Kind::kText || kind == Kind::kBytes; }
  bool is_sequence() const { return kind == Kind::kTuple || kind == Kind::kList; }
};

// One pickle, taken apart. Values may refer to one another in circles (a list that holds itself):
// whoever walks them bounds the depth. Borrows from the text given to parse().
class Pickle {
 public:
  // Errors: bad_message (malformed, cut short), not_supported (another global, an opcode that makes
  // objects, more bytes unpacked than kMostUnpacked times those of the text).
  static Result<Pickle> parse(std::string_view text);

  const PickleValue& root() const { return *root_; }

 private:
  friend class PickleMachine;
  std::deque<PickleValue> values_;
  std::deque<std::string> texts_;  // those that do not lie in the pickle as they are
  const PickleValue* root_ = nullptr;
};

// Could this be a pickle? Of protocol 0 and 1 only those that begin with a global.
bool looks_like_pickle(std::string_view text);

}  // namespace skein
