"""skein up: a cluster of one host that ends as a whole, however it ends."""
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.request

import pytest
from harness import (SKEIN, SLOW, eventually, mounts_under, needs_fuse, processes_with, skein)


class Up:
    """A running `skein up --json`. facts: what it printed when it was ready."""

    def __init__(self, root, *args):
        self.root = pathlib.Path(root)
        self.process = subprocess.Popen(
            [str(SKEIN), "--cluster", "uptest", "up", "--root", str(root), "--advertise", "local",
             "--json", *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            _, why = self.process.communicate(timeout=30)
            raise AssertionError(f"skein up ended with {self.process.returncode}: {why}")
        self.facts = json.loads(line)

    def children(self):
        pids = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in pids.read_text().split()]

    def end(self, number):
        self.process.send_signal(number)
        try:
            return self.process.wait(40 * SLOW)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.errors = self.process.stderr.read()
            self.process.stdout.close()
            self.process.stderr.close()


@pytest.fixture
def up(tmp_path):
    started = []

    def start(*args):
        started.append(Up(tmp_path / "nodes", *args))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


def nothing_runs():
    return not processes_with("SKEIN_RUN_DIR", os.environ["SKEIN_RUN_DIR"])


def test_it_starts_what_it_says_and_ctrl_c_leaves_nothing(up, tmp_path):
    cluster = up("--nodes", 3)
    facts = cluster.facts
    assert facts["pid"] == cluster.process.pid and facts["cluster"] == "uptest"
    assert len(set(facts["urls"])) == 3 and facts["mount"] is None
    for node, url in zip(facts["nodes"], facts["urls"]):
        assert node["url"] == url and pathlib.Path(node["root"]).is_dir()
        with urllib.request.urlopen(url, timeout=5) as reply:
            assert json.load(reply) == {}
    assert sorted(os.listdir(tmp_path / "nodes")) == ["node1", "node2", "node3"]
    (tmp_path / "a").write_text("kept")
    stored = skein("put", tmp_path / "a", "/", cluster="uptest")
    assert stored.returncode == 0, stored.stderr
    assert cluster.end(signal.SIGINT) == 0, cluster.errors
    assert nothing_runs()
    # The files are plain files, and a second start serves them.
    again = up("--nodes", 3)
    assert skein("cat", "/a", cluster="uptest").stdout == "kept"
    assert [node["id"] for node in again.facts["nodes"]] == [node["id"] for node in facts["nodes"]]
    assert again.end(signal.SIGTERM) == 0, again.errors


def test_without_json_it_says_how_to_go_on(tmp_path):
    process = subprocess.Popen([str(SKEIN), "up", "--root", str(tmp_path / "n"), "--nodes", "1",
                                "--advertise", "none"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    text = ""
    while "Ctrl-C" not in text:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        text += line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert "http://127.0.0.1:" in text and "curl " in text and " ls -l /" in text


def test_killed_with_9_it_leaves_no_server(up):
    cluster = up("--nodes", 2)
    assert len(cluster.children()) == 2
    cluster.end(signal.SIGKILL)
    eventually(nothing_runs, 10, "the servers end with it")


def test_a_server_that_dies_ends_all_and_is_named(up):
    cluster = up("--nodes", 2)
    os.kill(cluster.children()[1], signal.SIGKILL)
    assert cluster.process.wait(30 * SLOW) == 1
    assert "skein up: node2 was killed by signal 9; ending the cluster\n" in (
        cluster.process.stderr.read())
    assert nothing_runs()


def test_a_server_that_does_not_answer_is_killed_in_the_end(up):
    cluster = up("--nodes", 1)
    os.kill(cluster.children()[0], signal.SIGSTOP)
    assert cluster.end(signal.SIGTERM) == 0, cluster.errors
    assert nothing_runs()


def test_what_cannot_start_is_one_message_and_leaves_nothing(tmp_path):
    (tmp_path / "file").touch()
    ended = skein("up", "--root", tmp_path / "file", "--advertise", "none")
    assert ended.returncode == 1 and str(tmp_path / "file") in ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    busy = skein("up", "--root", tmp_path / "n", "--mount", "/proc", "--advertise", "none")
    assert busy.returncode == 1 and "mounted there already" in busy.stderr
    assert not (tmp_path / "n").exists()
    assert nothing_runs()


def test_a_folder_that_another_cluster_serves_is_refused(up, tmp_path):
    up("--nodes", 1)
    second = skein("up", "--root", tmp_path / "nodes", "--nodes", "1", "--advertise", "none")
    assert second.returncode == 1
    assert "node1 did not start" in second.stderr
    assert len(processes_with("SKEIN_RUN_DIR", os.environ["SKEIN_RUN_DIR"])) == 2


@needs_fuse
def test_it_mounts_and_ctrl_c_unmounts(up, tmp_path):
    cluster = up("--nodes", 2, "--mount", tmp_path / "mnt")
    assert cluster.facts["mount"] == str(tmp_path / "mnt")
    (tmp_path / "mnt" / "a").write_text("through the mount")
    assert skein("cat", "/a", cluster="uptest").stdout == "through the mount"
    assert cluster.end(signal.SIGINT) == 0, cluster.errors
    assert mounts_under(tmp_path) == [] and nothing_runs()
    assert not (tmp_path / "mnt").exists(), "it made the folder, so it removes it"


@needs_fuse
def test_killed_with_9_it_leaves_no_mount(up, tmp_path):
    cluster = up("--nodes", 2, "--mount", tmp_path / "mnt")
    (tmp_path / "mnt" / "a").write_text("a")
    cluster.end(signal.SIGKILL)
    eventually(lambda: nothing_runs() and not mounts_under(tmp_path), 15, "all ends with it")


@needs_fuse
def test_ctrl_c_ends_it_although_a_file_is_open_in_the_mount(up, tmp_path):
    cluster = up("--nodes", 1, "--mount", tmp_path / "mnt")
    (tmp_path / "mnt" / "a").write_text("a")
    started = time.monotonic()
    with open(tmp_path / "mnt" / "a"):
        cluster.end(signal.SIGINT)
        assert time.monotonic() - started < 30 * SLOW
        assert nothing_runs()
        assert mounts_under(tmp_path) == []


@needs_fuse
def test_a_mount_that_ends_by_itself_ends_all(up, tmp_path):
    cluster = up("--nodes", 1, "--mount", tmp_path / "mnt")
    subprocess.run(["umount", str(tmp_path / "mnt")], check=True, timeout=10)
    assert cluster.process.wait(30 * SLOW) == 1
    assert "mount ended with status 0; ending the cluster" in cluster.process.stderr.read()
    assert nothing_runs()
