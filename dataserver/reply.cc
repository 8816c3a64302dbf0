#include "dataserver/reply.h"

namespace skein {
namespace {

std::string_view reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Internal Server Error";
  }
}

int status_of(std::errc code) {
  switch (code) {
    case std::errc::no_such_file_or_directory:
    case std::errc::not_a_directory:
    case std::errc::is_a_directory:
    case std::errc::no_such_device_or_address: return 404;
    case std::errc::permission_denied:
    case std::errc::operation_not_permitted:
    case std::errc::too_many_symbolic_link_levels: return 403;
    case std::errc::file_exists: return 405;
    case std::errc::no_space_on_device: return 507;
    case std::errc::filename_too_long: return 414;
    case std::errc::invalid_argument:
    case std::errc::illegal_byte_sequence:
    case std::errc::bad_message: return 400;
    case std::errc::file_too_large: return 413;
    case std::errc::timed_out:
    case std::errc::resource_unavailable_try_again:
    case std::errc::too_many_files_open:
    case std::errc::too_many_files_open_in_system: return 503;
    default: return 500;
  }
}

}  // namespace

void Reply::add_field(std::string_view name, std::string_view value) {
  fields.append(name).append(": ").append(value).append("\r\n");
}

std::uint64_t Reply::body_bytes() const {
  if (shared) return shared->size();
  std::uint64_t bytes = text.size();
  for (const BodyPart& part : parts) {
    bytes += part.file.fd.valid() ? part.file.length : part.text.size();
  }
  return bytes;
}

Reply refusal(int status, std::string_view why) {
  Reply reply;
  reply.status = status;
  reply.add_field("Content-Type", "text/plain; charset=utf-8");
  reply.text.append(why).append("\n");
  return reply;
}

Reply refusal_of(const Error& error) {
  Reply reply = refusal(status_of(error.code), error.what);
  if (reply.status == 503) reply.add_field("Retry-After", "2");
  if (reply.status == 405) reply.add_field("Allow", "GET, HEAD, OPTIONS");
  return reply;
}

std::string reply_head(const Reply& reply, std::string_view date, bool keep_alive_1_0) {
  std::string head;
  head.reserve(128 + reply.fields.size());
  head.append("HTTP/1.1 ").append(std::to_string(reply.status)).append(" ");
  head.append(reason(reply.status)).append("\r\nDate: ").append(date).append("\r\n");
  head.append(reply.fields);
  if (reply.chunked) {
    head.append("Transfer-Encoding: chunked\r\n");
  } else if (!reply.bodiless) {
    head.append("Content-Length: ").append(std::to_string(reply.body_bytes())).append("\r\n");
  }
  if (reply.close) {
    head.append("Connection: close\r\n");
  } else if (keep_alive_1_0) {
    head.append("Connection: keep-alive\r\n");
  }
  return head.append("\r\n");
}

}  // namespace skein
