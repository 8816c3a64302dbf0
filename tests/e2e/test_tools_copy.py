"""skein put and get, on real servers: every byte, every refusal, nothing half done."""
import hashlib
import json
import os
import pathlib
import pty
import subprocess
import time

import pytest
from harness import REPOSITORY, SKEIN, eventually, needs_root, runnable_by_anyone, skein

GIVEN = pathlib.Path(os.environ.get("SKEIN_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
MOST_BYTES = 200 << 20  # of given data; the rest adds time and nothing else


def sums_of(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def data(tmp_path):
    """A folder tree: real files where they are given, and shapes that real data seldom have."""
    folder = tmp_path / "data"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "empty").mkdir()
    for size in (0, 1, 4096, 1_000_003):
        (folder / "deep" / f"{size}.bin").write_bytes(os.urandom(size))
    (folder / "deep" / "er" / "a b#c%20[1,2].tif").write_bytes(os.urandom(70_000))
    (folder / "Zelle ä.txt").write_text("ä")
    budget = MOST_BYTES
    for path in sorted(GIVEN.rglob("*")) if GIVEN.is_dir() else []:
        if path.is_file() and path.stat().st_size <= budget:
            budget -= path.stat().st_size
            copy = folder / "given" / path.relative_to(GIVEN)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def three(servers):
    return [servers() for _ in range(3)]


def test_a_tree_comes_back_byte_for_byte(three, data, tmp_path):
    sums = sums_of(data)
    put = skein("put", "-r", data, "/", nodes=three, timeout=60)
    assert (put.returncode, put.stdout, put.stderr) == (0, "", "")
    assert all(any(node.root.joinpath("data").rglob("*")) for node in three), "not spread"
    get = skein("get", "-r", "/data", tmp_path / "back", nodes=three, timeout=60)
    assert (get.returncode, get.stdout, get.stderr) == (0, "", "")
    assert sums_of(tmp_path / "back" / "data") == sums
    assert (tmp_path / "back" / "data" / "empty").is_dir()
    # The root as source: what is in it.
    assert skein("get", "-r", "skein://test/", tmp_path / "all", nodes=three,
                 timeout=60).returncode == 0
    assert sums_of(tmp_path / "all" / "data") == sums


def test_what_exists_is_refused_counted_and_unchanged(three, data):
    (data / "second").write_bytes(b"first")
    skein("put", data / "second", "/data/", nodes=three)
    (data / "second").write_bytes(b"other")
    ended = skein("put", "-r", data, "/", nodes=three, timeout=60)
    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert len(lines) == 2 and lines[1].endswith("1 failed, 1 of them because the name exists")
    holder = next(node for node in three if (node.root / "data" / "second").exists())
    assert lines[0] == (f"skein put: {data}/second: a file of that name exists on "
                        + lines[0].split(" exists on ")[1])
    assert str(holder.port) in lines[0]
    assert skein("cat", "/data/second", nodes=three).stdout == "first"


def test_put_names_the_target_by_one_rule(three, tmp_path):
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "c").write_text("c")

    def put(*words):
        ended = subprocess.run([str(SKEIN), *[w for n in three for w in ("--node", n.url)], "put",
                                *words], cwd=tmp_path, capture_output=True, text=True, timeout=30)
        assert ended.returncode == 0, ended.stderr

    put("a", "/new-name")          # no such directory: a name
    put("a", "/made/")             # a slash: a directory
    put("b", "/made")              # is a directory by now
    put("a", "b", "/several")      # several: a directory
    put("-r", "dir", "/trees")     # a folder keeps its name
    put("-r", "dir/.", "/content")
    put("-r", "dir/", "/")
    found = skein("find", "/", "-type", "f", nodes=three).stdout.split()
    assert found == ["/content/c", "/dir/c", "/made/a", "/made/b", "/new-name", "/several/a",
                     "/several/b", "/trees/dir/c"]


def test_get_names_the_destination_by_the_same_rule(three, tmp_path):
    for name in ("a", "dir/b"):
        assert three[0].put(f"/{name}", name.encode()).status == 200

    def get(*words):
        ended = skein("get", *words, nodes=three)
        assert ended.returncode == 0, ended.stderr

    get("/a", tmp_path / "new-name")
    get("/a", f"{tmp_path}/made/")
    get("/a", "/dir/b", tmp_path / "several")
    get("/dir/b", tmp_path / "several" / "as-b")
    get("-r", "/dir", tmp_path / "trees")
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")
                   if path.is_file() and "node" not in str(path.relative_to(tmp_path)))
    assert found == ["made/a", "new-name", "several/a", "several/as-b", "several/b", "trees/dir/b"]
    directory = skein("get", "/dir", tmp_path / "x", nodes=three)
    assert directory.returncode == 1 and "-r" in directory.stderr
    assert not (tmp_path / "x").exists()


def test_get_replaces_nothing_unless_forced(three, tmp_path):
    three[1].put("/a", b"cluster")
    (tmp_path / "a").write_text("mine")
    refused = skein("get", "/a", tmp_path, nodes=three)
    assert refused.returncode == 1
    assert refused.stderr == f"skein get: /a: {tmp_path}/a exists; --force replaces it\n"
    assert (tmp_path / "a").read_text() == "mine"
    assert skein("get", "--force", "/a", tmp_path, nodes=three).returncode == 0
    assert (tmp_path / "a").read_text() == "cluster"
    (tmp_path / "folder" / "a").mkdir(parents=True)
    assert skein("get", "-f", "/a", tmp_path / "folder", nodes=three).returncode == 1
    assert (tmp_path / "folder" / "a").is_dir()


def test_a_get_that_is_killed_leaves_no_part_of_a_file(three, tmp_path):
    (tmp_path / "out").mkdir()
    size = 64 << 20
    assert three[0].put("/big", bytes(size), timeout=60).status == 200
    reader = subprocess.Popen([str(SKEIN), "--node", three[0].url, "get", "/big",
                               str(tmp_path / "out" / "big")])

    def has_begun():
        if reader.poll() is not None:
            return True
        targets = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{reader.pid}/fd")
                   if os.path.lexists(entry.path)]
        return any(str(tmp_path / "out") in target for target in targets)

    eventually(has_begun, 10, "get writes")
    reader.kill()
    reader.wait(10)
    left = list((tmp_path / "out").iterdir())
    assert left == [] or (left[0].name == "big" and left[0].stat().st_size == size)


def test_a_get_that_finds_no_space_says_so_and_leaves_nothing(three, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a small tmpfs")
    three[0].put("/big", bytes(4 << 20))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        ended = skein("get", "/big", small, nodes=three)
        assert ended.returncode == 1
        assert "No space left on device" in ended.stderr and ended.stderr.count("\n") == 1
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_standard_input_is_stored_whole_or_not_at_all(three, tmp_path):
    whole = skein("put", "-", "/piped", nodes=three, input="from a pipe")
    assert whole.returncode == 0, whole.stderr
    assert skein("cat", "/piped", nodes=three).stdout == "from a pipe"
    # A read that fails: here a folder as standard input.
    folder = os.open(tmp_path, os.O_RDONLY)
    cut = subprocess.run([str(SKEIN), "--node", three[0].url, "put", "-", "/cut"], stdin=folder,
                         capture_output=True, text=True, timeout=30)
    os.close(folder)
    assert cut.returncode == 1 and "Is a directory" in cut.stderr and cut.stderr.count("\n") == 1
    assert skein("ls", "/", nodes=three).stdout == "piped\n"


def test_a_pipe_given_by_name_is_read_to_its_end(three):
    ended = subprocess.run(f"{SKEIN} --node {three[0].url} put <(seq 100000) /numbers", shell=True,
                           executable="/bin/bash", capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended.stderr
    assert skein("cat", "/numbers", nodes=three).stdout.split() == [str(i) for i in
                                                                     range(1, 100001)]


def test_files_that_say_they_are_empty_and_are_not_are_stored_whole(three):
    assert skein("put", "/proc/version", "/version", nodes=three).returncode == 0
    assert skein("cat", "/version", nodes=three).stdout == pathlib.Path("/proc/version").read_text()


def test_put_names_what_it_could_not_store_and_stores_the_rest(three, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "good").write_text("good")
    os.mkfifo(tree / "pipe")
    (tree / "loop").symlink_to(tree)
    (tree / "dangling").symlink_to("nowhere")
    (tree / "link").symlink_to("good")
    ended = skein("put", "-r", tree, tmp_path / "missing", "/", nodes=three)
    assert ended.returncode == 1
    assert [line.split(": ")[1] for line in ended.stderr.splitlines()[:-1]] == [
        f"{tree}/dangling", f"{tree}/loop", f"{tree}/pipe", f"{tmp_path}/missing"]
    assert "2 stored, 4 failed" in ended.stderr.splitlines()[-1]
    assert skein("cat", "/tree/good", "/tree/link", nodes=three).stdout == "goodgood"


def test_json_has_one_line_for_each_file_done_or_failed(three, tmp_path):
    (tmp_path / "a").write_text("12345")
    ended = skein("put", "--json", tmp_path / "a", tmp_path / "missing", "/in", nodes=three)
    assert ended.returncode == 1
    failed, stored = sorted((json.loads(line) for line in ended.stdout.splitlines()),
                            key=lambda line: line["ok"])
    assert stored["node"] in [node.url for node in three]
    del stored["node"]
    assert stored == {"file": f"{tmp_path}/a", "path": "/in/a", "ok": True, "size_bytes": 5}
    assert failed["file"] == f"{tmp_path}/missing" and failed["error"]
    got = skein("get", "--json", "/in/a", "/in/b", tmp_path / "out", nodes=three)
    assert got.returncode == 1
    failed, fetched = sorted((json.loads(line) for line in got.stdout.splitlines()),
                             key=lambda line: line["ok"])
    assert fetched == {"path": "/in/a", "file": f"{tmp_path}/out/a", "ok": True, "size_bytes": 5}
    assert failed["path"] == "/in/b" and failed["error"] == "no such file"


def test_put_goes_on_when_a_node_dies_and_get_when_a_copy_fails(three, tmp_path):
    (tmp_path / "a").write_bytes(os.urandom(100_000))
    three[0].kill()
    for i in range(6):
        ended = skein("put", tmp_path / "a", f"/file{i}", nodes=three)
        assert ended.returncode == 0, ended.stderr
    assert sum((node.root / "file0").exists() for node in three[1:]) == 1


def test_a_transfer_shows_its_progress_on_a_terminal_and_only_there(three, tmp_path):
    (tmp_path / "first").write_bytes(bytes(100_000))
    (tmp_path / "last").write_bytes(bytes(1 << 20))
    os.mkfifo(tmp_path / "slow")

    def put_on_terminal(*words):
        """What the terminal got. The pipe ends when the transfer is long enough to be shown."""
        mine, its = pty.openpty()
        started = time.monotonic()
        process = subprocess.Popen([str(SKEIN), "--node", three[0].url, *words], cwd=tmp_path,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=its)
        os.close(its)
        with open(tmp_path / "slow", "wb") as slow:
            slow.write(b"x")
            eventually(lambda: time.monotonic() - started > 1, 10, "one second of transfer")
        shown = b""
        try:
            while piece := os.read(mine, 4096):
                shown += piece
        except OSError:
            pass  # the terminal's other end is closed: the program has ended
        os.close(mine)
        assert process.wait(60) == 0
        return shown

    shown = put_on_terminal("put", "first", "slow", "last", "/loud/")
    assert b"slow  8%  98K of 1.1M  " in shown and b"/s  " in shown and b"left" in shown, shown
    assert shown.endswith(b"\r\x1b[K"), "the line stays behind"
    assert put_on_terminal("--quiet", "put", "first", "slow", "last", "/quiet/") == b""


@needs_root
def test_a_file_that_may_not_be_read_is_one_failure(three, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret").chmod(0)
    os.chmod(tmp_path, 0o755)
    ended = subprocess.run(["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs",
                            "--reuid=65534", "--clear-groups", runnable_by_anyone(SKEIN), "--node",
                            three[0].url, "put", str(tmp_path / "secret"), "/"], capture_output=True, text=True,
                           timeout=30)
    assert ended.returncode == 1, ended
    assert ended.stderr.startswith("skein put: ") and "Permission denied" in ended.stderr
    assert ended.stderr.count("\n") == 1
