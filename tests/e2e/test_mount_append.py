"""Growing files in the mount: O_APPEND below _aggregate."""
import concurrent.futures
import errno
import json
import os
import subprocess
import time

import pytest

from harness import SLOW, eventually, skein


@pytest.fixture
def place(servers, mounts):
    """(node, mount) of one cluster; the folder below _aggregate is there."""
    node = servers()
    mount = mounts(nodes=[node])
    (mount.path / "_aggregate").mkdir()
    return node, mount


def test_every_write_appends_and_is_seen_at_once(place):
    node, mount = place
    path = mount.path / "_aggregate" / "a.log"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for n in range(20):
        assert os.write(fd, b"line %02d\n" % n) == 8
        assert node.get("/_aggregate/a.log").body.endswith(b"line %02d\n" % n)
        assert path.stat().st_size == 8 * (n + 1)
    os.close(fd)
    subprocess.run(["sh", "-c", f"echo shell >> {path}"], check=True)
    assert path.read_bytes() == b"".join(b"line %02d\n" % n for n in range(20)) + b"shell\n"


def test_lines_of_two_mounts_and_http_are_whole(place, mounts):
    node, mount = place
    other = mounts(nodes=[node])
    path = "_aggregate/shared.log"
    (mount.path / path).open("ab").close()
    eventually((other.path / path).exists, 5, "the other mount sees it")

    def write(writer):
        if writer == 2:
            for n in range(200):
                assert node.put(f"/{path}", b"writer 2 line %d\n" % n).status == 200
            return
        fd = os.open((mount, other)[writer].path / path, os.O_WRONLY | os.O_APPEND)
        for n in range(200):
            os.write(fd, b"writer %d line %d\n" % (writer, n))
        os.close(fd)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    lines = (mount.path / path).read_bytes().splitlines()
    assert sorted(lines) == sorted(b"writer %d line %d" % (w, n)
                                   for w in range(3) for n in range(200))
    eventually(lambda: (other.path / path).stat().st_size == (mount.path / path).stat().st_size, 3,
               "both see the size")


FOLLOWED = "first\n" + "".join(f"line {n}\n" for n in range(5))


def follow(node, path, target):
    """`path` in the mount says "first"; what is appended to `target` is seen: the text that is."""
    tail = subprocess.Popen(["tail", "-n", "+1", "-f", path], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    delays = []
    try:
        os.set_blocking(tail.stdout.fileno(), False)
        seen = []

        def shows(line):
            seen.append((tail.stdout.read() or b"").decode())
            return line in "".join(seen)

        eventually(lambda: shows("first\n"), 20)
        for n in range(5):
            node.put(target, f"line {n}\n".encode())
            began = time.monotonic()
            eventually(lambda: shows(f"line {n}\n"), 20, "tail -f shows the line")
            delays.append(time.monotonic() - began)
    finally:
        tail.kill()
        complaints = tail.communicate()[1]
    assert not complaints
    # The promise is 3 s; a busy machine may be late at times.
    assert sorted(delays)[1] < 3, delays
    return "".join(seen)


def test_tail_f_shows_new_lines_once_and_soon(place, mounts):
    node, mount = place
    node.put("/_aggregate/t.log", b"first\n")
    reader = mounts(nodes=[node])
    seen = follow(node, reader.path / "_aggregate" / "t.log", "/_aggregate/t.log")
    assert seen == FOLLOWED


def refused(code, call):
    with pytest.raises(OSError) as failure:
        call()
    assert failure.value.errno == code, failure.value


def test_what_is_no_append_is_refused(place):
    node, mount = place
    folder = mount.path / "_aggregate"
    node.put("/_aggregate/a.log", b"kept\n")
    refused(errno.EPERM, lambda: open(folder / "a.log", "wb"))
    refused(errno.EPERM, lambda: os.open(folder / "a.log", os.O_RDWR))
    refused(errno.EPERM, lambda: os.open(folder / "new.log", os.O_WRONLY | os.O_CREAT))
    refused(errno.EPERM, lambda: os.truncate(folder / "a.log", 0))
    refused(errno.EOPNOTSUPP,
            lambda: os.open(folder / "a.bin", os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    node.put("/__seal/_aggregate/a.log")
    fd = os.open(folder / "a.log", os.O_WRONLY | os.O_APPEND)
    refused(errno.EPERM, lambda: os.write(fd, b"more\n"))
    os.close(fd)
    assert (folder / "a.log").read_bytes() == b"kept\n"


def append_row(node, n):
    reply = node.put("/__aggregate_h5r/plain/t.h5r/rows", b'[{"x": %d}]' % n,
                     {"Content-Type": "application/json"})
    assert reply.status == 200, reply.body


def test_files_that_grow_at_a_plain_path_show_their_size_as_it_is(servers, mounts):
    """PYME's __aggregate_ paths: the listing says -1, the mount asks the owner."""
    node = servers()
    node.put("/__aggregate_txt/plain/t.log", b"first\n")
    append_row(node, 0)
    node.put("/plain/whole.txt", b"whole")
    listed = json.loads(node.get("/plain/").body)
    assert listed["t.log"] == listed["t.h5r"] == [0, -1] and listed["whole.txt"] == [0, 5]
    folder = mounts(nodes=[node]).path / "plain"
    log, table = folder / "t.log", folder / "t.h5r"
    assert sorted(entry.name for entry in os.scandir(folder)) == ["t.h5r", "t.log", "whole.txt"]
    for n in range(1, 4):
        node.put("/__aggregate_txt/plain/t.log", b"line %d\n" % n)
        append_row(node, n)
        # At once: nothing that a listing said before is believed.
        assert log.stat().st_size == 6 + 7 * n and len(log.read_bytes()) == 6 + 7 * n
        whole = node.get("/plain/t.h5r").body
        assert table.stat().st_size == len(whole) and table.read_bytes() == whole
    refused(errno.EPERM, lambda: os.open(log, os.O_WRONLY | os.O_APPEND))
    kept = node.get("/plain/t.log").body
    for name in ("t.log", "t.h5r"):
        assert node.put(f"/__seal/plain/{name}").status == 200
    sealed = json.loads(node.get("/plain/").body)
    assert sealed["t.log"] == [0, len(kept)] and sealed["t.h5r"][1] > 0
    assert log.read_bytes() == kept
    assert log.stat().st_size == len(kept)
    assert table.stat().st_size == sealed["t.h5r"][1] == len(table.read_bytes())


def test_tail_f_follows_a_file_at_a_plain_path(servers, mounts):
    node = servers()
    node.put("/__aggregate_txt/plain/t.log", b"first\n")
    path = mounts(nodes=[node]).path / "plain" / "t.log"
    assert follow(node, path, "/__aggregate_txt/plain/t.log") == FOLLOWED


@pytest.mark.allow_errors
def test_an_owner_that_dies_is_an_error_of_the_write(place):
    node, mount = place
    fd = os.open(mount.path / "_aggregate" / "a.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, b"one\n")
    node.kill()
    with pytest.raises(OSError):
        os.write(fd, b"two\n")
    os.close(fd)
    assert (node.root / "_aggregate" / "a.log").read_bytes() == b"one\n"


def outcome(call, *args):
    """What a call gives, or its errno; none may hang."""
    began = time.monotonic()
    try:
        return call(*args)
    except OSError as error:
        return error.errno
    finally:
        assert time.monotonic() - began < 25 * SLOW, call


OUT_OF_REACH = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENOTCONN, errno.EIO)


@pytest.mark.allow_errors
def test_a_silent_owner_is_an_error_and_what_came_meanwhile_is_whole(servers, mounts):
    owner, other = servers(), servers()
    owner.put("/_aggregate/a.log", b"one\n")
    other.put("/whole.txt", b"whole")
    mount = mounts(nodes=[owner, other], args=["-o", "deadline_ms=1500"])
    path, new = (mount.path / "_aggregate" / name for name in ("a.log", "new.log"))
    with open(path, "ab", buffering=0) as writer, open(path, "rb", buffering=0) as reader:
        assert reader.read(100) == b"one\n"
        owner.suspend()
        try:
            for _ in range(2):
                assert outcome(writer.write, b"two\n") in OUT_OF_REACH
                assert outcome(reader.read, 100) in OUT_OF_REACH
                # As it was last known, or not at all.
                assert outcome(lambda: os.stat(path).st_size) in (4, *OUT_OF_REACH)
                assert outcome((mount.path / "whole.txt").read_bytes) == b"whole"
                # No other node begins a file of a name that the silent one may have.
                assert outcome(lambda: open(new, "ab")) in OUT_OF_REACH
                told = skein("append", "/_aggregate/a.log", nodes=[owner, other], input="x\n")
                assert told.returncode == 1 and "does not answer" in told.stderr, told
                assert not (other.root / "_aggregate").exists()
        finally:
            owner.resume()
        eventually(lambda: outcome(writer.write, b"three\n") == 6, 30, "appends go on")
        content = owner.get("/_aggregate/a.log").body
        assert reader.read(10_000) == content[4:]
    # A write that failed in silence may have been carried out: whole, and once.
    lines = content.splitlines()
    assert lines[0] == b"one" and lines[-1] == b"three", lines
    assert set(lines) <= {b"one", b"two", b"three"} and lines.count(b"two") <= 2, lines
