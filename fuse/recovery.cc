#include "fuse/recovery.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "core/percent.h"

namespace skein {
namespace {

namespace fs = std::filesystem;

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

bool is_locked(const fs::path& data) {
  const Fd file(::open(data.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) return false;
  struct flock lock = whole_file(F_WRLCK);
  return ::fcntl(file.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

std::string content(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

std::string to_json(const RecoveryNote& note, std::uint64_t size_bytes) {
  const nlohmann::json json = {
      {"path", "/" + note.path.text()}, {"target", note.path.target()}, {"cluster", note.cluster},
      {"size_bytes", size_bytes},       {"why", note.why},              {"stage", note.stage_id},
      {"node", note.node_url}};
  // "replace": "path" is for people, "target" has the bytes.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<RecoveryNote> parse_recovery_note(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const auto member = [&](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (!json.is_object()) return Error{std::errc::bad_message, "not a recovery note"};
  const auto target = percent_decode(member("target"));
  if (!target) return Error{std::errc::bad_message, "recovery note: " + target.error().what};
  auto path = ClusterPath::parse(target->empty() ? member("path") : *target);
  if (!path) return Error{std::errc::bad_message, "recovery note: " + path.error().what};
  return RecoveryNote{std::move(*path), member("why"), member("stage"), member("node"),
                      member("cluster")};
}

Result<std::vector<Recoverable>> list_recoverable(const fs::path& spool) {
  std::vector<Recoverable> found;
  std::error_code failed;
  for (fs::directory_iterator at(spool / "recover", failed), end; !failed && at != end;
       at.increment(failed)) {
    if (at->path().extension() != ".data") continue;
    struct stat st {};
    if (::stat(at->path().c_str(), &st) != 0) continue;  // stored just now
    Recoverable one;
    one.id = at->path().stem().string();
    one.size_bytes = static_cast<std::uint64_t>(st.st_size);
    one.written_s = st.st_mtim.tv_sec;
    one.in_use = is_locked(at->path());
    fs::path note_path = at->path();
    auto note = parse_recovery_note(content(note_path.replace_extension(".json")));
    if (note) {
      one.note = std::move(*note);
    } else {
      one.note.why = "there is no note of its name: a close() that did not return";
    }
    found.push_back(std::move(one));
  }
  if (failed && failed != std::errc::no_such_file_or_directory) {
    return Error{static_cast<std::errc>(failed.value()),
                 "list " + (spool / "recover").string() + ": " + failed.message()};
  }
  std::sort(found.begin(), found.end(), [](const Recoverable& a, const Recoverable& b) {
    return std::pair(a.written_s, a.id) < std::pair(b.written_s, b.id);
  });
  return found;
}

Result<RecoveredFile> RecoveredFile::take(const fs::path& spool, const std::string& id) {
  const fs::path path = spool / "recover" / id;
  Fd data(::open((path.string() + ".data").c_str(), O_RDWR | O_CLOEXEC));
  if (!data) return errno_error(errno, "open " + path.string() + ".data");
  struct flock lock = whole_file(F_WRLCK);
  if (::fcntl(data.get(), F_OFD_SETLK, &lock) != 0) {
    return Error{std::errc::device_or_resource_busy,
                 "in use: a mount is about to store it, or another `skein recover` has it"};
  }
  // It may have been removed between the two calls.
  struct stat st {};
  if (::fstat(data.get(), &st) == 0 && st.st_nlink == 0) {
    return Error{std::errc::no_such_file_or_directory, "it is gone"};
  }
  return RecoveredFile(std::move(data), path);
}

void RecoveredFile::remove() {
  ::unlink((path_.string() + ".json").c_str());
  ::unlink((path_.string() + ".data").c_str());
  data_.reset();
}

Result<Fd> hold_for_mount(const fs::path& data) {
  Fd file(::open(data.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno_error(errno, "open " + data.string());
  struct flock lock = whole_file(F_RDLCK);
  if (::fcntl(file.get(), F_OFD_SETLK, &lock) != 0) {
    return errno_error(errno, "lock " + data.string());
  }
  return file;
}

}  // namespace skein
