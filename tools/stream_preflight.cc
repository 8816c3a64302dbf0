#include "tools/stream_preflight.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <thread>
#include <vector>

#include "core/uuid.h"
#include "tools/grouped.h"
#include "tools/json_line.h"
#include "tools/node_status.h"
#include "tools/printable.h"

namespace skein {
namespace {

using std::chrono::steady_clock;

// What is needed has to be there with so much to spare: disks and networks have bad moments.
constexpr double kSpareRate = 1.25;
constexpr double kSpareSpace = 1.05;
constexpr std::uint64_t kFramesCoded = 5;
// Requests at once to one node; the streamer pipelines, which this stands for.
constexpr unsigned kWritersPerNode = 2;
// Stages are kept until the test ends, or the disk would never see them; at most this share of the
// free space.
constexpr double kMostShareOfFree = 0.2;

struct Coded {
  std::vector<char> file;      // the last one, to write
  double bytes_per_frame = 0;  // mean of the files
  double frames_per_s = 0;     // that all coding threads together make
};

Result<Coded> code_some(const StreamOptions& options, FrameSource& source) {
  const auto coding = options.coding();
  if (!coding) return coding.error();
  FrameEncoder encoder(*coding);
  Coded coded;
  steady_clock::duration spent{};
  std::vector<std::uint8_t> pixels(source.shape().size_bytes());
  const std::uint64_t count = std::min(kFramesCoded, source.count().value_or(kFramesCoded));
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto frame = source.frame(i);
    if (!frame) return frame.error();
    const FrameView& view = frame->view;
    PzfHeader header;
    header.type = view.type;
    header.order = storage_order(view);
    header.width = view.width;
    header.height = view.height;
    const auto before = steady_clock::now();
    copy_pixels(view, header.order, pixels);
    const auto file = encoder.encode(header, pixels);
    if (!file) return file.error();
    if (i > 0 || count == 1) spent += steady_clock::now() - before;  // the first takes the memory
    coded.bytes_per_frame += static_cast<double>(file->size()) / static_cast<double>(count);
    coded.file.assign(file->begin(), file->end());
  }
  const unsigned threads = options.codec == FrameCodec::kRaw ? 1
                           : options.threads > 0
                               ? options.threads
                               : std::max(1u, std::thread::hardware_concurrency() / 2);
  const double seconds = std::max(1e-9, std::chrono::duration<double>(spent).count());
  coded.frames_per_s =
      threads * static_cast<double>(std::max<std::uint64_t>(1, count - 1)) / seconds;
  return coded;
}

// Test writes to one node, and the stages they left there.
struct NodeTest {
  Node node;
  std::uint64_t most_bytes = 0;
  double bytes_per_s = 0;
  std::string trouble;

  std::mutex mutex;  // guards the two below while the writers run
  std::uint64_t bytes = 0;
  std::vector<std::string> stages;
};

void write_stages(NodeClient& client, NodeTest& test, const std::vector<char>& file,
                  TimePoint end) {
  const auto path = ClusterPath::parse("preflight");
  while (steady_clock::now() < end) {
    const std::string id = make_uuid();
    {
      const std::lock_guard lock(test.mutex);
      if (!test.trouble.empty() || test.bytes + file.size() > test.most_bytes) return;
      test.bytes += file.size();
      test.stages.push_back(id);
    }
    const auto stored = client.stage(test.node, id, *path, std::span<const char>(file));
    if (stored) continue;
    const std::lock_guard lock(test.mutex);
    test.trouble = stored.error().what;
  }
}

// All nodes at once: they may share a disk or a network.
void test_nodes(NodeClient& client, std::vector<std::unique_ptr<NodeTest>>& tests,
                const std::vector<char>& file, std::chrono::seconds length) {
  const auto end = steady_clock::now() + length;
  std::vector<std::jthread> writers;
  for (auto& test : tests) {
    writers.emplace_back([&client, &file, end, test = test.get()] {
      const auto started = steady_clock::now();
      {
        std::vector<std::jthread> at_once;
        for (unsigned i = 0; i < kWritersPerNode; ++i) {
          at_once.emplace_back([&] { write_stages(client, *test, file, end); });
        }
      }
      const std::chrono::duration<double> took = steady_clock::now() - started;
      test->bytes_per_s = static_cast<double>(test->bytes) / std::max(1e-9, took.count());
      for (const std::string& id : test->stages) (void)client.drop_stage(test->node, id);
    });
  }
}

struct Verdict {
  double need_bytes_per_s = 0, have_bytes_per_s = 0;
  double need_frames_per_s = 0, have_frames_per_s = 0;
  double need_bytes = 0, have_bytes = 0;
  std::size_t nodes = 0;

  bool fast_enough() const { return have_bytes_per_s >= need_bytes_per_s * kSpareRate; }
  bool codes_fast_enough() const { return have_frames_per_s >= need_frames_per_s * kSpareRate; }
  bool has_space() const { return have_bytes >= need_bytes * kSpareSpace; }
  bool yes() const { return fast_enough() && codes_fast_enough() && has_space(); }
};

std::string mb(double bytes_per_s) { return grouped(std::llround(bytes_per_s / 1e6)) + " MB/s"; }

void say(const Verdict& verdict, const Surroundings& with) {
  const auto mark = [](bool good) { return std::string(good ? "yes" : "NO "); };
  const auto size = [](double bytes) { return human_size(static_cast<std::uint64_t>(bytes)); };
  with.out.line("speed   " + mark(verdict.fast_enough()) + "  needs " +
                mb(verdict.need_bytes_per_s) + ", " + std::to_string(verdict.nodes) +
                " nodes took " + mb(verdict.have_bytes_per_s));
  with.out.line("coding  " + mark(verdict.codes_fast_enough()) + "  needs " +
                grouped(std::llround(verdict.need_frames_per_s)) + " frames/s, makes " +
                grouped(std::llround(verdict.have_frames_per_s)));
  with.out.line("space   " + mark(verdict.has_space()) + "  needs " + size(verdict.need_bytes) +
                ", free " + size(verdict.have_bytes));
  with.out.line(verdict.yes() ? "it can be recorded" : "it can NOT be recorded");
}

void say_json(const Verdict& verdict, const Surroundings& with) {
  with.out.line(
      JsonLine()
          .truth("can", verdict.yes())
          .number("nodes", static_cast<std::int64_t>(verdict.nodes))
          .number("need_bytes_per_s", std::llround(verdict.need_bytes_per_s))
          .number("have_bytes_per_s", std::llround(verdict.have_bytes_per_s))
          .number("need_frames_per_s", std::llround(verdict.need_frames_per_s))
          .number("have_coded_frames_per_s", std::llround(verdict.have_frames_per_s))
          .number("need_bytes", std::llround(verdict.need_bytes))
          .number("free_bytes", std::llround(verdict.have_bytes))
          .str());
}

}  // namespace

ExitStatus preflight(const StreamOptions& options, const Surroundings& with, Session& session,
                     FrameSource& source, std::uint64_t frames) {
  const auto coded = code_some(options, source);
  if (!coded) return refuse(with, coded.error());
  const auto replies =
      ask_status(*session.nodes(), with.config.milliseconds("deadline_ms"));
  std::vector<std::unique_ptr<NodeTest>> tests;
  for (const StatusReply& reply : replies) {
    if (!reply.status) {
      with.messages.failure(reply.node.label(), reply.status.error());
    } else if (!reply.node.is_skein()) {
      with.messages.failure(reply.node.label(),
                            {std::errc::not_supported, "no Skein node: it keeps no test writes"});
    } else {
      tests.push_back(std::make_unique<NodeTest>());
      tests.back()->node = reply.node;
      tests.back()->most_bytes =
          static_cast<std::uint64_t>(static_cast<double>(reply.status->disk_free_bytes.value_or(0)) *
                                     kMostShareOfFree / static_cast<double>(replies.size()));
    }
  }
  test_nodes(session.client(), tests, coded->file, std::chrono::seconds(options.preflight_s));
  Verdict verdict;
  double slowest = tests.empty() ? 0 : INFINITY;
  for (const auto& test : tests) {
    if (!test->trouble.empty()) with.messages.failure(test->trouble);
    if (test->trouble.empty()) ++verdict.nodes;
    slowest = std::min(slowest, test->trouble.empty() ? test->bytes_per_s : slowest);
  }
  verdict.need_bytes_per_s = coded->bytes_per_frame * options.per_second;
  // Nodes take turns, so the slowest sets the pace.
  verdict.have_bytes_per_s = verdict.nodes == 0 ? 0 : slowest * static_cast<double>(verdict.nodes);
  verdict.need_frames_per_s = options.per_second;
  verdict.have_frames_per_s = coded->frames_per_s;
  verdict.need_bytes = coded->bytes_per_frame * static_cast<double>(frames);
  verdict.have_bytes = static_cast<double>(sum_space(replies).free_bytes);
  if (options.json) {
    say_json(verdict, with);
  } else {
    say(verdict, with);
  }
  return verdict.yes() ? status_of(with.messages) : ExitStatus::kSomeFailed;
}

}  // namespace skein
