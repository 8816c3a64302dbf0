"""PUT of whole files and of directories (docs/wire.md, "PUT")."""
import concurrent.futures
import random
import stat

import harness
import pytest
import wire

must = pytest.mark.must


@must
def test_put_answers_200_without_a_body_and_makes_parents(target, folder):
    reply = target.put(f"{folder}/deep/er/file", b"hello")
    assert reply.status == 200 and reply.body == b""
    assert target.get(f"{folder}/deep/er/file").body == b"hello"


@must
def test_the_file_on_disk_is_a_plain_file_that_nobody_may_write(target, folder, root):
    target.put(f"{folder}/deep/a.txt", b"hello")
    path = root / folder[1:] / "deep/a.txt"
    assert path.read_bytes() == b"hello"
    assert stat.S_IMODE(path.stat().st_mode) == 0o440
    assert {p.name for p in path.parent.iterdir()} == {"a.txt"}


@must
def test_an_existing_name_is_405_its_body_is_drained_and_nothing_changes(target, folder):
    with target.connect() as connection:
        assert connection.put(f"{folder}/a", b"first").status == 200
        # The second body is a request itself: read as one, it would make a file.
        trap = wire.encode_put(f"{folder}/trap", b"x")
        refused = connection.put(f"{folder}/a", trap)
        assert refused.status == 405
        assert connection.get(f"{folder}/a").body == b"first"
        assert connection.get(f"{folder}/trap").status == 404
        assert connection.put(f"{folder}/a", random.randbytes(9 << 20)).status == 405
        assert connection.get(f"{folder}/a").body == b"first"


@must
def test_put_of_a_file_on_a_directory_is_405(target, folder):
    target.put(f"{folder}/d/x", b"1")
    with target.connect() as connection:
        assert connection.put(f"{folder}/d", b"abc").status == 405
        assert connection.get(f"{folder}/d/x").body == b"1"


@must
def test_put_with_a_trailing_slash_makes_a_directory_once(target, folder):
    with target.connect() as connection:
        assert connection.put(f"{folder}/a/b/").status == 200
        assert connection.put(f"{folder}/a/b/").status == 405
        assert connection.put(f"{folder}/a/").status == 405
        assert connection.get(f"{folder}/a/b/").body == b"{}"
        assert connection.put(f"{folder}/a/file", b"x").status == 200
        assert connection.put(f"{folder}/a/file/").status == 405


def test_a_file_where_a_parent_should_be_is_refused(target, folder):
    with target.connect() as connection:
        assert connection.put(f"{folder}/a", b"x").status == 200
        assert connection.put(f"{folder}/a/b", b"y").status == 405
        assert connection.put(f"{folder}/a/b/c/", b"").status == 405
        assert connection.get(f"{folder}/a").body == b"x"


def test_the_root_cannot_be_written(target):
    assert target.put("/", b"x").status == 405
    assert target.put("/", b"").status == 405


@must
def test_a_query_is_no_part_of_the_name(target, folder):
    assert target.put(f"{folder}/a?x=1", b"q").status == 200
    assert target.get(f"{folder}/a").body == b"q"


@must
@pytest.mark.parametrize("name", ["a", "existing"])
def test_expect_100_continue_is_honoured(target, folder, name):
    target.put(f"{folder}/existing", b"old")
    with target.connect() as connection:
        connection.send(wire.encode_head("PUT", f"{folder}/{name}", {
            "Content-Length": 5, "Expect": "100-continue"}))
        if name == "a":
            assert connection.interim() == 100
            connection.send(b"12345")
            assert connection.reply().status == 200
            assert connection.get(f"{folder}/a").body == b"12345"
        else:
            # A final status at once, or 100 and the status after the body: both are honest.
            head = connection._head()
            if head.status == 100:
                connection.send(b"12345")
                head = connection.reply()
            assert head.status == 405
    assert target.get(f"{folder}/existing").body == b"old"


def test_a_chunked_body_is_stored_without_its_framing(target, folder):
    with target.connect() as connection:
        connection.send(wire.encode_head("PUT", f"{folder}/c", {"Transfer-Encoding": "chunked"})
                        + b"4\r\nwiki\r\n5;x=y\r\npedia\r\n0\r\nTrailer: t\r\n\r\n")
        assert connection.reply().status == 200
        assert connection.get(f"{folder}/c").body == b"wikipedia"


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"4\r\nwikiXX\r\n", b"-1\r\n",
                                    b"FFFFFFFFFFFFFFFFFF\r\n"])
def test_malformed_chunks_are_400_and_store_nothing(target, folder, chunks):
    with target.connect() as connection:
        connection.send(wire.encode_head("PUT", f"{folder}/c", {"Transfer-Encoding": "chunked"})
                        + chunks)
        assert connection.reply().status in (400, 413)
        assert connection.is_closed()
    assert target.get(f"{folder}/c").status == 404


def test_a_file_put_without_any_length_is_refused(target, folder):
    """No length is an empty body to HTTP; PYME's writers always say one, and so a lost header would
    be stored as an empty file for ever."""
    with target.connect() as connection:
        reply = connection.request("PUT", f"{folder}/a")
        assert reply.status in (400, 411)
    assert target.get(f"{folder}/a").status == 404


@must
def test_a_file_is_not_there_before_its_last_byte(target, folder):
    body = random.randbytes(3 << 20)
    with target.connect() as slow, target.connect() as other:
        slow.send(wire.encode_head("PUT", f"{folder}/d/a", {"Content-Length": len(body)})
                  + body[:-1])
        for _ in range(3):
            assert other.get(f"{folder}/d/a").status == 404
            assert "a" not in target.names(f"{folder}/d/")
        slow.send(body[-1:])
        assert slow.reply().status == 200
        assert other.get(f"{folder}/d/a").body == body


@must
def test_a_body_cut_short_stores_nothing(target, folder, root):
    def stages():
        return set((root / ".skein").glob("stage/*"))

    kept = stages()  # of other tests
    for cut in ("close", "reset", "half"):
        with target.connect() as connection:
            connection.send(wire.encode_head("PUT", f"{folder}/{cut}/a", {"Content-Length": 100})
                            + b"x" * 60)
            {"close": connection.close, "reset": connection.reset,
             "half": connection.finish_sending}[cut]()
            if cut == "half":
                # 400, or the end: nothing else is true.
                try:
                    assert connection.reply().status == 400
                except wire.Closed:
                    pass
    assert target.put(f"{folder}/after", b"x").status == 200
    for cut in ("close", "reset", "half"):
        assert target.get(f"{folder}/{cut}/a").status == 404
        assert not (root / folder[1:] / cut / "a").exists()
    harness.eventually(lambda: stages() <= kept, 30, "stages dropped")


def test_two_racing_puts_have_exactly_one_winner(target, folder):
    bodies = [b"A" * 200_000, b"B" * 200_000]
    with target.connect() as one, target.connect() as two, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        for n in range(100):
            name = f"{folder}/r{n}"
            replies = list(pool.map(lambda it: it[0].put(name, it[1]), zip((one, two), bodies)))
            assert sorted(reply.status for reply in replies) == [200, 405], n
            winner = bodies[0 if replies[0].status == 200 else 1]
            assert one.get(name).body == winner


def test_four_racing_directories_and_files_have_one_winner(target, folder):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for n in range(20):
            names = [f"{folder}/m{n}", f"{folder}/m{n}/"] * 2
            statuses = list(pool.map(lambda name: target.put(name, b"").status, names))
            assert sorted(statuses) == [200, 405, 405, 405], (n, statuses)


def test_no_reply_claims_more_than_was_stored(target, folder):
    """A body longer than announced: the rest is the next request, and no good one."""
    with target.connect() as connection:
        connection.send(wire.encode_head("PUT", f"{folder}/a", {"Content-Length": 4})
                        + b"123456\r\n\r\n")
        assert connection.reply().status == 200
        assert connection.reply().status == 400
        assert connection.is_closed()
    assert target.get(f"{folder}/a").body == b"1234"
