#include "dataserver/http_date.h"

#include <ctime>

namespace skein {

std::string_view DateLine::text() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (now.tv_sec != second_) {
    second_ = now.tv_sec;
    text_ = http_date(second_);
  }
  return text_;
}

}  // namespace skein
