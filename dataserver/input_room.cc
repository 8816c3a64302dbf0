#include "dataserver/input_room.h"

#include <fstream>

namespace skein {

int input_room_bytes(const std::filesystem::path& most) {
  long most_bytes = 0;
  std::ifstream(most) >> most_bytes;
  return most_bytes >= kInputRoomBytes ? kInputRoomBytes : 0;
}

}  // namespace skein
