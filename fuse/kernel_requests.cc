#include "fuse/kernel_requests.h"

#include "fuse/kernel_reply.h"

namespace skein {
namespace {

constexpr unsigned kWriteBytes = 1u << 20;
constexpr unsigned kKernelReadAheadBytes = 4u << 20;
constexpr unsigned kBackgroundRequests = 64;
constexpr unsigned kMinorWithEpochs = 44;

void on_init(void* userdata, fuse_conn_info* connection) {
  auto& parts = *static_cast<KernelRequests*>(userdata);
  connection->max_write = kWriteBytes;
  connection->max_readahead = kKernelReadAheadBytes;
  connection->max_background = kBackgroundRequests;
  const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC |
                          FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS | FUSE_CAP_SPLICE_READ |
                          FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                          FUSE_CAP_EXPLICIT_INVAL_DATA;
  // What a sealed file's cached pages hold stays true whatever its attributes do at the seal.
  // Listings always come with attributes (not AUTO): the tree has them in the same record, and a
  // program that reads all names before it asks for the first size would cost a request per name.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS_AUTO);
  connection->want |= wanted & connection->capable;
  parts.entries_revocable =
      connection->proto_major > 7 || connection->proto_minor >= kMinorWithEpochs;
  if (parts.on_ready) parts.on_ready();
}

fuse_lowlevel_ops make_operations() {
  fuse_lowlevel_ops ops{};
  ops.init = on_init;
  add_name_operations(ops);
  add_attribute_operations(ops);
  add_file_operations(ops);
  add_directory_operations(ops);
  return ops;
}

}  // namespace

const fuse_lowlevel_ops& kernel_operations() {
  static const fuse_lowlevel_ops ops = make_operations();
  return ops;
}

}  // namespace skein
