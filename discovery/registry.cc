#include "discovery/registry.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>

#include "core/fd.h"
#include "core/percent.h"
#include "core/run_dir.h"
#include "core/uuid.h"

namespace skein {
namespace {

constexpr std::string_view kVersion = "1";

template <typename Number>
bool parse_number(std::string_view text, Number& number) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  return ec == std::errc() && end == text.data() + text.size();
}

// nullopt: no such process, or it may not be looked at.
std::optional<std::uint64_t> start_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(in, line)) return std::nullopt;
  // Field 2 is the program's name in parentheses and may hold anything; count from its end.
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(name_end + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number) fields >> field;
  std::uint64_t start = 0;
  if (!fields || !parse_number(std::string_view(field), start)) return std::nullopt;
  return start;
}

std::string own_pid_namespace() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string();
}

std::optional<std::string> read_small_file(const std::filesystem::path& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return std::nullopt;
  std::string text(kMaxRegistryFileBytes + 1, '\0');
  const ssize_t length = ::read(fd.get(), text.data(), text.size());
  if (length < 0 || static_cast<std::size_t>(length) > kMaxRegistryFileBytes) return std::nullopt;
  text.resize(static_cast<std::size_t>(length));
  return text;
}

std::optional<RegistryEntry> read_entry(const std::filesystem::path& path) {
  const auto text = read_small_file(path);
  return text ? parse_registry_text(*text) : std::nullopt;
}

// A name that no reader takes for an entry, and no other call uses.
std::filesystem::path private_name(const std::filesystem::path& path) {
  static std::atomic<unsigned> count{0};
  return path.parent_path() / ("." + path.filename().string() + "." + std::to_string(::getpid()) +
                               "." + std::to_string(++count));
}

// Removes a file whose process is gone. It is moved aside and read again first: its node may have
// been started anew since, and then gets its file back.
void remove_stale(const std::filesystem::path& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0 || st.st_uid != ::geteuid()) return;
  const auto aside = private_name(path);
  if (::rename(path.c_str(), aside.c_str()) != 0) return;
  const auto entry = read_entry(aside);
  if (entry && may_be_running(*entry)) ::link(aside.c_str(), path.c_str());
  ::unlink(aside.c_str());
}

Result<void> write_whole(const std::filesystem::path& path, std::string_view text) {
  const auto aside = private_name(path);
  const std::string what = "write registry file " + path.string();
  Fd fd(::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) return errno_error(errno, what);
  const ssize_t written = ::write(fd.get(), text.data(), text.size());
  int failure = written < 0 ? errno : 0;
  if (written >= 0 && static_cast<std::size_t>(written) < text.size()) failure = ENOSPC;
  fd.reset();
  if (failure == 0 && ::rename(aside.c_str(), path.c_str()) != 0) failure = errno;
  if (failure == 0) return {};
  ::unlink(aside.c_str());
  return errno_error(failure, what);
}

}  // namespace

std::string registry_text(const RegistryEntry& entry) {
  const Node& node = entry.node;
  std::string text = "v=" + std::string(kVersion) + "\n";
  const auto line = [&text](std::string_view key, const std::string& value) {
    text.append(key).append("=").append(percent_encode_path(value)).append("\n");
  };
  line("id", node.id);
  line("host", node.address.host);
  line("port", std::to_string(node.address.port));
  line("host_id", node.host_id);
  line("cluster", node.cluster);
  line("name", node.name);
  line("lane", node.lane);
  line("pid", std::to_string(entry.pid));
  line("pid_start", std::to_string(entry.pid_start));
  line("pid_namespace", entry.pid_namespace);
  return text;
}

std::optional<RegistryEntry> parse_registry_text(std::string_view text) {
  RegistryEntry entry;
  std::string version;
  while (!text.empty()) {
    const std::size_t line_end = text.find('\n');
    if (line_end == std::string_view::npos) return std::nullopt;  // cut short
    const std::string_view line = text.substr(0, line_end);
    text.remove_prefix(line_end + 1);
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, equals);
    const auto value = percent_decode(line.substr(equals + 1));
    if (!value) return std::nullopt;
    bool good = true;
    if (key == "v") version = *value;
    if (key == "id") entry.node.id = *value;
    if (key == "host") entry.node.address.host = *value;
    if (key == "port") good = parse_number(*value, entry.node.address.port);
    if (key == "host_id") entry.node.host_id = *value;
    if (key == "cluster") entry.node.cluster = *value;
    if (key == "name") entry.node.name = *value;
    if (key == "lane") entry.node.lane = *value;
    if (key == "pid") good = parse_number(*value, entry.pid);
    if (key == "pid_start") good = parse_number(*value, entry.pid_start);
    if (key == "pid_namespace") entry.pid_namespace = *value;
    if (!good) return std::nullopt;
  }
  const Node& node = entry.node;
  if (version != kVersion || !is_uuid(node.id)) return std::nullopt;
  if (node.address.host.empty() || node.address.port == 0) return std::nullopt;
  return entry;
}

bool may_be_running(const RegistryEntry& entry) {
  if (entry.pid <= 0 || entry.pid_namespace.empty()) return true;
  if (entry.pid_namespace != own_pid_namespace()) return true;
  if (::kill(entry.pid, 0) != 0 && errno == ESRCH) return false;
  const auto start = start_of(entry.pid);
  return !start || entry.pid_start == 0 || *start == entry.pid_start;
}

std::filesystem::path registry_dir(const std::filesystem::path& run_dir) {
  return run_dir / "nodes";
}

std::vector<Node> read_registry(const std::filesystem::path& dir) {
  std::vector<Node> nodes;
  std::error_code failure;
  auto file = std::filesystem::directory_iterator(dir, failure);
  const auto end = std::filesystem::directory_iterator();
  for (; !failure && file != end && nodes.size() < kMaxRegistryFiles; file.increment(failure)) {
    const std::string name = file->path().filename().string();
    if (!is_uuid(name)) continue;
    auto entry = read_entry(file->path());
    if (!entry || entry->node.id != name) continue;
    // A folder shared between machines: their loopback is not ours.
    if (!entry->node.host_id.empty() && entry->node.host_id != local_host_id()) continue;
    if (may_be_running(*entry)) {
      nodes.push_back(std::move(entry->node));
    } else {
      remove_stale(file->path());
    }
  }
  std::sort(nodes.begin(), nodes.end(),
            [](const Node& a, const Node& b) { return a.id < b.id; });
  return nodes;
}

Result<RegistryFile> RegistryFile::write(const Node& node) {
  if (!is_uuid(node.id)) {
    return Error{std::errc::invalid_argument, "register node: it has no id"};
  }
  const auto run_dir = make_run_dir();
  if (!run_dir) return run_dir.error();
  const auto dir = registry_dir(*run_dir);
  if (::mkdir(dir.c_str(), 0755) != 0 && errno != EEXIST) {
    return errno_error(errno, "make registry folder " + dir.string());
  }
  const RegistryEntry entry{node, ::getpid(), start_of(::getpid()).value_or(0),
                            own_pid_namespace()};
  const auto path = dir / node.id;
  if (auto written = write_whole(path, registry_text(entry)); !written) return written.error();
  return RegistryFile(path);
}

RegistryFile::RegistryFile(RegistryFile&& other) noexcept
    : path_(std::exchange(other.path_, std::filesystem::path())) {}

RegistryFile::~RegistryFile() {
  if (path_.empty()) return;
  // A server started anew on the same store may have put its own file here already.
  const auto entry = read_entry(path_);
  if (entry && entry->pid == ::getpid()) ::unlink(path_.c_str());
}

}  // namespace skein
