#include "fuse/growing_handle.h"

#include <fcntl.h>

#include <memory>

#include "aggregate/append_target.h"

namespace skein {

Result<void> may_append(const ClusterPath& path, int flags) {
  if (path.components().front() != kGrowingFolder) {
    return Error{std::errc::operation_not_permitted,
                 "/" + path.text() + " grows by the appends of others, a mount appends below /" +
                     std::string(kGrowingFolder) + " only"};
  }
  if ((flags & O_APPEND) == 0 || (flags & O_TRUNC) != 0) {
    return Error{std::errc::operation_not_permitted,
                 "/" + path.text() + " only grows: open it for appending, as >> does"};
  }
  const auto target = parse_append_target(path);
  if (target && target->kind == GrowthKind::kText) return {};
  return Error{std::errc::operation_not_supported,
               "/" + path.text() + ": no text that grows by lines has such a name"};
}

Result<void> GrowingHandle::find() {
  auto found = sources_.finder.find(path_);
  if (!found) return found.error();
  sources_.appender.keep_to(path_, found->copies.front().node);
  const std::lock_guard lock(mutex_);
  copies_ = std::move(*found);
  return {};
}

Result<void> GrowingHandle::make() {
  auto made = sources_.appender.append(path_, {});
  if (!made) return made.error();
  return {};
}

Result<std::uint64_t> GrowingHandle::append(std::span<const char> bytes) {
  if (!writes_) return Error{std::errc::bad_file_descriptor, "not open for writing"};
  auto done = sources_.appender.append(path_, bytes);
  if (!done) return done.error();
  return done->offset + bytes.size();
}

Result<Slices> GrowingHandle::read(std::uint64_t offset, std::size_t size) {
  for (int attempt = 0;; ++attempt) {
    std::optional<Node> node;
    {
      const std::lock_guard lock(mutex_);
      if (!copies_.copies.empty()) node = copies_.copies.front().node;
    }
    Result<std::size_t> got = Error{std::errc::no_such_file_or_directory, "no node has it"};
    auto memory = std::make_shared_for_overwrite<char[]>(size);
    if (node) got = sources_.client.read(*node, path_, offset, {memory.get(), size});
    if (got) return Slices{{memory, memory.get(), *got}};
    // The owner may have come back under another address.
    if (attempt > 0) return got.error();
    if (auto found = find(); !found) return found.error();
  }
}

}  // namespace skein
