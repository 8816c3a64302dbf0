"""Who may use the lane (--lane-group, --lane-mode); everybody else gets the same by HTTP."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import harness
import pytest
from harness import needs_fuse, needs_root

MEMBER, OUTSIDER = 65534, 65533  # user ids; neither is the server's
GROUP = 54321

pytestmark = needs_root


@pytest.fixture
def place():
    """A folder that all users can reach; pytest's own belong to root alone."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skein-lane-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server(servers, place):
    (place / "run").mkdir()
    return servers(place / "root", advertise="local", env={"SKEIN_RUN_DIR": str(place / "run")},
                   args=["--lane-group", GROUP])


def run_as(user, *command, groups=None, **options):
    if groups is None:
        groups = [GROUP] if user == MEMBER else []
    return subprocess.run([str(word) for word in command], capture_output=True, timeout=20,
                          user=user, group=user, extra_groups=groups, **options)


HELLO = """
import socket, struct, sys
lane = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
lane.settimeout(10)
lane.connect(sys.argv[1])
try:
    lane.send(struct.pack("=IIQQ", 0x314C4B53, 1, 0, 0))
    print(lane.recv(8192)[24:].decode() or "closed")
except (BrokenPipeError, ConnectionResetError):
    print("closed")
"""


def hello(user, lane, groups=None):
    return run_as(user, "/usr/bin/python3", "-c", HELLO, lane, groups=groups, text=True)


def test_the_socket_is_the_groups_and_the_server_asks_the_kernel_who_connects(server, place):
    lane = place / "run" / f"{server.id}.sock"
    assert (lane.stat().st_gid, lane.stat().st_mode & 0o777) == (GROUP, 0o660)
    assert hello(MEMBER, lane).stdout.strip() == server.id
    assert "PermissionError" in hello(OUTSIDER, lane).stderr
    lane.chmod(0o666)  # by somebody else's hand: the peer's credentials still decide
    assert hello(MEMBER, lane).stdout.strip() == server.id
    assert hello(OUTSIDER, lane).stdout.strip() == "closed"
    many = range(GROUP + 1, GROUP + 501)
    assert hello(OUTSIDER, lane, many).stdout.strip() == "closed"
    assert hello(MEMBER, lane, [*many, GROUP]).stdout.strip() == server.id


def test_mode_0666_is_for_all_users_of_the_host(servers, place):
    server = servers(place / "root", env={"SKEIN_RUN_DIR": str(place)}, args=["--lane-mode", "0666"])
    assert hello(OUTSIDER, place / f"{server.id}.sock").stdout.strip() == server.id


def sent_bytes(server):
    text = server.get("/__metrics").body.decode()
    return float(re.search(r"^skein_sent_bytes_total (\S+)", text, re.M).group(1))


# Where /dev/fuse is root's alone, users mount nothing. With these rights the mode of the socket
# keeps nobody out: the server's look at who connects does.
MAY_MOUNT = ["setpriv", "--inh-caps=+dac_override,+sys_admin", "--ambient-caps=+dac_override,+sys_admin"]


@needs_fuse
@pytest.mark.parametrize("user, by_lane", [(MEMBER, True), (OUTSIDER, False)])
def test_a_mount_of_a_member_reads_and_writes_by_the_lane_and_others_by_http(server, place, user,
                                                                             by_lane):
    for name in ("at", "home"):
        (place / name).mkdir()
        os.chown(place / name, user, user)
    env = {**os.environ, "SKEIN_RUN_DIR": str(place / "run"), "HOME": str(place / "home"),
           "SKEIN_MOUNT_CACHE_DIR": str(place / "home")}
    content = os.urandom(300_000)
    assert server.put("/there", content).status == 200
    mount = subprocess.run(
        [*MAY_MOUNT, f"--reuid={user}", f"--regid={user}",
         f"--groups={GROUP}" if user == MEMBER else "--clear-groups",
         harness.runnable_by_anyone(harness.MOUNT), place / "at", "--cluster", "test",
         "--log-file", place / "home/log"], env=env, capture_output=True, timeout=20)
    assert mount.returncode == 0, mount.stderr
    try:
        before = sent_bytes(server)
        assert run_as(user, "cat", place / "at/there").stdout == content
        if not by_lane:
            # A reply is counted after its last byte is sent.
            harness.eventually(lambda: sent_bytes(server) - before >= len(content), 20, "sent by HTTP")
        wrote = run_as(user, "dd", f"of={place}/at/new", "bs=64k", "status=none", input=content)
        assert wrote.returncode == 0, wrote.stderr
    finally:
        subprocess.run(["umount", place / "at"], timeout=20, check=True)
    assert (sent_bytes(server) - before < len(content)) == by_lane
    reply = server.get("/new")
    assert reply.body == content
    # What comes by HTTP is summed up on its way; what comes by the lane is not.
    assert (reply.headers["Repr-Digest"] is None) == by_lane


@pytest.mark.parametrize("arguments, why", [(["--lane-group", "no-such-group-here"], "there is no group"),
                                            (["--lane-mode", "0640"], "expected 0600, 0660 or 0666")])
def test_what_cannot_be_is_wrong_usage(place, arguments, why):
    ended = subprocess.run([harness.DATASERVER, "--root", place, "--port", "0", *arguments],
                           text=True, capture_output=True, timeout=20, stdin=subprocess.DEVNULL)
    assert ended.returncode == 2 and why in ended.stderr
    assert not (place / ".skein").exists()
