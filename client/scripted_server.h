// For tests: a real HTTP server on loopback whose replies a test scripts, bad manners included.
// One thread per connection.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "client/node_client.h"
#include "core/fd.h"
#include "core/http_head.h"
#include "core/http_stream.h"
#include "core/node.h"
#include "discovery/membership.h"

namespace skein {

class ScriptedServer {
 public:
  // Called for each request, with the stream behind its head. Returns false to close the
  // connection. Runs on several threads.
  using Script = std::function<bool(ScriptedServer& server, HttpStream& stream,
                                    const RequestHead& head)>;
  explicit ScriptedServer(Script script);
  // Ends stalls, closes all connections, joins all threads.
  ~ScriptedServer();

  const Node& node() const { return node_; }
  int connections() const { return connections_; }
  int requests() const { return requests_; }

  // For scripts: returns when the server is destroyed.
  void stall();

 private:
  void accept_all();
  void serve(int socket);

  const Script script_;
  Fd listening_;
  Node node_;
  std::atomic<int> connections_ = 0;
  std::atomic<int> requests_ = 0;

  std::mutex mutex_;  // guards everything below
  std::condition_variable stopping_changed_;
  bool stopping_ = false;
  std::list<int> sockets_;  // open, for shutdown
  std::list<std::jthread> serving_;

  std::jthread accepting_;  // last: ends before the members it uses
};

// For scripts. All wait a few seconds at most; failures end the connection with the script.
std::string receive_body(HttpStream& stream, const RequestHead& head);
bool reply(HttpStream& stream, int status, const std::string& headers = {},
           const std::string& body = {});
// Without Content-Length of its own; `text` is sent as it is.
bool send_text(HttpStream& stream, const std::string& text);
// Closes so that the peer gets a reset.
bool reset(HttpStream& stream);

// A node that keeps files in memory and does what docs/wire.md says.
class MemoryNode {
 public:
  struct Manners {
    bool ranges = true;  // false: as PYME's server, which ignores Range and If-None-Match
    bool etags = true;
    std::string id;      // "" = no Skein node
  };
  explicit MemoryNode(Manners manners);
  MemoryNode() : MemoryNode(Manners{}) {}

  const Node& node() const { return node_; }
  ScriptedServer& server() { return *server_; }
  void add(const std::string& path, const std::string& bytes);
  void remove(const std::string& path);  // as by hand, behind the node's back
  std::string file(const std::string& path);  // "" if absent
  bool has(const std::string& path);

  // Asked before the node does its own; returning nullopt leaves the request to the node.
  using Interruption =
      std::function<std::optional<bool>(ScriptedServer&, HttpStream&, const RequestHead&)>;
  void interrupt(Interruption interruption);

 private:
  bool answer(ScriptedServer& server, HttpStream& stream, const RequestHead& head);
  bool answer_get(HttpStream& stream, const RequestHead& head, const std::string& path);
  bool answer_put(HttpStream& stream, const RequestHead& head, const std::string& path);

  int answer_stage(const std::string& path, const std::string& range, const std::string& body);  // the status

  const Manners manners_;
  Node node_;

  std::mutex mutex_;  // guards everything below
  std::map<std::string, std::string> files_;  // by path without leading slash
  std::map<std::string, std::string> stages_;  // by id
  Interruption interruption_;

  std::unique_ptr<ScriptedServer> server_;  // last: ends before the members it uses
};

// A membership that says what it is told, and remembers what was reported to it.
class FixedMembership : public Membership {
 public:
  explicit FixedMembership(NodeList nodes)
      : nodes_(std::make_shared<const NodeList>(std::move(nodes))) {}
  NodeSnapshot nodes() const override { return nodes_; }
  std::vector<NodeState> states() const override { return {}; }
  NodeSnapshot wait_settled(Deadline) override { return nodes_; }
  void report_failure(const std::string& key, const Error&) override { reported.push_back(key); }
  void on_change(std::function<void(NodeSnapshot)>) override {}

  std::vector<std::string> reported;

 private:
  const NodeSnapshot nodes_;
};

// An address where nobody listens.
Node dead_node();

ClusterPath path_of(const std::string& text);

// Repeatable bytes that no shift maps onto themselves.
std::string sample_bytes(std::size_t size, unsigned seed = 1);

PutBody body_of(const std::string& bytes);
// A file without a name that holds `bytes`.
Fd memory_file(const std::string& bytes);

}  // namespace skein
