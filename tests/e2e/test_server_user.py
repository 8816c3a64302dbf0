"""A data server that was started as root serves as an ordinary user (--user)."""
import os
import pathlib
import pwd
import re
import resource
import shutil
import socket
import subprocess
import tempfile

import harness
import pytest

USER = "nobody"


@pytest.fixture
def place():
    """A folder that the user can reach; pytest's own belong to root alone."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skein-user-"))
    folder.chmod(0o755)
    (folder / "root").mkdir()
    (folder / "run").mkdir()
    yield folder
    shutil.rmtree(folder)


def start(servers, place, **options):
    return servers(place / "root", env={"SKEIN_RUN_DIR": str(place / "run")},
                   args=["--user", USER], **options)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_gives_its_rights_up_for_good_and_serves(servers, place):
    user = pwd.getpwnam(USER)
    os.chown(place / "root", user.pw_uid, user.pw_gid)
    server = start(servers, place)
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    assert re.search(r"^Uid:(.*)$", status, re.M).group(1).split() == [str(user.pw_uid)] * 4
    assert re.search(r"^Gid:(.*)$", status, re.M).group(1).split() == [str(user.pw_gid)] * 4
    for kind in ("CapEff", "CapPrm", "CapInh"):
        assert int(re.search(rf"^{kind}:\s*(\w+)$", status, re.M).group(1), 16) == 0
    assert "NoNewPrivs:\t1" in status
    assert server.put("/d/a", b"hello").status == 200
    stored = place / "root/d/a"
    assert stored.read_bytes() == b"hello" and stored.stat().st_uid == user.pw_uid
    reply = server.get("/d/a")
    assert reply.body == b"hello"
    # Marked although its mode forbids writing, and nobody but root could.
    assert os.getxattr(stored, "user.skein.mark").startswith(b"5 ")
    assert [p.name for p in (place / "run").glob("*.sock")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_that_the_user_may_not_write_is_refused_by_name(place):
    (place / "root").chmod(0o755)
    ended = serve(place, "--user", USER)
    assert ended.returncode == 1
    assert str(place / "root") in ended.stderr and "ermission denied" in ended.stderr


def serve(place, *arguments, most_threads=None):
    def limit():
        if most_threads:
            resource.setrlimit(resource.RLIMIT_NPROC, (most_threads, most_threads))

    return subprocess.run([harness.BUILD / "dataserver/skein-dataserver", "--root", place / "root",
                           "--port", "0", "--advertise", "none", *arguments], text=True,
                          capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                          preexec_fn=limit,
                          env={**os.environ, "SKEIN_RUN_DIR": str(place / "run")})


@pytest.mark.parametrize("user, why", [("no-such-user-here", "there is no user"),
                                       ("root", "is root")])
def test_a_user_that_cannot_be_is_a_clear_error(place, user, why):
    ended = serve(place, "--user", user)
    assert ended.returncode == 1 and why in ended.stderr
    assert not (place / "root/.skein").exists()


def test_a_server_that_is_not_announced_listens_on_loopback_only(servers):
    server = servers()
    sockets = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    port = f"{server.port:04X}"
    listening = [s.split()[1] for s in sockets if s.split()[3] == "0A" and s.split()[1].endswith(port)]
    assert listening == [f"0100007F:{port}"]


def allow_threads(server, most):
    """Of the user of the server, from now on."""
    user = pwd.getpwnam(USER)
    subprocess.run(["prlimit", "--pid", str(server.pid), f"--nproc={most}:"], check=True,
                   user=user.pw_uid, group=user.pw_gid, extra_groups=[])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("most", (1, 5, 12, 40, 90))
def test_a_start_without_enough_threads_is_a_clear_error(place, most):
    user = pwd.getpwnam(USER)
    os.chown(place / "root", user.pw_uid, user.pw_gid)
    ended = serve(place, "--user", USER, most_threads=most)
    assert ended.returncode == 1 and ended.stdout == ""
    lines = [line for line in ended.stderr.splitlines() if line.startswith("skein-dataserver: ")]
    assert len(lines) == 1 and "thread" in lines[0] and "TasksMax" in lines[0], ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_first_question_for_other_nodes_at_the_limit_of_threads_is_refused(servers, place):
    """An append asks who else has the file; what watches the cluster is made then."""
    user = pwd.getpwnam(USER)
    os.chown(place / "root", user.pw_uid, user.pw_gid)
    server = start(servers, place, advertise="local")
    allow_threads(server, 1)
    reply = server.put("/_aggregate/a.txt", b"line")
    assert reply.status == 503 and b"thread" in reply.body, reply
    assert reply.headers["Retry-After"]
    most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    allow_threads(server, "unlimited" if most == resource.RLIM_INFINITY else most)
    harness.eventually(lambda: server.put("/_aggregate/a.txt", b"line").status == 200, 60)
    assert server.put("/after", b"x").status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_limit_on_threads_that_is_reached_ends_no_server(servers, place):
    """Whatever requests come, no more threads are wanted than when it began to serve."""
    user = pwd.getpwnam(USER)
    os.chown(place / "root", user.pw_uid, user.pw_gid)
    server = start(servers, place)
    before = set(os.listdir(f"/proc/{server.pid}/task"))
    sizes = [100] * 40 + [8 << 20]
    requests = [f"PUT /f{n} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
                + b"x" * size for n, size in enumerate(sizes)]
    with socket.create_connection((server.host, server.port), 60) as connection:
        connection.sendall(b"".join(requests))
        replies = b""
        while replies.count(b"\r\n\r\n") < len(requests):
            piece = connection.recv(1 << 16)
            assert piece, replies
            replies += piece
    assert replies.count(b"HTTP/1.1 200 ") == len(requests)
    assert set(os.listdir(f"/proc/{server.pid}/task")) <= before
