"""Reading through the mount: every byte, by every way it can take, also when nodes fail midway."""
import base64
import errno
import hashlib
import os
import random
import signal
import subprocess
import threading
import time

import pytest
from harness import eventually, needs_fuse, needs_root

pytestmark = [needs_fuse, needs_root]

WAYS = {"passthrough": [], "lane": ["--no-passthrough"], "http": ["--no-bypass"]}
MIB = 1 << 20


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


@pytest.fixture
def two(servers):
    return [servers(), servers()]


def fill(path, size_mib, seed=1):
    """A file of random bytes; its SHA-256."""
    checksum = hashlib.sha256()
    source = random.Random(seed)
    with open(path, "wb") as file:
        for _ in range(size_mib):
            piece = source.randbytes(MIB)
            checksum.update(piece)
            file.write(piece)
    return checksum.hexdigest()


def sha256(path, buffer_bytes=MIB):
    checksum = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(buffer_bytes):
            checksum.update(piece)
    return checksum.hexdigest()


@pytest.mark.time_limit(180)
def test_a_large_file_in_sequence_and_at_random(two, mounts, way):
    expected = fill(two[0].root / "big", 300)
    mount = mounts(nodes=two, args=way)
    assert sha256(mount.path / "big") == expected
    source = random.Random(7)
    with open(mount.path / "big", "rb", buffering=0) as shown, \
            open(two[0].root / "big", "rb", buffering=0) as plain:
        for _ in range(300):
            offset, size = source.randrange(300 * MIB), source.choice([1, 4096, 70_000, 3 * MIB])
            assert os.pread(shown.fileno(), size, offset) == os.pread(plain.fileno(), size, offset)
        assert os.pread(shown.fileno(), 10, 300 * MIB) == b""
        assert os.pread(shown.fileno(), 10, 300 * MIB - 3) == os.pread(plain.fileno(), 10,
                                                                       300 * MIB - 3)


def test_several_readers_of_one_remote_file(two, mounts):
    expected = fill(two[1].root / "f", 40)
    mount = mounts(nodes=two, args=["--no-bypass"])
    found = []

    def read(size):
        found.append(sha256(mount.path / "f", size))

    readers = [threading.Thread(target=read, args=[size])
               for size in (4096, 100_001, MIB, 5 * MIB)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(60)
    assert found == [expected] * 4


def test_a_reader_that_pauses_and_goes_on(two, mounts):
    fill(two[0].root / "f", 64)
    mount = mounts(nodes=two, args=["--no-bypass"])
    plain = (two[0].root / "f").read_bytes()
    with open(mount.path / "f", "rb", buffering=0) as file:
        assert file.read(8 * MIB) == plain[:8 * MIB]
        two[0].suspend()
        time.sleep(0.3)  # no condition to wait for: nothing must happen meanwhile
        two[0].resume()
        rest = b"".join(iter(lambda: file.read(MIB), b""))
        assert rest == plain[8 * MIB:]


def test_files_put_into_the_folder_by_hand_are_shown(two, mounts, way):
    mount = mounts(nodes=two, args=way)
    assert os.listdir(mount.path) == []
    (two[0].root / "d").mkdir()
    (two[0].root / "d" / "f").write_bytes(b"by hand")
    eventually(lambda: (mount.path / "d" / "f").exists(), 3)
    assert (mount.path / "d" / "f").read_bytes() == b"by hand"


def test_the_copy_on_another_node_is_used_when_a_node_is_killed_midway(two, mounts):
    expected = fill(two[0].root / "f", 200)
    assert fill(two[1].root / "f", 200) == expected
    mount = mounts(nodes=two, args=["--no-bypass"])
    checksum = hashlib.sha256()
    with open(mount.path / "f", "rb", buffering=0) as file:
        for i in range(200):
            if i == 20:
                two[0].kill()
            checksum.update(file.read(MIB))
    assert checksum.hexdigest() == expected


def test_a_killed_node_ends_a_read_with_an_error_within_the_deadline(two, mounts):
    fill(two[0].root / "f", 200)
    (two[1].root / "g").write_bytes(b"alive")
    mount = mounts(nodes=two, args=["--no-bypass"])
    with open(mount.path / "f", "rb", buffering=0) as file:
        file.read(MIB)
        two[0].kill()
        started = time.monotonic()
        with pytest.raises(OSError):
            while file.read(MIB):
                pass
        assert time.monotonic() - started < 6
    started = time.monotonic()
    assert "g" in os.listdir(mount.path)
    assert (mount.path / "g").read_bytes() == b"alive"
    assert time.monotonic() - started < 5


def test_a_stopped_node_hangs_nothing(two, mounts, way):
    for i, server in enumerate(two):
        (server.root / "d").mkdir()
        for j in range(5):
            (server.root / "d" / f"f{i}.{j}").write_bytes(b"x" * 1000)
    mount = mounts(nodes=two, args=way)
    two[0].suspend()
    started = time.monotonic()
    names = os.listdir(mount.path / "d")
    assert time.monotonic() - started < 5
    assert {f"f1.{j}" for j in range(5)} <= set(names)
    for j in range(5):
        assert (mount.path / "d" / f"f1.{j}").read_bytes() == b"x" * 1000
    started = time.monotonic()
    (mount.path / "new").write_bytes(b"n")
    assert (mount.path / "new").read_bytes() == b"n"
    assert time.monotonic() - started < 12, "create, flush"
    two[0].resume()
    eventually(lambda: len(os.listdir(mount.path / "d")) == 10, 6, "the node is back")
    for j in range(5):
        assert (mount.path / "d" / f"f0.{j}").read_bytes() == b"x" * 1000


def test_attributes_tell_checksum_and_series(two, mounts, way):
    mount = mounts(nodes=two, args=way)
    run = mount.path / "run"
    run.mkdir()
    for name in ("metadata.json", "frame00000.pzf", "frame00002.pzf"):
        (run / name).write_bytes(name.encode())
    eventually(lambda: all(not os.access(run / name, os.W_OK) for name in os.listdir(run)), 5)
    assert os.getxattr(run, "user.skein.series") == b"frames=2 expected=3 complete=no"
    assert "user.skein.series" in os.listxattr(run)
    assert two[0].put("/run/frame00001.pzf", b"1").status == 200
    assert two[1].put("/run/events.json", b"[]").status == 200
    eventually(lambda: os.getxattr(run, "user.skein.series")
               == b"frames=3 expected=3 complete=yes", 5)
    told = two[0].request("HEAD", "/run/frame00001.pzf").headers["Repr-Digest"]
    digest = base64.b64decode(told.removeprefix("xxh3-64=:").removesuffix(":")).hex()
    put = run / "frame00001.pzf"
    assert os.getxattr(put, "user.skein.checksum").decode() == f"xxh3-64:{digest}"
    assert "user.skein.checksum" in os.listxattr(put)
    with pytest.raises(OSError) as refused:
        os.getxattr(mount.path, "user.skein.series")
    assert refused.value.errno == errno.ENODATA


def test_a_missing_node_is_told_by_an_attribute(two, mounts):
    for server in two:
        (server.root / "d").mkdir()
        (server.root / "d" / server.id).touch()
    mount = mounts(nodes=two)
    folder = mount.path / "d"
    assert sorted(os.listdir(folder)) == sorted(server.id for server in two)
    file = folder / two[0].id
    assert os.getxattr(file, "user.skein.locations").decode() == f"{two[0].url}d/{two[0].id}"
    assert set(os.listxattr(file)) == {"user.skein.locations", "user.skein.node"}
    assert os.listxattr(folder) == []
    two[0].suspend()
    missing = eventually(lambda: os.listxattr(folder) and
                         os.getxattr(folder, "user.skein.incomplete").decode(), 10)
    assert str(two[0].port) in missing
    two[0].resume()


def test_a_node_started_later_appears_and_one_that_stops_leaves_within_three_seconds(
        servers, mounts):
    first = servers(advertise="local")
    (first.root / "first").touch()
    mount = mounts(cluster="test")
    assert os.listdir(mount.path) == ["first"]
    later = servers(advertise="local", cluster="test")
    (later.root / "later").write_bytes(b"x")
    eventually(lambda: sorted(os.listdir(mount.path)) == ["first", "later"], 3)
    assert (mount.path / "later").read_bytes() == b"x"
    assert later.stop() == 0
    eventually(lambda: os.listdir(mount.path) == ["first"], 3)
    eventually(lambda: not (mount.path / "later").exists(), 1)


def test_a_shell_in_a_directory_outlives_a_restart_of_its_node(servers, mounts):
    server = servers(advertise="local")
    (server.root / "d" / "e").mkdir(parents=True)
    (server.root / "d" / "e" / "f").write_bytes(b"x")
    mount = mounts(cluster="test")
    descriptor = os.open(mount.path / "d" / "e", os.O_RDONLY)
    try:
        assert os.listdir(descriptor) == ["f"]
        server.stop()
        again = servers(root=server.root, advertise="local")
        eventually(lambda: os.path.exists(f"/proc/self/fd/{descriptor}/f"), 5)
        assert os.listdir(f"/proc/self/fd/{descriptor}/.") == ["f"]
        assert again.id == server.id
    finally:
        os.close(descriptor)


@pytest.mark.time_limit(120)
def test_a_directory_of_twenty_thousand_files(two, mounts):
    for server, first in zip(two, (0, 10_000)):
        (server.root / "d").mkdir()
        for i in range(first, first + 10_000):
            (server.root / "d" / f"frame{i:05d}.pzf").touch()
    mount = mounts(nodes=two)
    names = [f"frame{i:05d}.pzf" for i in range(20_000)]
    assert sorted(os.listdir(mount.path / "d")) == names
    listed = subprocess.run(["ls", "-l", mount.path / "d"], capture_output=True, text=True,
                            timeout=60).stdout.splitlines()
    assert [line.split()[-1] for line in listed[1:]] == names
    found = subprocess.run(["find", mount.path, "-type", "f", "-name", "*7.pzf"],
                           capture_output=True, text=True, timeout=60).stdout.splitlines()
    assert len(found) == 2000


def test_a_directory_read_while_it_fills_loses_and_doubles_nothing(two, mounts):
    mount = mounts(nodes=two)
    steady = {f"a{i:05d}" for i in range(3000)}
    for name in steady:
        (two[0].root / name).touch()
    eventually(lambda: len(os.listdir(mount.path)) == 3000, 5)
    stop = threading.Event()

    def fill_up():
        for i in range(2000):
            if stop.is_set():
                return
            (two[1].root / f"a{i:05d}x").touch()

    filler = threading.Thread(target=fill_up)
    filler.start()
    try:
        for _ in range(20):
            names = os.listdir(mount.path)
            assert len(names) == len(set(names))
            assert steady <= set(names)
    finally:
        stop.set()
        filler.join(30)


def test_many_listings_and_reads_at_once(two, mounts, way):
    # Freed memory is overwritten, so that the use of an answered request shows.
    mount = mounts(nodes=two, args=way, env={"MALLOC_PERTURB_": "165"})
    for i in range(50):
        (mount.path / f"f{i}").write_bytes(b"%d" % i)
    looped = subprocess.run(
        ["bash", "-c", "for w in 1 2 3 4; do (for i in $(seq 40); do ls -l > /dev/null && "
         "cat f* > /dev/null && echo $w.$i > n$w.$i || exit 1; done) & loops+=($!); done; "
         # Not by `wait -n`, which misses a loop that ends together with another one.
         "failed=0; for loop in ${loops[@]}; do wait $loop || failed=1; done; exit $failed"],
        cwd=mount.path, capture_output=True, text=True, timeout=120)
    assert looped.returncode == 0, looped.stderr
    assert len(os.listdir(mount.path)) == 50 + 4 * 40


def test_a_crash_of_the_mount_leaves_what_fusermount_clears(two, mounts):
    mount = mounts(nodes=two)
    (mount.path / "f").write_bytes(b"x")
    eventually(lambda: any((server.root / "f").exists() for server in two), 5)
    for pid in mount.pids():
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(OSError):
        eventually(lambda: os.listdir(mount.path) is None, 5)
    subprocess.run(["fusermount3", "-u", "-z", mount.path], check=True, timeout=10)
    again = mounts(mount.path, nodes=two)
    assert (again.path / "f").read_bytes() == b"x"
