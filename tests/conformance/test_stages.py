"""Stages, Skein's extension: bytes kept without being shown (docs/wire.md, "Stages")."""
import concurrent.futures
import os
import random
import stat
import time
import uuid

import harness
import pytest
import wire

BODY = random.Random(11).randbytes(200_000)


@pytest.fixture
def stage():
    return str(uuid.uuid4())


def test_a_stage_is_invisible_until_it_is_published(target, folder, stage):
    with target.connect() as connection:
        reply = connection.put(f"/__stage/{stage}{folder}/d/a", BODY)
        assert reply.status == 200 and reply.body == b""
        assert connection.get(f"{folder}/d/a").status == 404
        assert "a" not in target.names(f"{folder}/d/")
        assert connection.put(f"/__publish/{stage}{folder}/d/a").status == 200
        assert connection.get(f"{folder}/d/a").body == BODY
        assert target.names(f"{folder}/d/") == {"a": [0, len(BODY)]}


def test_a_published_stage_is_a_plain_file_like_any(target, folder, stage, root):
    target.put(f"/__stage/{stage}{folder}/a", BODY)
    assert list((root / ".skein/stage").glob(f"*{stage}*"))
    target.put(f"/__publish/{stage}{folder}/a")
    path = root / folder[1:] / "a"
    assert path.read_bytes() == BODY
    assert stat.S_IMODE(path.stat().st_mode) == 0o440 and path.stat().st_nlink == 1
    assert not list((root / ".skein/stage").glob(f"*{stage}*"))


def test_a_stage_is_published_once(target, folder, stage):
    target.put(f"/__stage/{stage}{folder}/a", b"x")
    with target.connect() as connection:
        assert connection.put(f"/__publish/{stage}{folder}/a").status == 200
        assert connection.put(f"/__publish/{stage}{folder}/a").status in (404, 405)
        assert connection.put(f"/__publish/{stage}{folder}/b").status == 404
        assert connection.put(f"/__drop/{stage}").status == 404


def test_a_stage_may_be_published_under_another_name(target, folder, stage):
    """A temporary file that its writer renamed before it was complete, as rsync does."""
    target.put(f"/__stage/{stage}{folder}/.a.tmp", BODY)
    assert target.put(f"/__publish/{stage}{folder}/elsewhere/a").status == 200
    assert target.get(f"{folder}/elsewhere/a").body == BODY
    assert target.get(f"{folder}/.a.tmp").status == 404


def test_a_repeated_stage_replaces_the_first(target, folder, stage):
    with target.connect() as connection:
        for body in (b"a much longer first body", b"second", b""):
            assert connection.put(f"/__stage/{stage}{folder}/{len(body)}", body).status == 200
        assert connection.put(f"/__stage/{stage}{folder}/a", b"final").status == 200
        assert connection.put(f"/__publish/{stage}{folder}/a").status == 200
        assert connection.get(f"{folder}/a").body == b"final"


def test_a_replacement_cut_short_leaves_the_stage_as_it_was(target, folder, stage):
    assert target.put(f"/__stage/{stage}{folder}/a", b"whole").status == 200
    with target.connect() as connection:
        connection.send(wire.encode_head("PUT", f"/__stage/{stage}{folder}/a",
                                         {"Content-Length": 100}) + b"x" * 50)
    assert target.put(f"/__publish/{stage}{folder}/a").status == 200
    assert target.get(f"{folder}/a").body == b"whole"


def test_a_stage_for_an_existing_name_is_405_and_drained(target, folder, stage):
    target.put(f"{folder}/a", b"old")
    with target.connect() as connection:
        trap = wire.encode_put(f"{folder}/trap", b"x")
        assert connection.put(f"/__stage/{stage}{folder}/a", trap).status == 405
        assert connection.get(f"{folder}/trap").status == 404
        assert connection.put(f"/__publish/{stage}{folder}/b").status == 404


def test_publishing_on_a_taken_name_is_405_and_keeps_the_stage(target, folder, stage):
    with target.connect() as connection:
        assert connection.put(f"/__stage/{stage}{folder}/a", b"mine").status == 200
        assert connection.put(f"{folder}/a", b"theirs").status == 200
        assert connection.put(f"/__publish/{stage}{folder}/a").status == 405
        assert connection.get(f"{folder}/a").body == b"theirs"
        assert connection.put(f"/__publish/{stage}{folder}/b").status == 200
        assert connection.get(f"{folder}/b").body == b"mine"


def test_two_stages_for_one_name_have_one_winner(target, folder):
    ids = [str(uuid.uuid4()) for _ in range(2)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for n in range(30):
            for one in ids:
                assert target.put(f"/__stage/{one}{folder}/f{n}", one.encode()).status == 200
            statuses = list(pool.map(
                lambda one: target.put(f"/__publish/{one}{folder}/f{n}").status, ids))
            assert sorted(statuses) == [200, 405]
            winner = ids[statuses.index(200)]
            assert target.get(f"{folder}/f{n}").body == winner.encode()


def test_one_stage_published_twice_at_once_shows_one_file(target, folder):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for n in range(30):
            one = str(uuid.uuid4())
            target.put(f"/__stage/{one}{folder}/x", b"body")
            names = [f"{folder}/{n}-{side}" for side in "ab"]
            statuses = list(pool.map(
                lambda name: target.put(f"/__publish/{one}{name}").status, names))
            assert sorted(statuses) == [200, 404], statuses
            assert target.get(names[statuses.index(200)]).body == b"body"


def test_a_dropped_stage_is_gone(target, folder, stage):
    with target.connect() as connection:
        assert connection.put(f"/__drop/{stage}").status == 404
        assert connection.put(f"/__stage/{stage}{folder}/a", b"x").status == 200
        assert connection.put(f"/__drop/{stage}").status == 200
        assert connection.put(f"/__publish/{stage}{folder}/a").status == 404
        assert connection.get(f"{folder}/a").status == 404


@pytest.mark.parametrize("bad", ["x", "0", "AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA",
                                 "11111111-1111-4111-8111-11111111111", "node-id",
                                 "11111111-1111-4111-8111-1111111111111"])
def test_what_is_no_lower_case_uuid_is_400(target, folder, bad):
    with target.connect() as connection:
        for request in (f"/__stage/{bad}{folder}/a", f"/__publish/{bad}{folder}/a"):
            assert connection.put(request, b"").status in (400, 404), request
    assert target.put(f"/__stage/{bad}{folder}/a", b"x").status in (400, 404)
    assert target.get(f"{folder}/a").status == 404


def test_a_stage_without_a_path_or_into_private_files_is_refused(target, stage):
    for path in ("", "/", "/.skein/x", "/../x", "/__status"):
        assert target.put(f"/__stage/{stage}{path}", b"x").status in (400, 403, 404, 405), path
    assert target.put(f"/__publish/{stage}/a").status == 404


def test_a_stage_survives_a_restart_with_its_bytes(own, tmp_path, stage):
    server = own(root=tmp_path / "root")
    server.put(f"/__stage/{stage}/d/a", BODY)
    assert server.own.stop() == 0
    again = own(root=tmp_path / "root")
    assert again.names("/") == {}
    assert again.put(f"/__publish/{stage}/d/a").status == 200
    assert again.get("/d/a").body == BODY


def test_a_stage_survives_the_servers_death(own, tmp_path, stage):
    server = own(root=tmp_path / "root")
    server.put(f"/__stage/{stage}/a", BODY)
    server.own.kill()
    again = own(root=tmp_path / "root")
    assert again.put(f"/__publish/{stage}/a").status == 200
    assert again.get("/a").body == BODY


def test_what_was_being_staged_when_the_server_died_is_gone(own, tmp_path, stage):
    server = own(root=tmp_path / "root")
    with server.connect() as connection:
        connection.send(wire.encode_head("PUT", f"/__stage/{stage}/a", {"Content-Length": 1 << 20})
                        + b"x" * 900_000)
        harness.eventually(lambda: connection.unsent_bytes() == 0, 10, "received")
        server.own.kill()
    again = own(root=tmp_path / "root")
    assert again.put(f"/__publish/{stage}/a").status == 404
    assert again.names("/") == {}
    assert not [p for p in (tmp_path / "root/.skein/stage").iterdir() if p.stat().st_size]


def test_a_stage_is_dropped_a_day_after_its_last_write(own, tmp_path, stage):
    fresh = str(uuid.uuid4())
    server = own(root=tmp_path / "root")
    server.put(f"/__stage/{stage}/a", b"x")
    server.put(f"/__stage/{fresh}/b", b"x")
    assert server.own.stop() == 0
    kept = list((tmp_path / "root/.skein/stage").glob(f"*{stage}*"))
    assert kept
    for path in kept:
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    again = own(root=tmp_path / "root")
    harness.eventually(lambda: again.put(f"/__publish/{stage}/a").status == 404, 10, "dropped")
    assert not list((tmp_path / "root/.skein/stage").glob(f"*{stage}*"))
    assert again.put(f"/__publish/{fresh}/b").status == 200


def test_stages_are_pipelined_like_any_put(target, folder):
    ids = [str(uuid.uuid4()) for _ in range(100)]
    with target.connect() as connection:
        connection.send(b"".join(
            wire.encode_put(f"/__stage/{one}{folder}/f{n}", one.encode())
            + wire.encode_put(f"/__publish/{one}{folder}/f{n}") for n, one in enumerate(ids)))
        for _ in range(200):
            assert connection.reply().status == 200
        for n, one in enumerate(ids):
            assert connection.get(f"{folder}/f{n}").body == one.encode()
