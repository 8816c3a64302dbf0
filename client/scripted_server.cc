#include "client/scripted_server.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <optional>
#include <cstdio>
#include <random>
#include <vector>

#include "core/http_body.h"
#include "core/listing.h"
#include "core/percent.h"
#include "core/socket.h"

namespace skein {
namespace {

Deadline patience() { return Deadline::after(std::chrono::seconds(10)); }

// The first byte asked for by "bytes=5-" or "bytes=5-9", and the last if given.
struct Range {
  std::size_t first = 0;
  std::size_t last = std::string::npos;
};
std::optional<Range> parse_range(std::string_view text) {
  Range range;
  if (!text.starts_with("bytes=")) return std::nullopt;
  text.remove_prefix(6);
  const auto [dash, ec] = std::from_chars(text.data(), text.data() + text.size(), range.first);
  if (ec != std::errc()) return std::nullopt;
  std::from_chars(dash + 1, text.data() + text.size(), range.last);
  return range;
}

}  // namespace

ScriptedServer::ScriptedServer(Script script) : script_(std::move(script)) {
  auto listening = listen_tcp({"127.0.0.1", 0}, 64);
  REQUIRE(listening);
  listening_ = std::move(*listening);
  node_.address = *local_address(listening_.get());
  accepting_ = std::jthread([this] { accept_all(); });
}

ScriptedServer::~ScriptedServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  }
  stopping_changed_.notify_all();
  ::shutdown(listening_.get(), SHUT_RDWR);
  accepting_.join();
  serving_.clear();
}

void ScriptedServer::accept_all() {
  for (;;) {
    pollfd p{listening_.get(), POLLIN, 0};
    ::poll(&p, 1, -1);
    const int socket = ::accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      if (socket >= 0) Fd closed(socket);
      return;
    }
    if (socket < 0) continue;
    ++connections_;
    sockets_.push_back(socket);
    serving_.emplace_back([this, socket] { serve(socket); });
  }
}

void ScriptedServer::serve(int socket) {
  HttpStream stream{Fd(socket)};
  for (;;) {
    const auto text = stream.read_head(Deadline::after(std::chrono::minutes(1)));
    if (!text || !*text) break;
    const auto head = RequestHead::parse(**text);
    if (!head) break;
    ++requests_;
    if (!script_(*this, stream, *head)) break;
  }
  const std::lock_guard lock(mutex_);
  sockets_.remove(socket);  // closed with the stream, after the lock
}

void ScriptedServer::stall() {
  std::unique_lock lock(mutex_);
  stopping_changed_.wait(lock, [this] { return stopping_; });
}

std::string receive_body(HttpStream& stream, const RequestHead& head) {
  BodyReader reader(stream, head.framing());
  std::string body(reader.known_left(), '\0');
  const auto got = reader.read_full(body, patience());
  body.resize(got ? *got : 0);
  return body;
}

bool send_text(HttpStream& stream, const std::string& text) {
  return stream.write(text, patience()).ok();
}

bool reply(HttpStream& stream, int status, const std::string& headers, const std::string& body) {
  const std::string length = std::to_string(body.size());
  return send_text(stream, "HTTP/1.1 " + std::to_string(status) + " Scripted\r\n" + headers +
                               "Content-Length: " + length + "\r\n\r\n" + body);
}

bool reset(HttpStream& stream) {
  const linger hard{1, 0};
  ::setsockopt(stream.fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  return false;
}

MemoryNode::MemoryNode(Manners manners) : manners_(std::move(manners)) {
  server_ = std::make_unique<ScriptedServer>(
      [this](ScriptedServer& server, HttpStream& stream, const RequestHead& head) {
        return answer(server, stream, head);
      });
  node_ = server_->node();
  node_.id = manners_.id;
}

void MemoryNode::add(const std::string& path, const std::string& bytes) {
  const std::lock_guard lock(mutex_);
  files_[path] = bytes;
}

void MemoryNode::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  files_.erase(path);
}

std::string MemoryNode::file(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(path);
  return found == files_.end() ? std::string() : found->second;
}

bool MemoryNode::has(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return files_.contains(path);
}

void MemoryNode::interrupt(Interruption interruption) {
  const std::lock_guard lock(mutex_);
  interruption_ = std::move(interruption);
}

bool MemoryNode::answer(ScriptedServer& server, HttpStream& stream, const RequestHead& head) {
  Interruption interruption;
  {
    const std::lock_guard lock(mutex_);
    interruption = interruption_;
  }
  if (interruption) {
    if (const auto answered = interruption(server, stream, head)) return *answered;
  }
  const std::string path = percent_decode(head.target().substr(1)).operator*();
  if (head.method() == "PUT") return answer_put(stream, head, path);
  return answer_get(stream, head, path);
}

bool MemoryNode::answer_put(HttpStream& stream, const RequestHead& head, const std::string& path) {
  const std::string body = receive_body(stream, head);
  if (body.size() != head.framing().length) return false;
  const std::lock_guard lock(mutex_);
  if (!manners_.id.empty() && path.starts_with("__")) {
    const std::string range(head.find("Content-Range").value_or(""));
    return reply(stream, answer_stage(path, range, body));
  }
  const bool is_new = files_.emplace(path, body).second;
  return reply(stream, is_new ? 200 : 405);
}

int MemoryNode::answer_stage(const std::string& path, const std::string& range,
                             const std::string& body) {
  const std::size_t verb_end = path.find('/');
  const std::size_t id_end = path.find('/', verb_end + 1);
  const std::string verb = path.substr(0, verb_end);
  const std::string id = path.substr(verb_end + 1, id_end - verb_end - 1);
  const std::string name = id_end == std::string::npos ? "" : path.substr(id_end + 1);
  if (verb == "__drop") return stages_.erase(id) == 1 ? 200 : 404;
  if (verb == "__stage") {
    if (files_.contains(name)) return 405;
    stages_[id] = body;
    return 200;
  }
  if (verb == "__piece" && range == "bytes */0") stages_[id];
  const auto stage = stages_.find(id);
  if (stage == stages_.end()) return 404;
  if (verb == "__piece") {
    if (files_.contains(name)) return 405;
    std::size_t first = 0;
    std::size_t whole = 0;
    std::string& bytes = stage->second;
    if (std::sscanf(range.c_str(), "bytes %zu-", &first) == 1) {
      bytes.resize(std::max(bytes.size(), first + body.size()));
      bytes.replace(first, body.size(), body);
    }
    if (std::sscanf(range.c_str() + range.find('/'), "/%zu", &whole) == 1) bytes.resize(whole);
    return 200;
  }
  if (!files_.emplace(name, stage->second).second) return 405;
  stages_.erase(stage);
  return 200;
}

bool MemoryNode::answer_get(HttpStream& stream, const RequestHead& head, const std::string& path) {
  const std::lock_guard lock(mutex_);
  const bool wants_head = head.method() == "HEAD";
  if (path.empty() || path.ends_with('/')) {
    std::vector<NamedEntry> entries;
    for (const auto& [name, bytes] : files_) {
      if (!name.starts_with(path)) continue;
      const std::string rest = name.substr(path.size());
      const std::size_t slash = rest.find('/');
      Entry entry{0, static_cast<std::int64_t>(bytes.size())};
      if (slash != std::string::npos) entry = {Entry::kDirectory, 1};
      entries.push_back({rest.substr(0, slash), entry});
    }
    if (entries.empty() && !path.empty()) return reply(stream, 404);
    const std::string json = to_json(Listing(std::move(entries)));
    const std::string etag = "\"" + std::to_string(std::hash<std::string>()(json)) + "\"";
    if (manners_.etags && head.find("If-None-Match").value_or("") == etag) {
      return send_text(stream, "HTTP/1.1 304 Not Modified\r\nETag: " + etag + "\r\n\r\n");
    }
    return reply(stream, 200, manners_.etags ? "ETag: " + etag + "\r\n" : "",
                 wants_head ? "" : json);
  }
  const auto found = files_.find(path);
  if (found == files_.end()) {
    for (const auto& [name, bytes] : files_) {
      if (!name.starts_with(path + "/")) continue;
      return reply(stream, 301, "Location: /" + percent_encode_path(path) + "/\r\n");
    }
    return wants_head ? send_text(stream, "HTTP/1.1 404 Absent\r\nContent-Length: 9\r\n\r\n")
                      : reply(stream, 404, {}, "no such\r\n");
  }
  const std::string& bytes = found->second;
  const std::string dated = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
  const std::string size = std::to_string(bytes.size());
  if (wants_head) {
    return send_text(stream,
                     "HTTP/1.1 200 OK\r\n" + dated + "Content-Length: " + size + "\r\n\r\n");
  }
  const auto range = parse_range(head.find("Range").value_or(""));
  if (!manners_.ranges || !range) return reply(stream, 200, dated, bytes);
  if (range->first >= bytes.size()) return reply(stream, 416);
  const std::size_t last = std::min(range->last, bytes.size() - 1);
  return reply(stream, 206,
               "Content-Range: bytes " + std::to_string(range->first) + "-" +
                   std::to_string(last) + "/" + size + "\r\n",
               bytes.substr(range->first, last - range->first + 1));
}

Node dead_node() {
  auto listening = listen_tcp({"127.0.0.1", 0}, 1);
  REQUIRE(listening);
  Node node;
  node.address = *local_address(listening->get());
  return node;
}

ClusterPath path_of(const std::string& text) {
  const auto path = ClusterPath::parse(text);
  REQUIRE(path);
  return *path;
}

std::string sample_bytes(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

PutBody body_of(const std::string& bytes) { return std::span<const char>(bytes); }

Fd memory_file(const std::string& bytes) {
  Fd fd(::memfd_create("body", MFD_CLOEXEC));
  REQUIRE(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  return fd;
}

}  // namespace skein
