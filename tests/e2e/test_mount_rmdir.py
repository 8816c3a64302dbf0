"""rmdir(2) in a real mount: what of a cluster's directories one mount may take away."""
import errno
import os
import urllib.request

import pytest
from harness import eventually, needs_fuse, needs_root

pytestmark = [needs_fuse, needs_root]


def refused(code, *words):
    with pytest.raises(OSError) as error:
        os.rmdir(*words)
    assert error.value.errno == code, error.value


def put(node, path):
    request = urllib.request.Request(f"{node.url}{path}", data=b"x", method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


def test_an_own_empty_directory_goes_from_all_nodes_and_can_be_made_again(servers, mounts):
    nodes = [servers(), servers()]
    mount = mounts(nodes=nodes)
    for _ in range(3):
        os.makedirs(mount.path / "a" / "b" / "c")  # by turns on the nodes, parents with them
        for path in ("a/b/c", "a/b", "a"):
            os.rmdir(mount.path / path)
        assert os.listdir(mount.path) == []
        assert not any((node.root / "a").exists() for node in nodes)
        refused(errno.ENOENT, mount.path / "a")
    os.mkdir(mount.path / "a")
    (mount.path / "a" / "f").write_bytes(b"x")
    assert (mount.path / "a" / "f").read_bytes() == b"x"


def test_what_another_client_put_into_it_is_not_lost(servers, mounts):
    nodes = [servers(), servers()]
    mount = mounts(nodes=nodes)
    for node in nodes:
        name = f"d{node.port}"
        os.mkdir(mount.path / name)
        put(node, f"{name}/f")
        refused(errno.ENOTEMPTY, mount.path / name)
        assert (mount.path / name / "f").read_bytes() == b"x"


def test_a_file_being_written_keeps_its_directory(servers, mounts):
    mount = mounts(nodes=[servers()])
    os.mkdir(mount.path / "d")
    with open(mount.path / "d" / "f", "wb"):
        refused(errno.ENOTEMPTY, mount.path / "d")
    assert (mount.path / "d" / "f").read_bytes() == b""


def test_a_directory_of_others_stays(servers, mounts):
    node = servers()
    (node.root / "theirs").mkdir()
    mount, other = mounts(nodes=[node]), mounts(nodes=[node])
    os.mkdir(mount.path / "own")
    refused(errno.EPERM, mount.path / "theirs")
    eventually(lambda: "own" in os.listdir(other.path), 20)
    refused(errno.EPERM, other.path / "own")
    os.rmdir(mount.path / "own")
    assert [path.name for path in node.root.iterdir() if path.name != ".skein"] == ["theirs"]


def test_over_the_network_there_is_no_verb_for_it(servers, mounts):
    mount = mounts(nodes=[servers()], args=["--no-bypass"])
    os.mkdir(mount.path / "d")
    refused(errno.EPERM, mount.path / "d")
    assert os.listdir(mount.path) == ["d"]


@pytest.mark.allow_errors
def test_a_silent_node_may_have_files_in_it(servers, mounts):
    nodes = [servers(), servers()]
    mount = mounts(nodes=nodes)
    os.makedirs(mount.path / "a" / "b")
    for node in nodes:
        node.suspend()
    try:
        with pytest.raises(OSError):
            os.rmdir(mount.path / "a" / "b")
    finally:
        for node in nodes:
            node.resume()
    assert any((node.root / "a" / "b").is_dir() for node in nodes)
