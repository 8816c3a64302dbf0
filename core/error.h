// The outcome of an operation that can fail: a value, or an Error.
//
// Absence that is normal is std::optional, a bug is an assert. Libraries that throw are caught in
// the file that calls them; nothing throws through a folder's interface.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

namespace skein {

// `code` is the POSIX outcome; the mount returns it as -errno. Add a code only if someone branches
// on it. `what` names verb, object and node: "PUT a/frame00042.pzf on cam2: file exists".
struct Error {
  std::errc code;
  std::string what;
};

// An Error from errno; `what` gets ": <text of errno>" appended.
Error errno_error(int errno_value, const std::string& what);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Precondition of all five: ok() for the value, !ok() for the error.
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  // By value, so that `for (auto& x : *f())` and `const auto& x = *f()` do not dangle.
  T operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  T& value() {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    assert(ok());
    return *std::get_if<0>(&state_);
  }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    assert(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace skein
