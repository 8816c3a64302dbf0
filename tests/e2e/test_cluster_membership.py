"""Nodes that come, go, die and hang, as a running mount and the network see them."""
import os
import subprocess
import time

import pytest
from harness import eventually, needs_avahi, needs_fuse, needs_root, skein

pytestmark = [needs_fuse, needs_root]
CLUSTER = "membership-test"


def avahi_ports():
    """Ports of all servers that `avahi-browse -rt _pyme-http._tcp` resolves, with our cluster."""
    shown = subprocess.run(["avahi-browse", "-rtp", "_pyme-http._tcp"], capture_output=True,
                           text=True, timeout=20)
    assert shown.returncode == 0, shown.stderr
    ports = set()
    for line in shown.stdout.splitlines():
        fields = line.split(";")
        if fields[0] == "=" and CLUSTER in fields[3] and f'"cluster={CLUSTER}"' in fields[9]:
            ports.add(int(fields[8]))
    return ports


def put_files(server, names):
    for name in names:
        assert server.put(f"/{name}", name.encode()).status == 200


@needs_avahi
def test_avahi_browse_shows_every_server_and_none_that_has_left(servers):
    started = [servers(cluster=CLUSTER, advertise="mdns", bind="127.0.0.1") for _ in range(3)]
    wanted = {server.port for server in started}
    eventually(lambda: avahi_ports() == wanted, 10, "all three are announced")
    assert started[0].stop() == 0
    eventually(lambda: avahi_ports() == wanted - {started[0].port}, 3, "the goodbye was sent")


@needs_avahi
def test_a_running_mount_sees_a_server_started_later_and_loses_one_stopped_within_3_s(
        servers, mounts):
    first = servers(cluster=CLUSTER, advertise="mdns", bind="127.0.0.1")
    put_files(first, ["early"])
    mount = mounts(cluster=CLUSTER)
    assert os.listdir(mount.path) == ["early"]

    later = servers(cluster=CLUSTER, advertise="mdns", bind="127.0.0.1")
    put_files(later, ["late"])
    eventually(lambda: sorted(os.listdir(mount.path)) == ["early", "late"], 3, "joined")
    assert (mount.path / "late").read_bytes() == b"late"

    assert later.stop() == 0
    eventually(lambda: os.listdir(mount.path) == ["early"], 3, "left")
    assert (mount.path / "early").read_bytes() == b"early"


def test_without_any_daemon_the_nodes_of_this_host_find_each_other_by_the_registry(servers, mounts):
    env = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
    first = servers(cluster=CLUSTER, advertise="local", env=env)
    put_files(first, ["early"])
    mount = mounts(cluster=CLUSTER, env=env)
    assert os.listdir(mount.path) == ["early"]
    later = servers(cluster=CLUSTER, advertise="local", env=env)
    put_files(later, ["late"])
    eventually(lambda: sorted(os.listdir(mount.path)) == ["early", "late"], 3, "joined")


def test_another_cluster_on_the_same_host_is_not_mixed_in(servers, mounts):
    ours = servers(cluster="ours", advertise="local")
    theirs = servers(cluster="theirs", advertise="local")
    put_files(ours, ["a"])
    put_files(theirs, ["b"])
    assert os.listdir(mounts(cluster="ours").path) == ["a"]
    listed = skein("ls", "/", cluster="theirs")
    assert (listed.returncode, listed.stdout.split()) == (0, ["b"]), listed.stderr


def two_nodes_with_files(servers, mounts):
    nodes = [servers(), servers()]
    put_files(nodes[0], ["on0"])
    put_files(nodes[1], ["on1"])
    mount = mounts(nodes=nodes)
    assert sorted(os.listdir(mount.path)) == ["on0", "on1"]
    return nodes, mount


# A dead node is known at once, since its host refuses; a stopped one only by waiting for it.
@pytest.mark.parametrize("how, read_limit_s", [("kill", 1), ("suspend", 5)])
def test_a_node_that_dies_or_hangs_does_not_hang_the_mount(servers, mounts, how, read_limit_s):
    nodes, mount = two_nodes_with_files(servers, mounts)
    getattr(nodes[1], how)()

    started = time.monotonic()
    assert (mount.path / "on0").read_bytes() == b"on0"
    read_s = time.monotonic() - started
    started = time.monotonic()
    names = os.listdir(mount.path)
    list_s = time.monotonic() - started
    assert "on0" in names
    assert read_s < read_limit_s, f"a file on the living node took {read_s:.1f} s"
    assert list_s < 5, f"ls of the root took {list_s:.1f} s"

    # Its own file ends in an error, not in waiting.
    started = time.monotonic()
    with pytest.raises(OSError):
        (mount.path / "on1").read_bytes()
    assert time.monotonic() - started < 10

    # Writing goes on, on the node that is left.
    started = time.monotonic()
    (mount.path / "after").write_bytes(b"still works")
    assert time.monotonic() - started < 10
    # close() returns when the bytes are safe; the seal follows it, within the 3 s for all others.
    eventually(lambda: nodes[0].get("/after").body == b"still works", 3, "sealed")


def test_a_node_that_comes_back_is_used_again_without_a_remount(servers, mounts, tmp_path):
    nodes = [servers(), servers(tmp_path / "disk")]
    put_files(nodes[0], ["on0"])
    put_files(nodes[1], ["on1"])
    mount = mounts(nodes=nodes)
    assert sorted(os.listdir(mount.path)) == ["on0", "on1"]
    nodes[1].kill()
    assert "on0" in os.listdir(mount.path)

    servers(tmp_path / "disk", port=nodes[1].port)

    def readable():
        try:
            return (mount.path / "on1").read_bytes() == b"on1"
        except OSError:
            return False

    eventually(readable, 10, "the node's file can be read again")


def test_skein_nodes_says_which_node_is_gone(servers):
    nodes = [servers(), servers()]
    assert skein("nodes", nodes=nodes).returncode == 0
    nodes[1].kill()
    told = skein("nodes", nodes=nodes)
    assert str(nodes[1].port) in told.stdout, told
    listed = skein("ls", "/", nodes=nodes, timeout=10)
    assert str(nodes[1].port) in listed.stderr, "ls is silent about the missing node"
