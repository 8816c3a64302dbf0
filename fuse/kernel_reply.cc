#include "fuse/kernel_reply.h"

#include <cerrno>

namespace skein {
namespace {

// Bytes and size of a sealed file never change.
constexpr double kSealedAttributesS = 30 * 24 * 3600.0;
// A file may be removed by hand on its node. Long where entries can be revoked at once when a node
// comes or goes, else short.
constexpr std::chrono::seconds kRevocableEntry{60};
constexpr std::chrono::seconds kEntry{1};
constexpr double kDirectoryAttributesS = 1;

}  // namespace

int kernel_errno(const Error& error) {
  switch (error.code) {
    case std::errc::connection_refused:
    case std::errc::not_connected:
      return EHOSTUNREACH;
    case std::errc::connection_reset:
    case std::errc::broken_pipe:
    case std::errc::bad_message:
    case std::errc::message_size:
    case std::errc::operation_canceled:
      return EIO;
    default:
      return static_cast<int>(error.code);
  }
}

void fail(fuse_req_t request, const Error& error) { fuse_reply_err(request, kernel_errno(error)); }

void finish(fuse_req_t request, const Result<void>& result) {
  fuse_reply_err(request, result ? 0 : kernel_errno(result.error()));
}

std::chrono::milliseconds entry_trust(const KernelRequests& parts) {
  return parts.entries_revocable ? kRevocableEntry : kEntry;
}

double attributes_s(const Shown& shown) {
  switch (shown.kind) {
    case Shown::Kind::kSealed: return kSealedAttributesS;
    case Shown::Kind::kDirectory: return kDirectoryAttributesS;
    default: return 0;
  }
}

fuse_entry_param entry_of(const KernelRequests& parts, const Shown& shown) {
  fuse_entry_param entry{};
  entry.ino = shown.inode();
  entry.attr = shown.attributes;
  entry.attr_timeout = attributes_s(shown);
  // An unsealed file may be dropped or sealed at any moment.
  entry.entry_timeout = shown.kind == Shown::Kind::kUnsealed
                            ? 0
                            : std::chrono::duration<double>(entry_trust(parts)).count();
  return entry;
}

void reply_entry(fuse_req_t request, const Shown& shown, fuse_ino_t parent, const char* name) {
  KernelRequests& parts = parts_of(request);
  const fuse_entry_param entry = entry_of(parts, shown);
  parts.tree.counted(shown, parent, name);
  if (fuse_reply_entry(request, &entry) != 0) parts.inodes.forget(shown.inode(), 1);
}

}  // namespace skein
