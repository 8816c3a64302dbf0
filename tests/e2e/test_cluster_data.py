"""The main job: data copied into a mount is there for everyone, byte for byte."""
import hashlib
import os
import subprocess

import cluster_data
import pytest
from harness import MOUNT, eventually, needs_fuse, needs_root, skein

pytestmark = [needs_fuse, needs_root]


@pytest.fixture
def three(servers):
    return [servers() for _ in range(3)]


def listed_files(folder):
    """What `ls -lR` shows: {path below folder: size}."""
    text = subprocess.run(["ls", "-lR", "."], cwd=folder, capture_output=True, text=True,
                          check=True, timeout=30).stdout
    found, where = {}, "."
    for line in text.splitlines():
        if line.endswith(":"):
            where = line[:-1]
        elif line.startswith("-"):
            fields = line.split(None, 8)
            found[os.path.normpath(f"{where}/{fields[8]}")] = int(fields[4])
    return found


def copy_in(source, mount):
    copied = subprocess.run(["cp", "-r", str(source), str(mount.path)], capture_output=True,
                            text=True, timeout=60)
    assert copied.returncode == 0, copied.stderr


def test_what_cp_stored_is_listed_and_read_through_another_mount(three, mounts, tmp_path):
    sums = cluster_data.make(tmp_path / "data")
    copy_in(tmp_path / "data" / "session", mounts(nodes=three))

    (tmp_path / "cache2").mkdir()
    second = mounts(nodes=three, env={"SKEIN_MOUNT_CACHE_DIR": str(tmp_path / "cache2")})
    sizes = {path: (tmp_path / "data" / path).stat().st_size for path in sums}
    assert listed_files(second.path) == sizes
    cluster_data.assert_sums_hold(second.path, sums, tmp_path / "sums")


def test_what_cp_stored_is_read_by_curl_from_the_nodes_and_lies_there_as_plain_files(
        three, mounts, tmp_path):
    sums = cluster_data.make(tmp_path / "data")
    copy_in(tmp_path / "data" / "session", mounts(nodes=three))

    for path, checksum in sums.items():
        bodies = [body for body in (cluster_data.curl(s.url + path) for s in three)
                  if body is not None]
        assert [hashlib.sha256(body).hexdigest() for body in bodies] == [checksum], path
        homes = [s.root / path for s in three if (s.root / path).exists()]
        assert len(homes) == 1 and homes[0].stat().st_mode & 0o777 == 0o440, path
    # Least recently written first: three nodes share the work.
    shares = [sum((s.root / path).exists() for path in sums) for s in three]
    assert min(shares) >= len(sums) // 3 - 5, shares


def test_what_skein_put_stored_is_read_through_the_mount_and_by_skein(three, mounts, tmp_path):
    sums = cluster_data.make(tmp_path / "data")
    mount = mounts(nodes=three)
    source = tmp_path / "data" / "session" / "stack.tif"
    put = skein("put", source, "/put/", nodes=three)
    assert put.returncode == 0, put.stderr

    stored = {"put/stack.tif": sums["session/stack.tif"]}
    cluster_data.assert_sums_hold(mount.path, stored, tmp_path / "sums")
    got = skein("get", "/put/stack.tif", tmp_path / "back.tif", nodes=three)
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "back.tif").read_bytes() == source.read_bytes()


def test_data_outlives_the_programs(servers, mounts, tmp_path):
    sums = cluster_data.make(tmp_path / "data")
    first = [servers(tmp_path / f"disk{i}") for i in range(2)]
    mount = mounts(nodes=first)
    copy_in(tmp_path / "data" / "session", mount)
    ids = [server.id for server in first]
    mount.stop()
    assert [server.stop() for server in first] == [0, 0]

    again = [servers(tmp_path / f"disk{i}") for i in range(2)]
    assert [server.id for server in again] == ids
    cluster_data.assert_sums_hold(mounts(nodes=again).path, sums, tmp_path / "sums")


def test_a_stored_file_cannot_be_changed_by_any_way_in(three, mounts):
    mount = mounts(nodes=three)
    path = mount.path / "once"
    path.write_bytes(b"first")
    for mode in ("wb", "ab", "r+b"):
        with pytest.raises(OSError), open(path, mode) as file:
            file.write(b"other")
    with pytest.raises(OSError):
        path.unlink()
    put = skein("put", MOUNT, "/once", nodes=three)
    assert put.returncode == 1 and "exists" in put.stderr, put.stderr
    holder = next(server for server in three if (server.root / "once").exists())
    assert holder.put("/once", b"other").status == 405
    assert path.read_bytes() == b"first"
    assert [server.get("/once").status for server in three].count(200) == 1


def test_a_file_written_by_one_mount_is_seen_by_another_within_3_s(three, mounts, tmp_path):
    (tmp_path / "cache2").mkdir()
    writer = mounts(nodes=three)
    reader = mounts(nodes=three, env={"SKEIN_MOUNT_CACHE_DIR": str(tmp_path / "cache2")})
    assert os.listdir(reader.path) == []
    (writer.path / "news").write_bytes(b"x")
    assert os.listdir(writer.path) == ["news"]
    eventually(lambda: os.listdir(reader.path) == ["news"], 3, "the other mount lists the file")
    assert (reader.path / "news").read_bytes() == b"x"
