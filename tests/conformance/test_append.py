"""Appends of text: whole bodies, one after the other, and their end, the seal."""
import concurrent.futures
import gzip
import os
import stat
import uuid

import pytest

import harness

must = pytest.mark.must


@pytest.fixture
def growing(folder):
    """A target below /_aggregate that no test used before."""
    return f"/_aggregate{folder}"


@must
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_appends_follow_each_other_and_are_read_at_once(target, growing, method):
    size = 0
    for line in (b"one\n", b"", b"two\n"):
        reply = target.request(method, f"{growing}/log.txt", line)
        assert reply.status == 200, reply
        assert reply.headers["skein-offset"] == str(size)
        size += len(line)
    assert target.get(f"{growing}/log.txt").body == b"one\ntwo\n"
    harness.eventually(lambda: target.names(f"{growing}/")["log.txt"][1] == 8, 3,
                       "the listing shows the size")


@must
def test_pyme_s_spelling_grows_the_file_at_its_own_path_whatever_its_name(target, folder):
    for line in (b"a\n", b"b\n"):
        assert target.put(f"/__aggregate_txt{folder}/notes.anything", line).status == 200
    assert target.get(f"{folder}/notes.anything").body == b"a\nb\n"
    # Leading slashes do not count.
    assert target.put(f"//__aggregate_txt{folder}/notes.anything", b"c\n").status == 200
    assert target.get(f"{folder}/notes.anything").body == b"a\nb\nc\n"


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.log", "a.json", "a.ndjson", "a.jsonl"])
def test_text_grows_by_its_extension(target, growing, name):
    assert target.put(f"{growing}/{name}", b"{}\n").status == 200
    assert target.get(f"{growing}/{name}").body == b"{}\n"


@must
def test_a_coded_body_is_appended_decoded(target, folder):
    """PYME sends every append in gzip."""
    path = f"/__aggregate_txt{folder}/a.txt"
    for line in (b"one\n" * 1000, b"two\n"):
        reply = target.put(path, gzip.compress(line), {"Content-Encoding": "gzip"})
        assert reply.status == 200, reply
    assert target.get(f"{folder}/a.txt").body == b"one\n" * 1000 + b"two\n"
    cut = gzip.compress(os.urandom(5000))[:-20]
    assert target.put(path, cut, {"Content-Encoding": "gzip"}).status == 400
    assert target.put(path, b"x", {"Content-Encoding": "br"}).status == 415
    assert target.get(f"{folder}/a.txt").body == b"one\n" * 1000 + b"two\n"


def test_a_body_that_is_cut_short_leaves_nothing(target, growing):
    target.put(f"{growing}/a.txt", b"whole\n")
    for size in (1000, 3_000_000):
        with target.connect() as connection:
            connection.send(f"PUT {growing}/a.txt HTTP/1.1\r\nHost: x\r\n"
                            f"Content-Length: {size}\r\n\r\n".encode() + b"h" * (size - 1))
    assert target.put(f"{growing}/a.txt", b"next\n").status == 200
    assert target.get(f"{growing}/a.txt").body == b"whole\nnext\n"


def test_a_first_append_that_is_cut_short_makes_no_file(target, growing):
    with target.connect() as connection:
        connection.send(f"PUT {growing}/new.txt HTTP/1.1\r\nHost: x\r\n"
                        "Content-Length: 100\r\n\r\nhalf".encode())
    assert target.get(f"{growing}/new.txt").status == 404


@must
def test_large_and_small_bodies_of_many_writers_are_unbroken(target, growing):
    """Each body is one range of the file; a large one waits on the server's disk."""
    bodies = [bytes([65 + n]) * (2_000_000 if n % 4 == 0 else 300) + b"\n" for n in range(24)]
    with concurrent.futures.ThreadPoolExecutor(24) as writers:
        replies = list(writers.map(lambda body: target.put(f"{growing}/a.log", body), bodies))
    assert [reply.status for reply in replies] == [200] * len(bodies)
    content = target.get(f"{growing}/a.log").body
    assert sorted(content.splitlines(keepends=True)) == sorted(bodies)
    for body, reply in zip(bodies, replies):
        offset = int(reply.headers["skein-offset"])
        assert content[offset:offset + len(body)] == body


@must
def test_pipelined_appends_keep_their_order(target, growing):
    lines = [b"line %d\n" % n for n in range(2000)]
    with target.connect() as connection:
        for line in lines:
            connection.send(f"PUT {growing}/a.txt HTTP/1.1\r\nHost: x\r\n"
                            f"Content-Length: {len(line)}\r\n\r\n".encode() + line)
        for _ in lines:
            assert connection.reply().status == 200
    assert target.get(f"{growing}/a.txt").body == b"".join(lines)


def test_a_request_id_is_carried_out_once(target, growing):
    name = {"Skein-Request-Id": str(uuid.uuid4())}
    assert "skein-repeated" not in target.put(f"{growing}/a.txt", b"once\n", name).headers
    again = target.put(f"{growing}/a.txt", b"once\n", name)
    assert again.status == 200 and again.headers["skein-repeated"] == "1"
    assert again.headers["skein-offset"] == "0"
    assert target.put(f"{growing}/a.txt", b"other\n", name).status == 400
    assert target.put(f"{growing}/a.txt", b"x", {"Skein-Request-Id": "mine"}).status == 400
    assert target.get(f"{growing}/a.txt").body == b"once\n"


def test_a_client_cannot_take_old_content_for_new(target, growing):
    target.put(f"{growing}/a.txt", b"one\n")
    first = target.get(f"{growing}/a.txt")
    assert "last-modified" not in first.headers
    assert target.get(f"{growing}/a.txt",
                      {"If-None-Match": first.headers["etag"]}).status == 304
    target.put(f"{growing}/a.txt", b"two\n")
    later = "Fri, 01 Jan 2100 00:00:00 GMT"
    for known in ({"If-None-Match": first.headers["etag"]}, {"If-Modified-Since": later}):
        assert target.get(f"{growing}/a.txt", known).body == b"one\ntwo\n"
    rest = target.get(f"{growing}/a.txt", {"Range": "bytes=4-"})
    assert rest.status == 206 and rest.body == b"two\n"


def test_a_sealed_file_is_an_ordinary_one(target, growing, root):
    path = f"{growing}/a.txt"
    target.put(path, b"one\n")
    on_disk = root / path[1:]
    assert stat.S_IMODE(on_disk.stat().st_mode) == 0o1644
    assert target.put(f"/__seal{path}").status == 200
    assert stat.S_IMODE(on_disk.stat().st_mode) == 0o440
    refused = target.put(path, b"two\n")
    assert refused.status == 409 and b"sealed" in refused.body
    assert "last-modified" in target.get(path).headers
    assert target.get(path).body == b"one\n"
    # Sealing is done or not, however often it is asked for.
    assert target.put(f"/__seal{path}").status == 200
    assert target.put(f"/__seal{growing}/missing.txt").status == 404


def test_what_was_put_does_not_grow(target, folder):
    target.put(f"{folder}/a.txt", b"whole\n")
    assert target.put(f"/__aggregate_txt{folder}/a.txt", b"more\n").status == 409
    assert target.put(f"/__aggregate_txt{folder}", b"more\n").status == 409
    assert target.put(f"/__aggregate_txt{folder}/a.txt/b", b"more\n").status == 409
    assert target.get(f"{folder}/a.txt").body == b"whole\n"
    # Nor is a growing file replaced.
    target.put(f"/__aggregate_txt{folder}/b.txt", b"1\n")
    assert target.put(f"{folder}/b.txt", b"other\n").status == 405


@pytest.mark.parametrize("path, status", [
    ("/_aggregate/a.bin", 415), ("/_aggregate/noextension", 415), ("/__aggregate_txt/", 400),
    ("/__aggregate_txt/.skein/node-id", 400), ("/__aggregate_txt/../../a.txt", 400),
    ("/__seal/", 400), ("/__seal/.skein/node-id", 403), ("/__own/a.txt", 400),
    ("/_aggregate/a.txt?MirrorSource=http://127.0.0.1:1/a", 403)])
def test_what_cannot_grow_is_refused(target, path, status):
    assert target.put(path, b"x").status == status, path


def test_a_folder_below_aggregate_is_made_as_any(target, growing):
    assert target.put(f"{growing}/empty/").status == 200
    assert target.names(f"{growing}/empty/") == {}
    assert target.put(f"{growing}/empty/").status == 405


def test_post_is_for_appends_alone(target, folder, growing):
    assert target.request("POST", f"{folder}/a.txt", b"x").status == 501
    assert "POST" in target.request("OPTIONS", f"{growing}/a.txt").headers["allow"]
    assert "POST" not in target.request("OPTIONS", f"{folder}/a.txt").headers["allow"]


def test_an_append_beyond_the_limit_is_refused_before_its_body(target, growing):
    with target.connect() as connection:
        connection.send(f"PUT {growing}/a.txt HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                        f"Content-Length: {257 << 20}\r\n\r\n".encode())
        assert connection.reply().status == 413


def test_a_growing_file_goes_on_after_a_restart(own):
    target = own()
    name = {"Skein-Request-Id": str(uuid.uuid4())}
    target.put("/_aggregate/a.txt", b"one\n", name)
    target.put("/_aggregate/b.txt", b"sealed\n")
    target.put("/__seal/_aggregate/b.txt")
    target.own.kill()
    # As a crash in the middle of an append leaves it.
    with open(target.root / "_aggregate" / "a.txt", "ab") as cut:
        cut.write(b"half a li")
    again = own(root=target.root)
    assert again.get("/_aggregate/a.txt").body == b"one\n"
    assert again.put("/_aggregate/a.txt", b"one\n", name).headers["skein-repeated"] == "1"
    assert again.put("/_aggregate/a.txt", b"two\n").headers["skein-offset"] == "4"
    assert again.put("/_aggregate/b.txt", b"more\n").status == 409
    assert (target.root / "_aggregate" / "a.txt").read_bytes() == b"one\ntwo\n"


def test_with_sync_publish_pipelined_appends_share_a_flush(own):
    target = own(args=["--sync", "publish"])
    with target.connect() as connection:
        for n in range(500):
            connection.send(f"PUT /_aggregate/a.txt HTTP/1.1\r\nHost: x\r\n"
                            f"Content-Length: 4\r\n\r\n{n:03}\n".encode())
        for _ in range(500):
            assert connection.reply().status == 200
    assert target.get("/_aggregate/a.txt").body == b"".join(b"%03d\n" % n for n in range(500))
