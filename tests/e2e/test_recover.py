"""skein recover: what a mount could not store is listed, and put or dropped from there."""
import json
import os
import pathlib
import signal
import subprocess

import pytest
from harness import BUILD, eventually, needs_fuse, needs_root, skein

pytestmark = [needs_fuse, needs_root, pytest.mark.allow_errors]


def listed():
    done = skein("recover", "--json")
    assert (done.returncode, done.stderr) == (0, ""), done
    return [json.loads(line) for line in done.stdout.splitlines()]


def kill_mount(mount):
    """What a crash of the mount is."""
    for pid in mount.pids():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not mount.pids(), 10)
    subprocess.run(["umount", "-l", mount.path], check=True, timeout=10)


def stages(server):
    return list(pathlib.Path(server.root, ".skein", "stage").iterdir())


def stored_nowhere(mounts, servers, content=b"late"):
    """A mount by HTTP with a file /d/f that lost its name to another client; its server."""
    server = servers()
    (server.root / "d").mkdir()
    mount = mounts(nodes=[server], args=["--no-bypass"])
    with pytest.raises(FileExistsError), open(mount.path / "d" / "f", "wb") as file:
        file.write(content)
        file.flush()
        server.put("/d/f", b"first")
    eventually(lambda: listed() and not listed()[0]["in_use"], 5)
    return server


def test_nothing_to_recover(run_dir):
    assert listed() == []
    assert skein("recover").stdout == ""
    assert skein("recover", "put", "--all").returncode == 0
    for wrong in (["put"], ["drop"], ["drop", "no-such-id"], ["throw"], ["list", "x"],
                  ["put", "--all", "--as", "/x"]):
        assert skein("recover", *wrong).returncode == 2, wrong


def test_a_file_whose_name_was_taken_is_put_under_another(mounts, servers):
    server = stored_nowhere(mounts, servers)
    one, = listed()
    assert (one["path"], one["size_bytes"], one["in_use"]) == ("/d/f", 4, False)
    assert "exists" in one["why"]
    table = skein("recover").stdout
    assert one["id"] in table and "/d/f" in table
    refused = skein("recover", "put", one["id"], nodes=[server])
    assert refused.returncode == 1 and "--as" in refused.stderr, refused
    assert listed() == [one]
    done = skein("recover", "put", one["id"][:8], "--as", "/d/g", "--json", nodes=[server])
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["path"] == "/d/g"
    assert server.get("/d/g").body == b"late"
    assert server.get("/d/f").body == b"first"
    assert listed() == []


def test_a_file_is_dropped_only_when_asked_for(mounts, servers):
    stored_nowhere(mounts, servers)
    one, = listed()
    assert skein("recover", "drop", one["id"]).returncode == 0
    assert listed() == []


def test_an_interrupted_put_loses_nothing(mounts, servers):
    server = stored_nowhere(mounts, servers, os.urandom(20 << 20))
    one, = listed()
    server.suspend()
    putting = subprocess.Popen([BUILD / "tools" / "skein", "--node", server.url, "recover", "put",
                                one["id"], "--as", "/d/g"], stdin=subprocess.DEVNULL)
    eventually(lambda: listed()[0]["in_use"] or putting.poll() is not None, 10)
    putting.send_signal(signal.SIGKILL)
    putting.wait(10)
    server.resume()
    eventually(lambda: listed() == [one], 5)
    done = skein("recover", "put", "--all", "--as", "/d/g", nodes=[server])
    assert done.returncode == 0, done
    assert len(server.get("/d/g").body) == 20 << 20
    assert listed() == []


def test_without_a_node_nothing_is_put(mounts, servers):
    server = stored_nowhere(mounts, servers)
    before = listed()
    server.suspend()
    try:
        done = skein("recover", "put", "--all", "--as", "/g", "--timeout-ms", "500",
                     nodes=["http://127.0.0.1:1"])
        assert done.returncode == 3, done
    finally:
        server.resume()
    assert listed() == before


def test_a_closed_file_outlives_a_mount_that_is_killed_before_the_seal(mounts, servers):
    server = servers()
    mount = mounts(nodes=[server], args=["--no-bypass"])
    # By its name it is left unsealed for two seconds, for its maker to rename it.
    (mount.path / "scan.tmp").write_bytes(b"closed, so acknowledged")
    one, = listed()
    assert one["in_use"]
    refused = skein("recover", "put", one["id"], nodes=[server])
    assert refused.returncode == 1 and "in use" in refused.stderr, refused
    kill_mount(mount)
    one, = listed()
    assert (one["path"], one["in_use"]) == ("/scan.tmp", False)
    done = skein("recover", "put", "--all", nodes=[server])
    assert done.returncode == 0, done
    assert server.get("/scan.tmp").body == b"closed, so acknowledged"
    assert listed() == []
    assert not stages(server)


def test_what_was_written_after_the_last_flush_is_recovered_too(mounts, servers):
    server = servers()
    mount = mounts(nodes=[server], args=["--no-bypass"])
    fd = os.open(mount.path / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"acknowledged")
    os.fsync(fd)
    os.write(fd, b" and more")
    kill_mount(mount)
    with pytest.raises(OSError):
        os.close(fd)
    one, = listed()
    assert one["size_bytes"] == 21
    done = skein("recover", "put", "--all", nodes=[server])
    assert done.returncode == 0, done
    assert server.get("/f").body == b"acknowledged and more"
    assert listed() == []
    assert not stages(server)


def test_a_dropped_file_leaves_no_stage_on_its_node(mounts, servers):
    server = servers()
    mount = mounts(nodes=[server], args=["--no-bypass"])
    (mount.path / "scan.tmp").write_bytes(b"closed, so acknowledged")
    assert stages(server)
    kill_mount(mount)
    assert skein("recover", "drop", "--all", nodes=[server]).returncode == 0
    assert listed() == []
    assert not stages(server)


def test_a_name_taken_between_close_and_seal_leaves_the_bytes_in_one_place(mounts, servers):
    server = servers()
    mount = mounts(nodes=[server], args=["--no-bypass"])
    (mount.path / "scan.tmp").write_bytes(b"mine")
    assert stages(server)
    server.put("/scan.tmp", b"theirs")
    eventually(lambda: not listed()[0]["in_use"], 20)
    assert skein("recover", "put", "--all", "--as", "/mine", nodes=[server]).returncode == 0
    assert (server.get("/scan.tmp").body, server.get("/mine").body) == (b"theirs", b"mine")
    assert listed() == []
    assert not stages(server)


def test_a_put_that_came_through_unseen_is_not_put_twice(mounts, servers):
    server = stored_nowhere(mounts, servers)
    server.put("/d/h", b"late")  # as if an earlier try had been cut after the node stored it
    one, = listed()
    done = skein("recover", "put", one["id"], "--as", "/d/h", nodes=[server])
    assert done.returncode == 0, done
    assert listed() == []


@pytest.mark.parametrize("way", [[], ["--no-passthrough"]], ids=["passthrough", "lane"])
def test_a_closed_file_on_a_local_node_outlives_a_mount_that_is_killed(mounts, servers, way):
    server = servers()
    mount = mounts(nodes=[server], args=way)
    for name in ("scan.tmp", "drop.tmp"):
        (mount.path / name).write_bytes(b"closed, so acknowledged")
    kill_mount(mount)
    assert server.get("/scan.tmp").status == 404

    def kept():
        done = skein("recover", "--json", nodes=[server])
        assert (done.returncode, done.stderr) == (0, ""), done
        return {one["path"]: one for one in map(json.loads, done.stdout.splitlines())}

    eventually(lambda: set(kept()) == {"/scan.tmp", "/drop.tmp"}, 5)
    one = kept()["/scan.tmp"]
    assert (one["size_bytes"], one["in_use"]) == (23, False)
    assert skein("recover", "drop", kept()["/drop.tmp"]["id"], nodes=[server]).returncode == 0
    done = skein("recover", "put", "--all", nodes=[server])
    assert done.returncode == 0, done
    assert server.get("/scan.tmp").body == b"closed, so acknowledged"
    assert server.get("/drop.tmp").status == 404
    assert kept() == {}
