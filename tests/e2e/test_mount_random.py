"""Random changes of one new file, by two descriptors and a mapping, held against a model in memory:
what is read meanwhile, and what is stored at the end, is what was written."""
import mmap
import os
import random
import threading

import pytest
from harness import eventually, needs_fuse, needs_root

pytestmark = [needs_fuse, needs_root]

MIB = 1 << 20
STEPS = 300
WAYS = {"passthrough": [], "lane": ["--no-passthrough"], "sent": ["--no-bypass"]}


class Model:
    """One file in the mount and the bytes that it should hold."""

    def __init__(self, path, seed):
        self.random = random.Random(seed)
        self.path = path
        self.bytes = bytearray()
        self.fds = [os.open(path, os.O_CREAT | os.O_RDWR)]
        self.fds.append(os.open(path, os.O_RDWR))

    def fd(self):
        return self.random.choice(self.fds)

    def place(self):
        """Mostly near the end, as writers do, or anywhere."""
        if self.random.random() < 0.5:
            return len(self.bytes)
        return self.random.randrange(len(self.bytes) + 1)

    def data(self):
        size = self.random.choice([1, 4096, 70_000, MIB, 3 * MIB])
        return self.random.randbytes(self.random.randrange(1, size + 1))

    def put(self, at, data):
        if at > len(self.bytes):
            self.bytes.extend(bytes(at - len(self.bytes)))
        self.bytes[at:at + len(data)] = data

    def write(self):
        at, data = self.place(), self.data()
        assert os.pwrite(self.fd(), data, at) == len(data)
        self.put(at, data)

    def leave_a_hole(self):
        at, data = len(self.bytes) + self.random.randrange(2 * MIB), self.data()
        assert os.pwrite(self.fd(), data, at) == len(data)
        self.put(at, data)

    def truncate(self):
        size = self.random.randrange(len(self.bytes) + MIB)
        os.ftruncate(self.fd(), size)
        if size > len(self.bytes):
            self.put(size, b"")
        del self.bytes[size:]

    def allocate(self):
        at, size = self.place(), self.random.randrange(1, MIB)
        os.posix_fallocate(self.fd(), at, size)
        if at + size > len(self.bytes):
            self.put(at + size, b"")

    def map(self):
        if not self.bytes:
            return
        at = self.random.randrange(len(self.bytes))
        data = self.data()[:len(self.bytes) - at]
        with mmap.mmap(self.fd(), len(self.bytes)) as mapping:
            mapping[at:at + len(data)] = data
        self.put(at, data)

    def read(self):
        at = self.random.randrange(len(self.bytes) + 1)
        size = self.random.randrange(1, 2 * MIB)
        assert os.pread(self.fd(), size, at) == self.bytes[at:at + size]

    def sync(self):
        os.fsync(self.fd())

    def close_one(self):
        """So that the file is flushed, and goes on."""
        os.close(self.fds.pop(0))
        self.fds.append(os.open(self.path, os.O_RDWR))

    def run(self, steps):
        often = [self.write] * 8 + [self.read] * 4 + [self.leave_a_hole]
        seldom = [self.truncate, self.allocate, self.map, self.sync, self.close_one]
        for _ in range(steps):
            self.random.choice(often + seldom)()
            if len(self.bytes) > 64 * MIB:
                os.ftruncate(self.fd(), 20 * MIB)
                del self.bytes[20 * MIB:]


@pytest.mark.parametrize("way", WAYS)
def test_a_file_holds_what_was_written_whatever_the_order(servers, mounts, way):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed={seed}")
    node = servers()
    mount = mounts(nodes=[node], args=WAYS[way])
    model = Model(mount.path / "f", seed)
    over = threading.Event()

    def flush():
        """Another thread, whose flushes come at any moment of a write."""
        with open(mount.path / "f", "r+b", buffering=0) as file:
            while not over.wait(0.01):
                os.fsync(file.fileno())

    flusher = threading.Thread(target=flush)
    flusher.start()
    try:
        model.run(STEPS)
    finally:
        over.set()
        flusher.join()
        for fd in model.fds:
            os.close(fd)
    eventually(lambda: (node.root / "f").exists(), 30)
    assert (node.root / "f").read_bytes() == model.bytes
    assert (mount.path / "f").read_bytes() == model.bytes
