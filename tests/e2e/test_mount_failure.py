"""What breaks under a running mount, and that nobody waits for it longer than the deadline."""
import contextlib
import errno
import itertools
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest
from harness import SLOW, eventually, needs_avahi, needs_fuse, needs_root, new_log

pytestmark = [needs_fuse, needs_root]

DEADLINE_S = 1.5
# The deadline counts waiting for nodes, not the work of a busy machine.
GRACE_S = 0.7


@contextlib.contextmanager
def within_deadline(what):
    """Of each system call: a write is an open() and a close(), a read an open() and a read(), and
    both may have to wait."""
    calls = 2 if what in ("write", "read") else 1
    started = time.monotonic()
    yield
    spent = time.monotonic() - started
    assert spent < calls * (DEADLINE_S + GRACE_S) * SLOW, f"{what} took {spent:.2f} s"


def short_mount(mounts, nodes, *args, **options):
    return mounts(nodes=nodes, args=["-o", f"deadline_ms={int(DEADLINE_S * 1000)}", *args],
                  **options)


def outcome(call, *args):
    """What a call gives, or its errno."""
    try:
        return call(*args)
    except OSError as error:
        return error.errno


def write(path):
    path.write_bytes(b"x" * 10_000)


def every_operation(mount, name):
    """Each operation once; those that fail do so in time, with an errno."""
    folder = mount.path
    calls = {
        "ls": lambda: os.listdir(folder),
        "stat of a new name": lambda: (folder / name).exists(),
        "mkdir": lambda: os.mkdir(folder / f"{name}.d"),
        "write": lambda: write(folder / name),
        "read": lambda: (folder / "two").read_bytes(),
        "df": lambda: os.statvfs(folder),
        "getxattr": lambda: os.getxattr(folder, "user.skein.incomplete"),
        "locations": lambda: os.getxattr(folder / "two", "user.skein.locations"),
        "unlink": lambda: os.unlink(folder / "two"),
        "rename": lambda: os.rename(folder / "two", folder / "new"),
    }
    results = {}
    for what, call in calls.items():
        with within_deadline(what):
            results[what] = outcome(call)
    return results


@pytest.mark.parametrize("way", [[], ["--no-bypass"]], ids=["lane", "http"])
def test_several_stopped_nodes_hang_no_operation(servers, mounts, way):
    nodes = [servers() for _ in range(5)]
    (nodes[0].root / "one").write_bytes(b"1")
    (nodes[1].root / "two").write_bytes(b"2")
    mount = short_mount(mounts, nodes, *way)
    assert sorted(os.listdir(mount.path)) == ["one", "two"]
    for node in nodes[1:]:
        node.suspend()
    try:
        for turn in range(3):
            results = every_operation(mount, f"new{turn}")
            assert "one" in results["ls"], results
            assert results["mkdir"] in (None, errno.ETIMEDOUT, errno.EHOSTUNREACH), results
            with within_deadline("read of a living node's file"):
                assert (mount.path / "one").read_bytes() == b"1"
        eventually(lambda: os.getxattr(mount.path, "user.skein.incomplete").count(b",") == 3, 10)
        # Those that stay silent are set aside by now: what is new goes to the one that lives.
        write(mount.path / "late")
        os.mkdir(mount.path / "late.d")
    finally:
        for node in nodes[1:]:
            node.resume()
    # Until its node has answered again, the file is honestly out of reach.
    eventually(lambda: outcome((mount.path / "two").read_bytes) == b"2", 10,
               "back without a remount")


@pytest.mark.allow_errors
def test_with_all_nodes_stopped_umount_works(servers, mounts):
    nodes = [servers(), servers()]
    (nodes[0].root / "two").write_bytes(b"2")
    mount = short_mount(mounts, nodes, foreground=True)
    assert os.listdir(mount.path) == ["two"]
    for node in nodes:
        node.suspend()
    try:
        every_operation(mount, "new")
        with within_deadline("umount"):
            subprocess.run(["umount", mount.path], check=True, timeout=20)
        assert mount.process.wait(10 * SLOW) == 0
    finally:
        for node in nodes:
            node.resume()


def test_a_node_at_a_new_address_is_the_same_node(servers, mounts):
    first, moving = servers(cluster="room", advertise="local"), servers(cluster="room",
                                                                       advertise="local")
    (moving.root / "f").write_bytes(b"x" * 100_000)
    mount = short_mount(mounts, [], cluster="room")
    assert os.listdir(mount.path) == ["f"]
    inode = os.stat(mount.path / "f").st_ino
    moving.kill()
    again = servers(moving.root, cluster="room", advertise="local")
    assert again.port != moving.port and again.id == moving.id
    eventually(lambda: outcome((mount.path / "f").read_bytes) == b"x" * 100_000, 10)
    assert os.stat(mount.path / "f").st_ino == inode
    assert first.id != again.id


def garbage_server(replies):
    """Answers every connection with one of the texts, in turn, and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        turn = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(1)
                connection.recv(4096)
                connection.sendall(replies[turn % len(replies)])
            turn += 1

    threading.Thread(target=serve, daemon=True).start()
    return listener


@pytest.mark.allow_errors
def test_a_server_that_answers_garbage_spoils_nothing(servers, mounts):
    node = servers()
    (node.root / "one").write_bytes(b"1")
    status = (b'{"Port": 1, "NodeId": "11111111-2222-4333-8444-555555555555", "HostId": "other", '
              b'"Cluster": "test", "InstanceName": "garbage"}')
    good = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(status), status)
    listener = garbage_server([
        good, b"\x00\xff" * 500, good, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":[0,1",
        good, b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        good, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"",
        good, b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"../e\":[0,1]}\r\n"])
    try:
        mount = short_mount(mounts, [node, f"http://127.0.0.1:{listener.getsockname()[1]}"])
        for turn in range(8):
            with within_deadline("ls"):
                assert [n for n in os.listdir(mount.path) if n == "one" or ".." in n] == ["one"]
            with within_deadline("read"):
                assert (mount.path / "one").read_bytes() == b"1"
            with within_deadline("write"):
                outcome(write, mount.path / f"new{turn}")
    finally:
        listener.close()
    names = (mount.path / f"stored{i}" for i in itertools.count())
    eventually(lambda: outcome(write, next(names)) is None, 10, "the liar is gone")


@pytest.mark.parametrize("how", ["deleted", "damaged", "emptied"])
def test_the_tree_cache_may_break_under_a_running_mount(servers, mounts, run_dir, how):
    node = servers()
    for i in range(200):
        (node.root / f"f{i}").write_bytes(b"x")
    mount = short_mount(mounts, [node])
    assert len(os.listdir(mount.path)) == 200
    caches = [path for path in (run_dir.parent / "cache").rglob("tree.mdb")]
    assert caches, list((run_dir.parent / "cache").rglob("*"))
    for path in caches:
        if how == "deleted":
            path.unlink()
        elif how == "emptied":
            os.truncate(path, 0)
        else:
            with open(path, "r+b") as file:
                file.write(os.urandom(min(path.stat().st_size, 1 << 20)))
    for turn in range(3):
        with within_deadline("write"):
            write(mount.path / f"new{turn}")
        with within_deadline("ls"):
            eventually(lambda: outcome(lambda: len(os.listdir(mount.path))) == 201 + turn, 1)
        with within_deadline("read"):
            assert (mount.path / "f7").read_bytes() == b"x"
            assert len((mount.path / f"new{turn}").read_bytes()) == 10_000


@pytest.mark.allow_errors
def test_a_full_cache_disk_stops_no_reader(servers, mounts, tmp_path):
    node = servers()
    for i in range(3000):
        (node.root / f"file-{i}").write_bytes(b"x")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], check=True)
    try:
        mount = short_mount(mounts, [node], "--no-bypass",
                            env={"SKEIN_MOUNT_CACHE_DIR": str(disk / "cache")})
        with within_deadline("ls"):
            assert len(os.listdir(mount.path)) == 3000
        assert (mount.path / "file-7").read_bytes() == b"x"
        with pytest.raises(OSError) as refused, open(mount.path / "big", "wb") as file:
            file.write(b"x" * (1 << 20))
        assert refused.value.errno == errno.ENOSPC
        assert (mount.path / "file-8").read_bytes() == b"x"
        mount.stop()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    assert not (node.root / "big").exists()


AVAHI_SETTINGS = pathlib.Path("/run/avahi.conf")  # made by tests/net/netcluster.sh solo


def avahi_daemons():
    def is_one(pid):
        with contextlib.suppress(OSError):
            return pathlib.Path(f"/proc/{pid}/comm").read_text() == "avahi-daemon\n"
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and is_one(pid)]


@needs_avahi
@pytest.mark.skipif(not AVAHI_SETTINGS.exists(), reason="needs an avahi-daemon of its own")
def test_a_restart_of_avahi_loses_no_node(servers, mounts):
    def start_node():
        return servers(cluster="avahi-room", advertise="mdns", bind="127.0.0.1")

    (start_node().root / "f").write_bytes(b"x")
    mount = short_mount(mounts, [], cluster="avahi-room", env={"SKEIN_REGISTRY": "false"})
    assert os.listdir(mount.path) == ["f"]
    for pid in avahi_daemons():
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not avahi_daemons(), 5)
    try:
        with within_deadline("read"):
            assert (mount.path / "f").read_bytes() == b"x"
    finally:
        descriptor, _ = new_log("avahi")
        subprocess.Popen(["avahi-daemon", "--no-chroot", "--no-drop-root", "--no-rlimits", "-f",
                          AVAHI_SETTINGS], stdin=subprocess.DEVNULL, stdout=descriptor,
                         stderr=descriptor, env={name: value for name, value in os.environ.items()
                              if not name.startswith("SKEIN_")})
    (start_node().root / "later").write_bytes(b"y")
    eventually(lambda: sorted(os.listdir(mount.path)) == ["f", "later"], 10, "found again")
