"""Nodes given by host name, with a name server that never answers: nothing waits for it for long."""
import socket
import subprocess
import time

import pytest
from harness import MOUNT, SKEIN, SLOW, built, eventually, needs_fuse, needs_root, processes_of

pytestmark = needs_root
LIMIT_S = 5 * SLOW  # the C library alone would take 30 s


class Names:
    """Commands that run here see these hosts, and ask the silent server for all others."""

    def __init__(self, holder, hosts, server):
        self.pid, self.hosts, self.server = holder.pid, hosts, server

    def run(self, *command):
        started = time.monotonic()
        done = subprocess.run(["nsenter", "-t", str(self.pid), "--mount", *map(str, command)],
                              capture_output=True, text=True, timeout=60 * SLOW)
        took = time.monotonic() - started
        assert took < LIMIT_S, f"{command} took {took:.1f} s: {done.stderr}"
        return done

    def wait_for_question(self, name):
        self.server.settimeout(20 * SLOW)
        while name.encode() not in self.server.recv(4096):
            pass


@pytest.fixture
def names(tmp_path):
    hosts, resolver = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text("127.0.0.1 localhost known.example\n")
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:15 attempts:2\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        try:
            server.bind(("127.0.0.1", 53))
        except OSError as why:
            pytest.skip(f"port 53: {why.strerror}")
        script = f"""mount --bind {hosts} /etc/hosts && mount --bind {resolver} /etc/resolv.conf &&
                     echo ready && exec cat"""
        with subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout.readline() == "ready\n"
            yield Names(holder, hosts, server)
            holder.stdin.close()


def test_a_name_that_cannot_be_looked_up_is_a_missing_node(servers, names):
    node = servers()
    assert node.put("/a", b"stored").status == 200
    listed = names.run(built(SKEIN), "--node", node.url, "--node", "http://silent.example:15348",
                       "ls", "/")
    assert "a" in listed.stdout.split(), listed
    assert "silent.example" in listed.stderr


@needs_fuse
def test_a_mount_goes_on_with_what_a_name_stood_for(servers, names, tmp_path):
    node = servers()
    assert node.put("/a", b"stored").status == 200
    lab = tmp_path / "lab"
    lab.mkdir()
    names.run(built(MOUNT), lab, "--node", f"http://known.example:{node.port}", "--no-bypass",
              "--node", "http://silent.example:15348", "--log-file", tmp_path / "mount.log")
    try:
        assert names.run("cat", lab / "a").stdout == "stored"
        names.hosts.write_text("127.0.0.1 localhost\n")
        names.wait_for_question("known")
        assert node.put("/b", b"later").status == 200
        eventually(lambda: names.run("cat", lab / "b").stdout == "later", 5, "seen")
        # Connections of their own, as the kept one is busy.
        assert names.run("sh", "-c", f"cat {lab}/a & cat {lab}/b & wait").returncode == 0
    finally:
        names.run("fusermount3", "-u", lab).check_returncode()
        eventually(lambda: not processes_of(MOUNT), 10, "its process ends too")
