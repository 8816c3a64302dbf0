// One client of the lane (core/lane.h): its stages live and die with the connection, but for those
// that it may have called stored (kept_stages.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "core/clock.h"
#include "core/fd.h"
#include "core/lane.h"
#include "dataserver/file_store.h"
#include "dataserver/kept_stages.h"
#include "dataserver/peer.h"
#include "dataserver/staged_file.h"

namespace skein {

class LaneConnection final : public Peer {
 public:
  // A client with more files open for writing than this uses a second connection.
  static constexpr std::size_t kMaxStages = 1024;

  // Both are borrowed.
  LaneConnection(Fd socket, FileStore& store, KeptStages& kept);
  // Also at the end of the server, when the client has nobody to seal what it called stored.
  ~LaneConnection() override { keep_checked(); }

  int fd() const override { return socket_.get(); }
  Turn take_turn(Workbench& bench) override;

 private:
  LaneReply answer(const LaneRequest& request);
  LaneReply open(const ClusterPath& path);
  LaneReply create(const ClusterPath& path);
  LaneReply check(const LaneRequest& request, const ClusterPath& path);
  LaneReply seal_stage(const LaneRequest& request, const ClusterPath& path);
  LaneReply remove_directory(const ClusterPath& path);
  LaneReply answer_kept(const LaneRequest& request);
  void keep_checked();

  struct Stage {
    StagedFile file;
    std::optional<ClusterPath> checked_as;
  };

  const Fd socket_;
  FileStore& store_;
  KeptStages& kept_;
  std::map<std::uint64_t, Stage> stages_;
  std::uint64_t last_stage_ = 0;
  TimePoint last_request_ = std::chrono::steady_clock::now();
};

}  // namespace skein
