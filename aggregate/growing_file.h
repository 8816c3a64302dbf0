// One growing text file on the node that owns it: appends of whole bodies, one after the other, and
// where the last complete one ends. Readers look at no more than committed_bytes().
//
// An append is written behind the committed bytes and then entered in the journal
// (append_journal.h); the entry makes it count. What was cut before that is cut off: at once after a
// failure, at resume() after the end of the process. With `flush` (the server's --sync publish) an
// append may be acknowledged when a flush that began after append() returned has ended; so many of
// them as the journal can vouch for may wait for one.
// Thread-safe: appends to one file wait for each other.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <variant>

#include "aggregate/append_journal.h"
#include "core/error.h"
#include "core/fd.h"

namespace skein {

// What is to be appended: memory, or a part of a file. Borrowed.
struct FileStretch {
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
};
using AppendBytes = std::variant<std::span<const char>, FileStretch>;
std::uint64_t size_of(const AppendBytes& bytes);

class GrowingFile {
 public:
  // Makes all that was written before the call safe from a power cut; empty: nobody asks for that.
  using Flush = std::function<Result<void>()>;

  // Most of one append, and most that waits for one flush: what is verified after a restart.
  static constexpr std::uint64_t kMostBytes = 256ull << 20;

  // `file` is open for reading and writing, and empty: nothing was ever appended.
  GrowingFile(Fd file, AppendJournal journal, Flush flush);

  // Takes up a file that grew before: checks what the journal says of its last appends, and cuts
  // off what was not complete. What was written before a power cut is to be checked by its bytes,
  // up to kMostBytes of them; what only its process has lost, by its length. Errors: as pread(2),
  // ftruncate(2).
  enum class Check { kBytes, kLength };
  static Result<std::unique_ptr<GrowingFile>> resume(Fd file, AppendJournal journal, Flush flush,
                                                     Check check);

  struct Appended {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    bool repeated = false;  // carried out before, under the same request id
  };
  // After an error nothing of `body` is in the file. Errors: no_space_on_device, file_too_large
  // (kMostBytes), invalid_argument (the request id stood for other bytes), io_error; no_link (the
  // file was sealed, or its name was taken away), operation_canceled (`body` cannot be read).
  Result<Appended> append(const AppendBytes& body, const std::optional<RequestId>& request);

  // No append is carried out after this: they get no_link. go_on(): it was not to be.
  void end_growth();
  void go_on();
  // The same if no append was ever carried out. False: one was.
  bool end_if_untouched();

  std::uint64_t committed_bytes() const { return committed_; }
  int fd() const { return file_.get(); }
  const ClusterPath& path() const { return journal_.path(); }
  // No append was ever carried out, not even of nothing.
  bool untouched();

 private:
  Result<std::uint64_t> write(const AppendBytes& body);
  Result<std::optional<Appended>> earlier(const AppendBytes& body, const RequestId& request) const;
  Result<void> keep_flushed(std::uint64_t length);
  void remember(const AppendRecord& record);
  void cut_back();

  const Fd file_;
  const Flush flush_;
  std::atomic<std::uint64_t> committed_ = 0;

  std::mutex mutex_;  // guards everything below; held while the file is written: that is its turn
  AppendJournal journal_;
  AppendRecord last_;
  std::map<RequestId, AppendRecord> requests_;        // of the journal's records
  std::map<std::uint64_t, RequestId> by_sequence_;    // the same, to forget the oldest
  std::uint64_t unflushed_ = 0;                       // appends, and their bytes
  std::uint64_t unflushed_bytes_ = 0;
  bool ended_ = false;
  bool broken_ = false;  // what was cut could not be cut off
};

}  // namespace skein
