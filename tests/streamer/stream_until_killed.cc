// For a test: streams frames to the nodes given, and prints the number of each that is acknowledged,
// until it is killed.
//
// usage: stream-until-killed FRAME_BYTES RECOVERY_FOLDER FOLDER HOST:PORT...
// Frame n has the path FOLDER/<n> and the bytes of frame_bytes() in streamed_frame.h.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "streamer/file_streamer.h"
#include "tests/streamer/streamed_frame.h"


using skein::ClusterPath;
using skein::Deadline;
using skein::FileStreamer;

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  spdlog::set_level(spdlog::level::off);  // stdout is for the numbers
  const auto size = static_cast<std::size_t>(std::atol(argv[1]));
  skein::MembershipOptions nodes;
  nodes.mdns = false;
  nodes.registry = false;
  for (int i = 4; i < argc; ++i) {
    const auto address = skein::parse_node_url(argv[i]);
    if (!address) return 2;
    nodes.static_nodes.push_back(*address);
  }
  const auto membership = skein::Membership::start(nodes);
  membership->wait_settled(Deadline::after(std::chrono::seconds(10)));
  skein::NodeClient client(std::chrono::seconds(5));
  FileStreamer::Options options;
  options.queue_bytes = 8 << 20;
  options.recovery_folder = argv[2];
  options.on_done = [](const FileStreamer::Done& done) {
    if (done.node == nullptr) std::_Exit(1);
    const std::string line = std::to_string(done.ticket) + "\n";
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) std::_Exit(1);
  };
  FileStreamer streamer(*membership, client, std::move(options));
  for (std::uint64_t n = 0;; ++n) {
    const auto path = ClusterPath::parse(std::string(argv[3]) + "/" + std::to_string(n));
    const std::string bytes = skein::streamed_frame(n, size);
    if (!streamer.put(*path, bytes, Deadline::after(std::chrono::seconds(20)))) return 1;
  }
}
