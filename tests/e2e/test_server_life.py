"""A data server's start, end and manners towards clients: locks, ports, signals, stalls, paths."""
import json
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import threading
import time

import pytest
from harness import DATASERVER, SLOW, Server, built, eventually, needs_root, runnable_by_anyone


def run(root, *args, program=DATASERVER, **options):
    return subprocess.run([built(pathlib.Path(program)), "--root", str(root), "--port", "0", "--advertise",
                           "none", *map(str, args)], capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL, **options)


def assert_cannot_serve(ended, *says):
    assert ended.returncode == 1, ended
    assert ended.stdout == "" and ended.stderr.count("\n") == 1, ended
    for words in says:
        assert str(words) in ended.stderr, ended.stderr


def connect(server):
    return socket.create_connection((server.host, server.port), 20 * SLOW)


def test_a_second_server_on_the_same_root_is_refused_and_the_first_lives(servers):
    server = servers()
    assert_cannot_serve(run(server.root), "another data server", server.root)
    assert server.put("/a", b"x").status == 200


def test_the_id_stays_with_the_folder_and_a_killed_server_leaves_no_lock(servers):
    server = servers()
    first_id = server.id
    server.kill()
    again = servers(root=server.root)
    assert again.id == first_id


def test_a_taken_port_is_one_clear_line(servers, tmp_path):
    server = servers()
    (tmp_path / "other").mkdir()
    ended = run(tmp_path / "other", "--port", server.port)
    assert_cannot_serve(ended, server.port, "in use")


@needs_root
def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o555)
    nobody = pwd.getpwnam("nobody")
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.stat().st_uid == os.geteuid() and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    ended = run(folder, program=runnable_by_anyone(DATASERVER), user=nobody.pw_uid,
                group=nobody.pw_gid, extra_groups=[])
    assert_cannot_serve(ended, folder, "denied")
    assert os.listdir(folder) == []


@pytest.mark.parametrize("args", [["--port", "70000"], ["--port", "x"], ["--advertise", "radio"],
                                  ["--threads", "0"], ["stray"]])
def test_wrong_usage_is_one_line_and_status_2(tmp_path, args):
    ended = run(tmp_path, *args)
    assert ended.returncode == 2, ended
    assert ended.stdout == "" and ended.stderr.count("\n") == 1, ended
    assert os.listdir(tmp_path) == []


def test_a_run_directory_that_cannot_be_made_is_a_clear_line(tmp_path):
    """The registry is asked for, so the node would stay unknown: not to be served silently."""
    (tmp_path / "data").mkdir()
    (tmp_path / "file").touch()
    ended = subprocess.run(
        [built(DATASERVER), "--root", tmp_path / "data", "--port", "0", "--advertise", "local",
         "--no-lane", "--log-level", "off"], capture_output=True, text=True, timeout=20,
        env={**os.environ, "SKEIN_RUN_DIR": str(tmp_path / "file" / "run")})
    assert_cannot_serve(ended, tmp_path / "file" / "run")


def test_a_node_without_a_lane_serves_all_the_same(servers):
    server = servers(args=["--no-lane"])
    assert json.loads(server.get("/__status").body)["Lane"] == ""
    with_lane = servers()
    lane = pathlib.Path(json.loads(with_lane.get("/__status").body)["Lane"])
    assert lane.is_socket() and lane.stat().st_mode & 0o777 == 0o600
    assert with_lane.stop() == 0
    assert not lane.exists()


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_finished_after_the_signal(servers, ended_by):
    server = servers()
    idle = connect(server)
    with connect(server) as connection:
        connection.sendall(b"PUT /late HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
        # The server has begun with it: its stage is open.
        eventually(lambda: staged_descriptors(server.pid) == 1, 5, "a stage")
        server.process.send_signal(ended_by)
        eventually(lambda: idle.recv(1) == b"", 5, "idle connections close")
        eventually(lambda: refuses(server), 5, "no new connections")
        connection.sendall(b"56789")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert server.stop() == 0
    assert (server.root / "late").read_bytes() == b"0123456789"


def refuses(server):
    try:
        connect(server).close()
    except ConnectionRefusedError:
        return True
    return False


def staged_descriptors(pid):
    folder = f"/proc/{pid}/fd"
    links = []
    for name in os.listdir(folder):
        try:
            links.append(os.readlink(f"{folder}/{name}"))
        except FileNotFoundError:
            pass
    return sum(" (deleted)" in link for link in links)


def test_a_request_that_never_ends_does_not_hold_the_server_up(servers):
    server = servers()
    with connect(server) as connection:
        connection.sendall(b"PUT /never HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
        eventually(lambda: staged_descriptors(server.pid) == 1, 5, "a stage")
        started = time.monotonic()
        assert server.stop(timeout=20) == 0
        assert time.monotonic() - started < 10 * SLOW
    assert not (server.root / "never").exists()


def test_stalled_requests_hold_no_thread_and_end_with_408(servers):
    server = servers(args=["--threads", "2", "--stall-ms", "1000"])
    stalled = [connect(server) for _ in range(30)]
    for n, connection in enumerate(stalled):
        if n % 2:
            connection.sendall(b"PUT /s HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123")
        else:
            connection.sendall(b"GET / HTT")
    started = time.monotonic()
    assert server.put("/meanwhile", b"x").status == 200
    assert time.monotonic() - started < 0.9, "two threads were held by thirty stalled clients"
    for connection in stalled:
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")
        connection.close()
    assert server.get("/s").status == 404


def test_a_connection_is_usable_after_404_405_and_ranges(servers):
    server = servers()
    server.put("/f", bytes(range(100)))
    with connect(server) as connection:
        reader = connection.makefile("rb")

        def ask(text):
            connection.sendall(text.encode() + b"\r\nHost: x\r\n\r\n")
            status = int(reader.readline().split()[1])
            fields = {}
            while (line := reader.readline()) != b"\r\n":
                name, value = line.decode().rstrip().split(": ")
                fields[name] = value
            bodiless = text.startswith("HEAD") or status == 304
            return status, fields, b"" if bodiless else reader.read(int(fields["Content-Length"]))

        assert ask("GET /missing HTTP/1.1")[0] == 404
        assert ask("PUT /f HTTP/1.1\r\nContent-Length: 0")[0] == 405
        status, fields, body = ask("GET /f HTTP/1.1\r\nRange: bytes=10-19")
        assert (status, body) == (206, bytes(range(10, 20)))
        assert fields["Content-Range"] == "bytes 10-19/100"
        assert ask("GET /f HTTP/1.1\r\nRange: bytes=100-")[0] == 416
        assert ask(f"GET /f HTTP/1.1\r\nIf-None-Match: {fields['ETag']}")[0] == 304
        status, fields, _ = ask("HEAD /f HTTP/1.1")
        assert (status, fields["Content-Length"]) == (200, "100")
        assert ask("GET /f HTTP/1.1")[2] == bytes(range(100))


ATTACKS = ["/../secret", "/%2e%2e/secret", "/a/../../secret", "/..%2fsecret", "/%2e%2e%2fsecret",
           "/a/%2e%2e/%2e%2e/secret", "//../secret", "/link/secret", "/filelink", "/secret%00.txt",
           "/a%00", "/" + "n" * 5000, "/" + "d/" * 3000 + "f", "/..", "/.skein/node-id",
           "/./.skein/lock", "//.skein//stage/x", "/a/../.skein/x", "/%2eskein/node-id",
           "/link/", "/__glob?pattern=../*", "/__glob?pattern=/etc/*"]


@pytest.mark.parametrize("target", ATTACKS, ids=lambda target: target[:30])
def test_no_path_leads_out_of_the_folder(servers, tmp_path, target):
    server = servers(root=tmp_path / "served")
    (tmp_path / "secret").write_text("SECRET")
    (server.root / "link").symlink_to(tmp_path)
    (server.root / "filelink").symlink_to(tmp_path / "secret")
    before = sorted(os.listdir(tmp_path))
    private = sorted(os.listdir(server.root / ".skein"))

    def curl(*args):
        asked = subprocess.run(["curl", "-sS", "--path-as-is", "-m", "10", "-w", "\n%{http_code}",
                                *args, server.url.rstrip("/") + target], capture_output=True,
                               text=True, timeout=20)
        assert asked.returncode == 0, asked
        body, status = asked.stdout.rsplit("\n", 1)
        return int(status), body

    status, body = curl()
    assert "SECRET" not in body and "root:" not in body
    # ".." above the root is dropped when reading, as PYME does: then it names something inside.
    assert status in (400, 403, 404, 414) or body in ("[]", '{"d":[0,1]}') or \
        target == "/.." and ".skein" not in body, (status, body)
    status, body = curl("-X", "PUT", "--data-binary", "ATTACK")
    assert status in (400, 403, 404, 405, 414), (status, body)
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "secret").read_text() == "SECRET"
    assert sorted(os.listdir(server.root / ".skein")) == private
    assert server.put("/alive", b"x").status == 200


def test_a_listing_while_thousands_are_written_is_never_wrong_for_long(servers):
    """Names appear in the listing of the server that acknowledged them, at once, and never twice."""
    server = servers()
    acknowledged = []
    stop = threading.Event()

    def write():
        with connect(server) as connection:
            reader = connection.makefile("rb")
            for n in range(3000):
                connection.sendall(f"PUT /d/{n} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
                                   .encode())
                assert reader.readline().split()[1] == b"200"
                while reader.readline() != b"\r\n":
                    pass
                acknowledged.append(str(n))
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    listings = 0
    while not stop.is_set() and writer.is_alive():
        known = list(acknowledged)
        reply = server.get("/d/")
        if reply.status == 200:
            pairs = json.loads(reply.body, object_pairs_hook=list)
            names = {name for name, _ in pairs}
            assert len(names) == len(pairs), "a name stands twice"
            assert names >= set(known)
            listings += 1
    writer.join()
    assert listings > 5
    assert len(json.loads(server.get("/d/").body)) == 3000
    assert json.loads(server.get("/").body) == {"d/": [1, 3000]}
