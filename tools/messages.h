// What a command has to say on standard error: one line per failure, "skein put: a/b.tif: why",
// with control characters escaped so that one line it stays. One thread at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/node.h"

namespace skein {

class Messages {
 public:
  // `speaker`: "skein put".
  explicit Messages(std::string speaker) : speaker_(std::move(speaker)) {}

  void set_speaker(std::string speaker) { speaker_ = std::move(speaker); }
  // Called before each line, to clear a progress bar.
  void before_line(std::function<void()> clear) { before_line_ = std::move(clear); }

  // Counted.
  void failure(std::string_view what);
  void failure(std::string_view subject, const Error& why);
  // The node's files are missing from the result. Said, and counted, once per node.
  void missing_node(const Node& node, std::string_view why);
  // Not counted.
  void note(std::string_view what);

  std::size_t failures() const { return failures_; }

 private:
  std::string speaker_;
  std::function<void()> before_line_;
  std::size_t failures_ = 0;
  std::set<std::string> missing_;  // by Node::key()
};

}  // namespace skein
