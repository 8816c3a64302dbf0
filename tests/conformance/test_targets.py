"""From a request target to a path, and never out of the served folder (docs/wire.md, "HTTP
rules")."""
import os
import urllib.parse

import pytest
import wire

must = pytest.mark.must
SECRET = b"kept outside of the served folder"


@must
def test_leading_slashes_do_not_count(target, folder):
    assert target.put(f"//{folder}/a", b"x").status == 200
    for spelled in (f"{folder}/a", f"/{folder}/a", f"//{folder}/a", f"{folder}//a",
                    f"{folder}/./a", f"/./{folder}/././/a"):
        assert target.get(spelled).body == b"x", spelled


@must
def test_a_raw_utf8_target_names_the_same_file_as_its_escapes(target, folder):
    name = "ä-日本-é.pzf"
    with target.connect() as connection:
        connection.send(wire.raw_put(f"{folder}/{name}", b"raw", last=True))
        assert connection.reply().status == 200
    with target.connect() as connection:
        assert connection.get(f"{folder}/{urllib.parse.quote(name)}").body == b"raw"
        assert connection.get(f"{folder}/{name}".encode()).body == b"raw"
    assert name in target.names(f"{folder}/")


@must
def test_a_target_ends_at_the_first_question_mark_or_hash(target, folder):
    target.put(f"{folder}/a", b"x")
    for spelled in (f"{folder}/a?b", f"{folder}/a#b", f"{folder}/a#b?c", f"{folder}/a?b#c/d",
                    f"{folder}/a?"):
        assert target.get(spelled).body == b"x", spelled


@must
def test_a_plus_is_a_plus_in_a_path(target, folder):
    target.put(f"{folder}/a+b", b"plus")
    assert target.get(f"{folder}/a%2Bb").body == b"plus"
    assert target.get(f"{folder}/a%20b").status == 404


def test_an_absolute_target_is_served_as_its_path(target, folder):
    """RFC 9112, 3.2.2: a server must take it."""
    target.put(f"{folder}/a", b"x")
    assert target.get(f"{target.url}{folder}/a").body == b"x"


@pytest.mark.parametrize("escape", ["%", "%4", "%zz", "%u0041", "%%41"])
def test_a_malformed_escape_is_400(target, folder, escape):
    assert target.get(f"{folder}/{escape}").status == 400
    assert target.put(f"{folder}/{escape}", b"x").status == 400
    assert target.names(f"{folder}/") == {}


@pytest.mark.parametrize("spelled", ["a%00b", "%00", "a%2Fb", "a%2fb", "..%2fb"])
def test_nul_and_escaped_slashes_name_nothing(target, folder, spelled):
    target.put(f"{folder}/a/b", b"x")
    for method in ("GET", "HEAD", "PUT"):
        reply = target.request(method, f"{folder}/{spelled}", b"y" if method == "PUT" else None)
        assert reply.status == 400, (method, reply)
    assert set(target.names(f"{folder}/")) == {"a/"}


CLIMBS = ["/../outside.txt", "/%2e%2e/outside.txt", "/.%2e/outside.txt", "/a/../../outside.txt",
          "/../../../../../../../../etc/passwd", "/..%2foutside.txt", "/%2e%2e%2foutside.txt",
          "//../outside.txt", "/./../outside.txt", "/..\\outside.txt", "/%5c..%5coutside.txt",
          "/....//outside.txt", "/%252e%252e/outside.txt", "/%c0%ae%c0%ae/outside.txt",
          "/..%00/outside.txt", "/..;/outside.txt", "/%2e%2e%c0%afoutside.txt", "/etc/passwd"]


@pytest.fixture
def outside(target, root):
    """A file beside the served folder that nobody may reach."""
    path = root.parent / "outside.txt"
    path.write_bytes(SECRET)
    yield path
    assert path.read_bytes() == SECRET
    path.unlink()


@must
@pytest.mark.parametrize("climb", CLIMBS)
def test_nothing_outside_the_folder_is_read(target, outside, climb):
    for spelled in (climb, climb + "/", climb + "?x"):
        reply = target.get(spelled)
        assert reply.status in (400, 403, 404), reply
        assert SECRET not in reply.body and b"root:" not in reply.body


@must
@pytest.mark.parametrize("climb", [c.replace("outside.txt", "written") for c in CLIMBS[:-1]])
def test_nothing_outside_the_folder_is_written(target, root, outside, climb):
    before = set(os.listdir(root.parent))
    reply = target.put(climb.replace("/etc/passwd", "/tmp/skein-conformance-written"), b"x")
    assert reply.status in (200, 400, 403, 404), reply
    assert set(os.listdir(root.parent)) == before
    assert not os.path.exists("/tmp/skein-conformance-written")


def test_writes_that_climb_are_refused(target, root):
    for climb in ("/../a", "/a/../../b", "/%2e%2e/a"):
        assert target.put(climb, b"x").status == 400, climb


def test_symlinks_that_lead_out_are_not_followed(target, folder, root, outside):
    target.put(f"{folder}/real/a", b"inside")
    disk = root / folder[1:]
    (disk / "file").symlink_to(outside)
    (disk / "up").symlink_to(outside.parent)
    (disk / "relative").symlink_to("../..")
    (disk / "proc").symlink_to("/proc/self/root")
    for spelled in ("file", "up/outside.txt", "relative/outside.txt", "up/", "relative/",
                    f"proc{outside}", "up", "relative"):
        reply = target.get(f"{folder}/{spelled}")
        assert reply.status in (403, 404), (spelled, reply)
        assert SECRET not in reply.body
    for spelled in ("file", "up/new", "relative/new", "up/new/"):
        assert target.put(f"{folder}/{spelled}", b"x").status in (403, 404, 405), spelled
    assert set(os.listdir(outside.parent)) == {"outside.txt", root.name}


def test_a_symlink_inside_the_folder_may_be_followed_but_not_replaced(target, folder, root):
    target.put(f"{folder}/real", b"inside")
    (root / folder[1:] / "link").symlink_to("real")
    assert target.get(f"{folder}/link").body == b"inside"
    assert target.put(f"{folder}/link", b"x").status == 405
    (root / folder[1:] / "dangling").symlink_to("nowhere")
    assert target.put(f"{folder}/dangling", b"x").status == 405
    assert target.get(f"{folder}/nowhere").status == 404


def test_private_files_are_refused_in_every_spelling(target, root):
    for spelled in ("/.skein", "/.skein/", "/.skein/node-id", "//.skein/node-id",
                    "/%2eskein/node-id", "/./.skein/lock", "/x/../.skein/node-id"):
        assert target.get(spelled).status in (400, 403, 404), spelled
        assert target.put(spelled + "/new", b"x").status in (400, 403, 404, 405), spelled
        assert target.put(spelled + "new", b"x").status != 500, spelled
    assert not (root / ".skein" / "new").exists()
    assert not (root / ".skein" / "node-id" / "new").exists()


def test_what_is_neither_file_nor_directory_is_404(target, folder, root):
    target.put(f"{folder}/a", b"x")
    os.mkfifo(root / folder[1:] / "fifo")
    assert target.get(f"{folder}/fifo").status in (403, 404)
    assert "fifo" not in target.names(f"{folder}/")
    os.unlink(root / folder[1:] / "fifo")


@must
def test_long_names_are_refused_and_the_server_lives(target, folder):
    for spelled in ("a" * 256, "a" * 5000, "/".join(["b" * 200] * 30), "%41" * 300):
        with target.connect() as connection:
            assert connection.get(f"{folder}/{spelled}").status in (400, 404, 414), len(spelled)
        with target.connect() as connection:
            assert connection.put(f"{folder}/{spelled}", b"x").status in (400, 404, 414)
    assert target.get("/__status").status == 200


@must
def test_names_of_255_bytes_and_paths_beyond_256_work(target, folder):
    """PYME's server dies of paths of 256 bytes."""
    longest = f"{folder}/" + "/".join(["d" * 100] * 5) + "/" + "n" * 255
    assert target.put(longest, b"x").status == 200
    assert target.get(longest).body == b"x"
    assert target.names(longest[:-255])["n" * 255] == [0, 1]


@must
def test_reserved_names_are_no_files(target):
    for reserved in ("/__aggregate_nonsense/a", "/__status", "/__stage", "/__publish/x"):
        assert target.put(reserved, b"x").status in (400, 403, 404, 405, 501), reserved
    assert not [name for name in target.names("/") if name.startswith("__")]
