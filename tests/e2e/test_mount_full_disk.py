"""A node's disk that is full, seen by the programs that write into a mount on the same host."""
import errno
import mmap
import os
import subprocess
import urllib.request

import pytest
from harness import eventually, needs_fuse, needs_root

pytestmark = [needs_fuse, needs_root]

WAYS = {"passthrough": [], "lane": ["--no-passthrough"]}
MIB = 1 << 20
DISK_BYTES = 8 * MIB


@pytest.fixture
def disk(tmp_path):
    """A disk of 8 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", disk], check=True)
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.fixture(params=WAYS)
def full(request, disk, servers, mounts):
    """A mount of one node whose disk has 8 MiB, and that node."""
    node = servers(disk / "root", args=["--reserve-bytes", "0"])
    return mounts(nodes=[node], args=WAYS[request.param]), node


def names(node):
    return sorted(path.name for path in node.root.iterdir() if path.name != ".skein")


def free_bytes(node):
    seen = os.statvfs(node.root)
    return seen.f_bavail * seen.f_frsize


def assert_nothing_is_left(mount, node):
    eventually(lambda: os.listdir(mount.path) == [], 20)
    assert names(node) == []
    # The bytes are given back, and the next file is stored as ever.
    eventually(lambda: free_bytes(node) > DISK_BYTES // 2, 20)
    (mount.path / "next").write_bytes(bytes(1 << 20))
    eventually(lambda: names(node) == ["next"], 20)
    with urllib.request.urlopen(f"{node.url}next", timeout=10) as reply:
        assert len(reply.read()) == 1 << 20


def test_cp_of_a_file_too_large_says_so_and_leaves_nothing(full, tmp_path):
    mount, node = full
    big = tmp_path / "big"
    big.write_bytes(bytes(2 * DISK_BYTES))
    copied = subprocess.run(["cp", big, mount.path / "big"], capture_output=True, text=True,
                            timeout=60, check=False)
    assert copied.returncode == 1
    assert "No space left on device" in copied.stderr
    assert_nothing_is_left(mount, node)


def test_a_program_that_does_not_look_at_write_hears_of_it_at_close(full):
    mount, node = full
    file = os.open(mount.path / "short", os.O_CREAT | os.O_WRONLY)
    written = 0
    for _ in range(2 * DISK_BYTES // (1 << 20)):
        try:
            written += os.write(file, bytes(1 << 20))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    assert written <= DISK_BYTES
    with pytest.raises(OSError) as refused:
        os.close(file)
    assert refused.value.errno == errno.ENOSPC
    assert_nothing_is_left(mount, node)


def test_a_mapping_that_the_spool_has_no_room_for_is_no_stored_file(disk, servers, mounts):
    node = servers()
    mount = mounts(nodes=[node], args=["--no-bypass", "--spool", disk])
    # The kernel writes a mapping back in blocks; the last one fits in part.
    (disk / "other").write_bytes(bytes(MIB // 2))
    size = DISK_BYTES
    file = os.open(mount.path / "mapped", os.O_CREAT | os.O_RDWR)
    os.ftruncate(file, size)
    with mmap.mmap(file, size) as mapping:
        mapping.write(b"x" * size)
    with pytest.raises(OSError) as refused:
        os.close(file)
    assert refused.value.errno == errno.ENOSPC
    eventually(lambda: os.listdir(mount.path) == [], 20)
    assert names(node) == []
