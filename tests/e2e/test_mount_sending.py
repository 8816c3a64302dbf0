"""Large files for another node, which are sent while they are written."""
import errno
import os
import random
import signal
import subprocess
import time

import pytest
from harness import SLOW, eventually, needs_fuse, needs_root, skein

pytestmark = [needs_fuse, needs_root]

MIB = 1 << 20
BODY = random.Random(13).randbytes(24 * MIB)
PATIENCE_S = 30


def remote_mount(mounts, nodes, *args):
    return mounts(nodes=nodes, args=["--no-bypass", *args])


def stage_of(server):
    """The one stage of a node, or None."""
    stages = [path for path in (server.root / ".skein/stage").iterdir()
              if not path.name.startswith("unnamed")]
    return stages[0] if stages else None


def receives(nodes):
    """Waits until one of the nodes has a large part of a file that is being written; that node."""
    found = []

    def look():
        found[:] = [node for node in nodes
                    if (stage := stage_of(node)) and stage.stat().st_size >= 8 * MIB]
        return found

    eventually(look, PATIENCE_S, "a piece on a node")
    return found[0]


def recoverable():
    return skein("recover", "--json").stdout.splitlines()


def test_what_is_written_in_order_is_on_the_node_before_the_close(servers, mounts):
    node = servers()
    mount = remote_mount(mounts, [node])
    with open(mount.path / "f", "wb", buffering=0) as file:
        file.write(BODY)
        receives([node])
        assert node.get("/f").status == 404 and os.listdir(node.root) == [".skein"]
    eventually(lambda: (node.root / "f").exists(), PATIENCE_S)
    got = node.get("/f")
    assert got.body == BODY
    assert "repr-digest" in {name.lower() for name in got.headers}
    assert stage_of(node) is None and recoverable() == []


def patch_earlier(file):
    os.pwrite(file.fileno(), b"header", 0)
    os.pwrite(file.fileno(), b"x" * MIB, 7 * MIB + 5)


def cut_and_grow(file):
    os.ftruncate(file.fileno(), 5 * MIB)
    os.ftruncate(file.fileno(), 30 * MIB)
    os.pwrite(file.fileno(), b"end", 29 * MIB)


def begin_anew(file):
    os.ftruncate(file.fileno(), 0)
    os.pwrite(file.fileno(), b"short", 0)


def sync_and_go_on(file):
    os.fsync(file.fileno())
    patch_earlier(file)
    os.fsync(file.fileno())
    os.pwrite(file.fileno(), BODY, len(BODY))


def close_a_duplicate(file):
    os.close(os.dup(file.fileno()))
    os.pwrite(file.fileno(), BODY[:MIB], len(BODY))


def punch(file):
    subprocess.run(["fallocate", "--punch-hole", "-o", "4096", "-l", str(9 * MIB), file.name],
                   check=True)


@pytest.mark.parametrize("change", [patch_earlier, cut_and_grow, begin_anew, sync_and_go_on,
                                    close_a_duplicate, punch])
def test_bytes_changed_after_they_were_sent(servers, mounts, tmp_path, change):
    node = servers()
    mount = remote_mount(mounts, [node])
    for path in (mount.path / "f", tmp_path / "same"):
        with open(path, "wb", buffering=0) as file:
            file.write(BODY)
            if path.name == "f":
                receives([node])
            change(file)
    eventually(lambda: (node.root / "f").exists(), PATIENCE_S)
    assert (node.root / "f").read_bytes() == (tmp_path / "same").read_bytes()
    assert (mount.path / "f").read_bytes() == (tmp_path / "same").read_bytes()


def test_holes_of_a_huge_file_are_not_sent(servers, mounts):
    node = servers()
    mount = remote_mount(mounts, [node])
    size = 1 << 36
    with open(mount.path / "f", "wb", buffering=0) as file:
        os.ftruncate(file.fileno(), size)
        for at in (0, size // 2, size - 4096):
            os.pwrite(file.fileno(), b"data", at)
    eventually(lambda: (node.root / "f").exists(), PATIENCE_S)
    stored = os.stat(node.root / "f")
    assert stored.st_size == size and stored.st_blocks * 512 < 64 * MIB
    with open(mount.path / "f", "rb", buffering=0) as file:
        for at in (0, size // 2, size - 4096):
            assert os.pread(file.fileno(), 5, at) == b"data\0"


def test_a_node_killed_meanwhile_is_replaced_by_another(servers, mounts):
    nodes = [servers(), servers()]
    mount = remote_mount(mounts, nodes)
    with open(mount.path / "f", "wb", buffering=0) as file:
        file.write(BODY)
        receives(nodes).kill()
        file.write(BODY)
    left, = [node for node in nodes if node.process.poll() is None]
    eventually(lambda: (left.root / "f").exists(), PATIENCE_S)
    assert (left.root / "f").read_bytes() == BODY + BODY


@pytest.mark.allow_errors
def test_without_another_node_the_close_fails_and_the_bytes_are_kept(servers, mounts):
    node = servers()
    mount = remote_mount(mounts, [node], "-o", "deadline_ms=4000")
    file = open(mount.path / "f", "wb", buffering=0)
    file.write(BODY)
    receives([node]).kill()
    with pytest.raises(OSError) as failure:
        file.close()
    assert failure.value.errno in (errno.EHOSTUNREACH, errno.EIO, errno.ETIMEDOUT), failure
    eventually(lambda: len(recoverable()) == 1 and '"/f"' in recoverable()[0], PATIENCE_S)
    again = servers(node.root)
    eventually(lambda: skein("recover", "put", "--all", nodes=[again]).returncode == 0, PATIENCE_S)
    assert (node.root / "f").read_bytes() == BODY


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.allow_errors
def test_a_stopped_node_is_waited_for_no_longer_than_the_deadline(servers, mounts, others):
    nodes = [servers() for _ in range(1 + others)]
    mount = remote_mount(mounts, nodes, "-o", "deadline_ms=4000")
    file = open(mount.path / "f", "wb", buffering=0)
    file.write(BODY)
    stopped = receives(nodes)
    stopped.suspend()
    try:
        file.write(BODY)
        began = time.monotonic()
        if others:
            file.close()
        else:
            with pytest.raises(OSError):
                file.close()
        # Two waits of half the deadline, and the transfer to another node.
        assert time.monotonic() - began < 40 * SLOW
    finally:
        stopped.resume()
    if others:
        other, = [node for node in nodes if node is not stopped]
        eventually(lambda: (other.root / "f").exists(), PATIENCE_S)
        assert (other.root / "f").read_bytes() == BODY + BODY
        assert not (stopped.root / "f").exists()


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "small"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=84m", "none", disk], check=True)
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.allow_errors
def test_a_disk_that_fills_up_meanwhile_is_told_at_the_close(small_disk, servers, mounts):
    node = servers(small_disk / "root")
    mount = remote_mount(mounts, [node])
    file = open(mount.path / "f", "wb", buffering=0)
    file.write(BODY)
    receives([node])
    with pytest.raises(OSError) as failure:
        file.close()
    assert failure.value.errno == errno.ENOSPC
    eventually(lambda: len(recoverable()) == 1, PATIENCE_S)


def test_a_disk_that_fills_up_meanwhile_is_left_for_another(small_disk, servers, mounts):
    full, roomy = servers(small_disk / "root"), servers()
    mount = remote_mount(mounts, [full, roomy])
    # Placement takes each in turn.
    for name in ("a", "b"):
        with open(mount.path / name, "wb", buffering=0) as file:
            file.write(BODY)
    for name in ("a", "b"):
        eventually(lambda: (roomy.root / name).exists(), PATIENCE_S)
        assert (roomy.root / name).read_bytes() == BODY


@pytest.mark.allow_errors
def test_a_mount_that_is_killed_leaves_nothing_visible(servers, mounts):
    node = servers()
    mount = remote_mount(mounts, [node])
    file = open(mount.path / "f", "wb", buffering=0)
    file.write(BODY)
    receives([node])
    for pid in mount.pids():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not mount.pids(), PATIENCE_S)
    with pytest.raises(OSError):
        file.close()
    subprocess.run(["umount", "-l", mount.path], check=True, timeout=10)
    assert node.get("/f").status == 404 and os.listdir(node.root) == [".skein"]
    # The stage goes by its age (dataserver/stage_shelf.h).
    assert stage_of(node) is not None
    assert recoverable() == []


def test_a_writer_that_is_killed_leaves_no_stage(servers, mounts):
    node = servers()
    mount = remote_mount(mounts, [node])
    writer = subprocess.Popen(["dd", "if=/dev/zero", f"of={mount.path}/f", "bs=1M", "count=100000"],
                              stderr=subprocess.DEVNULL)
    try:
        receives([node])
    finally:
        writer.kill()
        writer.wait(PATIENCE_S)
    eventually(lambda: stage_of(node) is None, PATIENCE_S)
    assert not (node.root / "f").exists() and recoverable() == []
