// What `get` and `put` say about each file: a JSON line or nothing when it is done, a message when
// it failed, the progress bar meanwhile, a sum at the end. One thread at a time.
#pragma once

#include <cstdint>
#include <string>

#include "core/error.h"
#include "tools/command.h"
#include "tools/json_line.h"
#include "tools/progress_bar.h"

namespace skein {

struct TransferWords {
  std::string done;       // "stored"
  std::string from_key;   // JSON keys: put {"file","path"}, get {"path","file"}
  std::string to_key;
};

class TransferReport {
 public:
  TransferReport(const Surroundings& with, TransferWords words, bool json);
  ~TransferReport();
  TransferReport(const TransferReport&) = delete;
  TransferReport& operator=(const TransferReport&) = delete;

  ProgressBar& bar() { return bar_; }

  void done(const std::string& from, const std::string& to, std::uint64_t size_bytes,
            const std::string& node_url = "");
  void failed(const std::string& from, const std::string& to, const Error& why);

  // After the last file: how many of several were done, if not all were.
  void conclude();

 private:
  const Surroundings& with_;
  const TransferWords words_;
  const bool json_;
  ProgressBar bar_;
  std::uint64_t done_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t existing_ = 0;  // of those failed
};

}  // namespace skein
