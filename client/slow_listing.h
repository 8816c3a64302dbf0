// For tests: a node whose listing of any directory comes in two halves, the second when it is let go.
#pragma once

#include <cstdio>
#include <map>
#include <mutex>
#include <semaphore>
#include <string>

#include "client/scripted_server.h"
#include "core/listing.h"

namespace skein {

class SlowListing {
 public:
  static constexpr std::chrono::seconds kLongest{20};

  // `names` names, see name().
  explicit SlowListing(int names)
      : names_(names),
        server_([this](ScriptedServer&, HttpStream& stream, const RequestHead& head) {
          return answer(stream, head);
        }) {}
  ~SlowListing() { go_on(); }

  static std::string name(int number) {
    char name[20];
    std::snprintf(name, sizeof name, "f%06d", number);
    return name;
  }
  static std::string chunk(const std::string& text) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", text.size());
    return size + text + "\r\n";
  }
  static constexpr const char* kHead =
      "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nSkein-Listing: sorted\r\nTransfer-Encoding: chunked\r\n\r\n";
  // Members with commas behind each.
  static std::string members(int first, int last) {
    std::string text;
    for (int i = first; i < last; ++i) {
      append_json(text, name(i), {0, i});
      text += ',';
    }
    return text;
  }

  const Node& node() const { return server_.node(); }
  ScriptedServer& server() { return server_; }
  void go_on() { halves_.release(); }
  // In place of the second half the connection ends.
  void cut_off() {
    cut_ = true;
    halves_.release();
  }
  std::string asked_for() const { return asked_for_; }

 private:
  bool answer(HttpStream& stream, const RequestHead& head) {
    if (head.method() == "HEAD") return answer_head(stream, std::string(head.target()));
    if (head.find("If-None-Match") == "\"1\"") return reply(stream, 304);
    asked_for_ = std::string(head.find("Skein-Listing").value_or(""));
    send_text(stream, kHead + chunk("{" + members(0, names_ / 2)));
    (void)halves_.try_acquire_for(kLongest);
    if (cut_) return false;
    std::string rest = members(names_ / 2, names_);
    rest.back() = '}';
    return send_text(stream, chunk(rest) + chunk(""));
  }
  bool answer_head(HttpStream& stream, const std::string& target) {
    const std::string asked = target.substr(target.rfind('/') + 1);
    for (int i = 0; i < names_; ++i) {
      if (name(i) != asked) continue;
      return send_text(stream, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(i) + "\r\n\r\n");
    }
    return reply(stream, 404);
  }

  const int names_;
  std::string asked_for_;
  std::atomic<bool> cut_ = false;
  std::counting_semaphore<> halves_{0};
  ScriptedServer server_;  // last: ends before the members it uses
};

}  // namespace skein
