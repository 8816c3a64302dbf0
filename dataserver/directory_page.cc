#include "dataserver/directory_page.h"

#include <algorithm>

#include "core/json_text.h"
#include "core/percent.h"

namespace skein {
namespace {

constexpr std::string_view kHead =
    "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
    "content=\"width=device-width\">\n<style>body{font-family:sans-serif;margin:2em}"
    "table{border-spacing:1em .2em}td+td{text-align:right;color:#555}a{text-decoration:none}"
    "</style>\n<title>";

// Escaped for text and attributes; a byte that is no UTF-8 is shown as U+FFFD.
void append_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    switch (text.front()) {
      case '&': out.append("&amp;"); break;
      case '<': out.append("&lt;"); break;
      case '>': out.append("&gt;"); break;
      case '"': out.append("&quot;"); break;
      case '\'': out.append("&#39;"); break;
      default: out.append(length > 0 ? text.substr(0, length) : "\xef\xbf\xbd");
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
}

std::string_view kind_of(const Entry& entry) {
  if (!entry.is_directory()) return "";
  if ((entry.type & Entry::kSeries) == 0) return "folder";
  return (entry.type & Entry::kSeriesComplete) != 0 ? "series, complete" : "series";
}

void append_row(std::string& out, const NamedEntry& named) {
  const bool directory = named.entry.is_directory();
  out.append("<tr><td><a href=\"").append(percent_encode_path(named.name));
  out.append(directory ? "/\">" : "\">");
  append_escaped(out, named.name);
  out.append(directory ? "/</a></td><td>" : "</a></td><td>");
  if (named.entry.size >= 0) {
    out.append(std::to_string(named.entry.size)).append(directory ? " names" : " bytes");
  } else {
    out.append("growing");
  }
  out.append("</td><td>").append(kind_of(named.entry)).append("</td></tr>\n");
}

}  // namespace

std::string directory_page(const ClusterPath& path, const Listing& listing) {
  const std::size_t shown = std::min(listing.size(), kMaxPageNames);
  std::string out;
  out.reserve(2048 + shown * 128);
  out.append(kHead);
  append_escaped(out, "/" + path.text());
  out.append("</title></head><body>\n<h1>");
  append_escaped(out, "/" + path.text());
  out.append("</h1>\n<table>\n");
  if (!path.is_root()) out.append("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
  for (std::size_t i = 0; i < shown; ++i) append_row(out, listing.entries()[i]);
  out.append("</table>\n");
  if (shown < listing.size()) {
    out.append("<p>and ").append(std::to_string(listing.size() - shown)).append(" more</p>\n");
  }
  return out.append("</body></html>\n");
}

}  // namespace skein
