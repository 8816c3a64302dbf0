// Fuzz target: the request path as a hostile client drives it: heads, targets, digests and bodies
// from a socket, one after another, as long as the bytes make sense.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "core/digests.h"
#include "core/http_body.h"
#include "core/http_head.h"
#include "core/http_stream.h"
#include "core/path.h"
#include "core/percent.h"

namespace {

void check_path(std::string_view target) {
  const auto decoded = skein::percent_decode(target.substr(0, target.find_first_of("?#")));
  if (!decoded) return;
  const auto path = skein::ClusterPath::parse(*decoded);
  if (!path) return;
  for (const std::string& name : path->components()) {
    const bool safe = !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
                      name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
    if (!safe) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  // Within a socket's buffer, so that the one thread can write first and read after.
  if (size > 60000) return 0;
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) std::abort();
  if (::write(fds[1], data, size) != static_cast<ssize_t>(size)) std::abort();
  ::close(fds[1]);
  skein::HttpStream stream{skein::Fd(fds[0])};
  const auto deadline = skein::Deadline::after(std::chrono::seconds(5));
  std::array<char, 4096> body{};
  for (;;) {
    const auto head = stream.read_head(deadline);
    if (!head || !*head) return 0;
    const auto request = skein::RequestHead::parse(**head);
    if (!request) return 0;
    check_path(request->target());
    const auto digests = skein::digests_of(*request);
    if (!digests) return 0;
    skein::DigestCheck check(*digests);
    skein::BodyReader reader(stream, request->framing());
    while (!reader.done()) {
      const auto got = reader.read(body, deadline);
      if (!got) return 0;
      check.add(std::span(body).first(*got));
    }
    if (check.verdict() && digests->xxh3 && *digests->xxh3 != check.xxh3()) std::abort();
    if (!request->keep_alive()) return 0;
  }
}
