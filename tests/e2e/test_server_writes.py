"""PUTs to a real data server: pipelined, racing, cut short, refused for lack of space."""
import concurrent.futures
import json
import os
import select
import shutil
import socket
import statistics
import struct
import subprocess
import threading
import time
import uuid

import pytest
from harness import SLOW, eventually, needs_root


def connect(server):
    return socket.create_connection((server.host, server.port), 20 * SLOW)


def put_head(path, length, host=True):
    host_line = "Host: x\r\n" if host else ""
    return f"PUT {path} HTTP/1.1\r\n{host_line}Content-Length: {length}\r\n\r\n".encode()


def read_statuses(connection, count):
    """The statuses of `count` replies without bodies."""
    reader = connection.makefile("rb")
    statuses = []
    for _ in range(count):
        statuses.append(int(reader.readline().split()[1]))
        length = 0
        while (line := reader.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length: "):
                length = int(line.split()[1])
        reader.read(length)
    return statuses


def staged_names(server):
    return os.listdir(server.root / ".skein" / "stage")


def test_a_thousand_pipelined_puts_in_one_write_are_a_thousand_files_and_replies(servers):
    server = servers()
    bodies = {f"f{n:04}": os.urandom(100) for n in range(1000)}
    burst = b"".join(put_head(f"/burst/{name}", 100) + body for name, body in bodies.items())
    with connect(server) as connection:
        sender = threading.Thread(target=connection.sendall, args=(burst,))
        sender.start()
        assert read_statuses(connection, 1000) == [200] * 1000
        sender.join()
    stored = {path.name: path.read_bytes() for path in (server.root / "burst").iterdir()}
    assert stored == bodies


def test_of_two_racing_puts_exactly_one_wins_with_its_whole_content(servers):
    server = servers()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for round_number in range(100):
            barrier = threading.Barrier(2)
            bodies = [bytes([65 + writer]) * 200_000 for writer in range(2)]

            def put(writer, path=f"/race/{round_number}"):
                with connect(server) as connection:
                    connection.sendall(put_head(path, len(bodies[writer])))
                    barrier.wait(10)
                    connection.sendall(bodies[writer])
                    return read_statuses(connection, 1)[0]

            statuses = list(pool.map(put, range(2)))
            assert sorted(statuses) == [200, 405], f"round {round_number}"
            stored = (server.root / "race" / str(round_number)).read_bytes()
            assert stored == bodies[statuses.index(200)], f"round {round_number}"
    assert staged_names(server) == []


def unread(connection):
    """How many replies have arrived and are not read."""
    if not select.select([connection], [], [], 0)[0]:
        return 0
    return connection.recv(1 << 16, socket.MSG_PEEK).count(b"HTTP/1.1 ")


@pytest.mark.parametrize("sync", ["none", "publish"])
@pytest.mark.parametrize("size", [20_000, 1_000_000, 8_000_000])
def test_a_raw_writer_that_never_reads_and_closes_loses_no_file(servers, size, sync):
    """PYME's writers: no Host header, bursts with pauses, and a close while much is under way."""
    server = servers(args=["--sync", sync])
    frames = 5 if size > 1_000_000 else 20
    for series in range(5 if size < 8_000_000 else 2):
        folder = server.root / f"s{series}"
        connection = connect(server)
        for burst in range(4):
            for n in range(frames):
                connection.sendall(put_head(f"/s{series}/{burst}-{n}", size, host=False)
                                   + bytes([n]) * size)
            if burst < 3:
                eventually(lambda: folder.exists() and
                           len(os.listdir(folder)) == (burst + 1) * frames, 60, "the burst")
        connection.sendall(put_head(f"/s{series}/events.json", 2, host=False) + b"[]")
        connection.close()
        eventually(lambda: len(os.listdir(folder)) == 4 * frames + 1, 60, "all files")
        assert {path.stat().st_size for path in folder.iterdir()} == {2, size}


@pytest.mark.parametrize("sync", ["none", "publish"])
def test_a_raw_writer_that_pauses_gets_no_reply_that_could_reset_its_close(servers, sync):
    """Far more is under way at the close than the server's socket takes."""
    server = servers(args=["--sync", sync])
    connection = connect(server)
    for n in range(3):
        connection.sendall(put_head(f"/s/{n}", 50_000, host=False) + b"x" * 50_000)
        eventually(lambda: (server.root / f"s/{n}").exists(), 60, "a frame")
        assert not select.select([connection], [], [], 1.2)[0], "a reply"
    for n in range(3, 9):
        connection.sendall(put_head(f"/s/{n}", 8_000_000, host=False) + b"y" * 8_000_000)
    connection.sendall(put_head("/s/events.json", 2, host=False) + b"[]")
    assert unread(connection) == 0
    connection.close()
    eventually(lambda: len(os.listdir(server.root / "s")) == 10, 60, "all files")


def test_a_raw_writer_that_closes_with_replies_unread_loses_no_file(servers):
    """Frames so slow that each is answered; the close then resets the connection behind the last."""
    server = servers(env={"SKEIN_SERVER_STALL_MS": "600"})
    for series in range(5):
        connection = connect(server)
        for n in range(3):
            connection.sendall(put_head(f"/s{series}/{n}", 50_000, host=False) + b"x" * 50_000)
            eventually(lambda: unread(connection) == n + 1, 30, "a reply")
        for name in ("3", "final_metadata.json", "events.json"):
            connection.sendall(put_head(f"/s{series}/{name}", 100, host=False) + b"y" * 100)
        connection.close()
        folder = server.root / f"s{series}"
        eventually(lambda: len(os.listdir(folder)) == 6, 60, f"all files of {folder}")


def test_a_raw_writer_that_waits_for_each_reply_is_kept_waiting_once(servers):
    server = servers(env={"SKEIN_SERVER_STALL_MS": "9000"})
    waits = []
    with connect(server) as connection:
        for n in range(30):
            connection.sendall(put_head(f"/f{n}", 1, host=False) + b"x")
            sent = time.monotonic()
            assert read_statuses(connection, 1) == [200]
            waits.append(time.monotonic() - sent)
    # Held as for one that does not wait it would be 3 s each time.
    assert statistics.median(waits) < 2


def test_a_raw_writer_that_says_it_is_its_last_is_answered(servers):
    """put_files: all replies are read behind the last request."""
    server = servers()
    with connect(server) as connection:
        connection.sendall(put_head("/a", 1, host=False) + b"x" + put_head("/a", 1, host=False)
                           + b"y" + b"PUT /b HTTP/1.1\r\nConnection: close\r\n"
                           b"Content-Length: 1\r\n\r\nz")
        assert read_statuses(connection, 3) == [200, 405, 200]


def test_held_replies_are_given_at_the_end_of_the_server(servers):
    server = servers()
    with connect(server) as connection:
        connection.sendall(put_head("/a", 1, host=False) + b"x")
        eventually(lambda: (server.root / "a").exists(), 30, "the file")
        assert server.stop() == 0
        assert read_statuses(connection, 1) == [200]


def test_a_body_cut_short_stores_nothing(servers):
    server = servers()
    for ending in ("close", "reset"):
        connection = connect(server)
        connection.sendall(put_head(f"/cut-{ending}", 5_000_000) + b"x" * 3_000_000)
        if ending == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    # A later request on a new connection: the earlier ones' ends may still be on their way.
    assert server.put("/whole", b"y").status == 200
    for ending in ("close", "reset"):
        assert server.get(f"/cut-{ending}").status == 404
    eventually(lambda: staged_names(server) == [], 5, "stages of the cut bodies are gone")
    assert set(os.listdir(server.root)) == {".skein", "whole"}


def test_a_refused_put_leaves_the_connection_usable(servers):
    server = servers()
    assert server.put("/taken", b"first").status == 200
    with connect(server) as connection:
        connection.sendall(put_head("/taken", 3_000_000) + b"x" * 3_000_000
                           + put_head("/taken/below", 2) + b"xy" + put_head("/free", 2) + b"ok")
        assert read_statuses(connection, 3) == [405, 405, 200]
    assert (server.root / "taken").read_bytes() == b"first"
    assert (server.root / "free").read_bytes() == b"ok"


@pytest.fixture
def small_disk(tmp_path):
    image, mounted = tmp_path / "disk.img", tmp_path / "disk"
    mounted.mkdir()
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, timeout=30)
    subprocess.run(["mount", "-o", "loop", image, mounted], check=True, timeout=30)
    shutil.rmtree(mounted / "lost+found")
    yield mounted
    subprocess.run(["umount", mounted], check=True, timeout=30)


@needs_root
def test_a_full_disk_is_507_and_everything_else_goes_on(small_disk, tmp_path):
    from harness import Server
    server = Server(small_disk, args=["--reserve-bytes", str(1 << 20)])
    try:
        assert server.put("/small", b"x" * 1000).status == 200
        with connect(server) as connection:
            # Known to be too large, and found to be too large on the way (chunked).
            connection.sendall(put_head("/large", 64 << 20))
            connection.sendall(b"x" * (64 << 20))
            assert read_statuses(connection, 1) == [507]
            connection.sendall(b"PUT /chunks HTTP/1.1\r\nHost: x\r\n"
                               b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(64):
                connection.sendall(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")
            connection.sendall(b"0\r\n\r\n" + put_head("/after", 5) + b"after")
            assert read_statuses(connection, 2) == [507, 200]
        assert server.get("/small").body == b"x" * 1000
        assert set(json.loads(server.get("/").body)) == {"small", "after"}
        assert staged_names(server) == []
    finally:
        assert server.stop() == 0


@needs_root
def test_a_stage_keeps_its_checksum_on_another_filesystem_below_the_root(servers, small_disk):
    server = servers()
    stage, sub = uuid.uuid4(), server.root / "sub"
    sub.mkdir()
    subprocess.run(["mount", "--bind", small_disk, sub], check=True, timeout=30)
    try:
        assert server.put("/plain", b"abc").status == 200
        assert server.put(f"/__stage/{stage}/sub/f", b"abc").status == 200
        assert server.put(f"/__publish/{stage}/sub/f").status == 200
        staged, plain = server.get("/sub/f"), server.get("/plain")
        assert staged.body == b"abc"
        assert plain.headers["Repr-Digest"]
        assert staged.headers["Repr-Digest"] == plain.headers["Repr-Digest"]
    finally:
        subprocess.run(["umount", "-l", sub], check=True, timeout=30)
