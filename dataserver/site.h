// What the server answers: takes a request's head, gives the sink for its body, and that the reply
// (docs/wire.md, sections 2 to 6 and "Stages"). Knows nothing of connections. Thread-safe.
#pragma once

#include <memory>

#include "core/http_head.h"
#include "dataserver/appends.h"
#include "dataserver/body_sink.h"
#include "dataserver/file_store.h"
#include "dataserver/metrics.h"
#include "dataserver/mirror.h"
#include "dataserver/node_status.h"
#include "dataserver/put_file.h"
#include "dataserver/stage_shelf.h"
#include "dataserver/tables.h"
#include "dataserver/target.h"

namespace skein {

class Site {
 public:
  // All are borrowed.
  Site(FileStore& store, StageShelf& shelf, Appends& appends, Tables& tables, Mirror& mirror, NodeStatus& status,
       const Metrics& metrics);

  // Never null.
  std::unique_ptr<BodySink> begin(RequestHead request);

  // Is begin() to be called only when all that was sent before on this connection is done? A piece
  // opens its stage there; all other requests look at nothing before finish().
  static bool builds_on_earlier(const RequestHead& request) {
    return request.target().find("__piece") != std::string_view::npos;
  }

 private:
  using Sink = std::unique_ptr<BodySink>;

  Reply get(const RequestHead& request, const Target& target);
  Reply file_as_it_is(FileStore::OpenFile file, const ClusterPath& path,
                      const RequestHead& request);
  Reply get_glob(const Target& target);
  Sink put(const RequestHead& request, const Target& target);
  Sink put_body(const RequestHead& request, const ClusterPath& path, FileStore::NameCheck check,
                PutBody::Publish publish);
  Sink put_piece(const RequestHead& request, const std::string& id, const ClusterPath& path);
  Sink put_reserved(const RequestHead& request, const Target& target);

  FileStore& store_;
  StageShelf& shelf_;
  Appends& appends_;
  Tables& tables_;
  Mirror& mirror_;
  NodeStatus& status_;
  const Metrics& metrics_;
};

}  // namespace skein
