"""A mount that is killed while programs write: what a close() acknowledged is on a node, or skein
recover puts it there; and nothing that is visible is torn."""
import os
import random
import signal
import subprocess
import threading

import pytest
from harness import eventually, needs_fuse, needs_root, skein

pytestmark = [needs_fuse, needs_root, pytest.mark.allow_errors]

ROUNDS = 3
WRITERS = 4
WAYS = {"passthrough": [], "lane": ["--no-passthrough"], "sent": ["--no-bypass"]}
# Small ones, and one that is sent in pieces; a temporary name is left unsealed for two seconds.
SIZES = [0, 1, 4096, 300_000, 9 << 20]
ENDINGS = ["", ".tmp"]


def content(name, size):
    return random.Random(name).randbytes(size)


class Writer(threading.Thread):
    """Writes one file after the other into a folder until that fails."""

    def __init__(self, folder, seed):
        super().__init__()
        self.folder, self.random = folder, random.Random(seed)
        self.begun, self.acknowledged = {}, []

    def run(self):
        for number in range(1000):
            size = self.random.choice(SIZES)
            name = f"{self.folder.name}-{number}{self.random.choice(ENDINGS)}"
            self.begun[name] = size
            try:
                (self.folder / name).write_bytes(content(name, size))
            except OSError:
                return
            self.acknowledged.append(name)


def kill(mount):
    for pid in mount.pids():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not mount.pids(), 20)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_closed_outlives_a_killed_mount(servers, mounts, tmp_path, way):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed={seed}")
    moments = random.Random(seed)
    for number in range(ROUNDS):
        nodes = [servers(), servers()]
        mount = mounts(tmp_path / f"m{number}", nodes=nodes, args=WAYS[way])
        writers = []
        for i in range(WRITERS):
            (mount.path / f"d{i}").mkdir()
            writers.append(Writer(mount.path / f"d{i}", moments.random()))
        for writer in writers:
            writer.start()
        closes = moments.randrange(1, 60)
        eventually(lambda: sum(len(w.acknowledged) for w in writers) >= closes, 100)
        kill(mount)
        for writer in writers:
            writer.join(30)
        subprocess.run(["umount", "-l", mount.path], check=True, timeout=20)

        def copies(writer, name):
            paths = [node.root / writer.folder.name / name for node in nodes]
            return [path for path in paths if path.exists()]

        def missing():
            # What a close() left that did not return has no name: put fails for that one.
            skein("recover", "put", "--all", nodes=nodes)
            return [name for writer in writers for name in writer.acknowledged
                    if not copies(writer, name)]

        # A node takes note of the death in its own time.
        eventually(lambda: not missing(), 30, "all that was acknowledged is stored")
        for writer in writers:
            for name, size in writer.begun.items():
                for copy in copies(writer, name):
                    assert copy.read_bytes() == content(name, size), f"{copy} is torn"
        for node in nodes:
            node.stop()
