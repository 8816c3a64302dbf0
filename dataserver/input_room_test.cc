#include "dataserver/input_room.h"

#include <doctest/doctest.h>

#include <fstream>

#include "core/scratch_folder.h"

namespace skein {

TEST_CASE("input room: bounded where the kernel gives it, else left to the kernel") {
  const ScratchFolder folder;
  const auto most = folder.path() / "rmem_max";
  const auto room = [&](const char* text) {
    std::ofstream(most) << text;
    return input_room_bytes(most);
  };
  CHECK(room("4194304\n") == kInputRoomBytes);
  CHECK(room("1048576\n") == kInputRoomBytes);
  CHECK(room("212992\n") == 0);
  CHECK(room("") == 0);
  CHECK(input_room_bytes(folder.path() / "nothing") == 0);
}

}  // namespace skein
