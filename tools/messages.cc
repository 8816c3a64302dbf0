#include "tools/messages.h"

#include <unistd.h>

#include "tools/printable.h"

namespace skein {

void Messages::note(std::string_view what) {
  if (before_line_) before_line_();
  std::string line = printable(speaker_ + ": " + std::string(what)) + "\n";
  // Where standard error takes nothing, the exit status still tells.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

void Messages::failure(std::string_view what) {
  ++failures_;
  note(what);
}

void Messages::failure(std::string_view subject, const Error& why) {
  failure(std::string(subject) + ": " + why.what);
}

void Messages::missing_node(const Node& node, std::string_view why) {
  if (!missing_.insert(node.key()).second) return;
  failure("incomplete, without the files of " + node.label() + ": " + std::string(why));
}

}  // namespace skein
