"""Stages that come in pieces, Skein's extension (docs/wire.md, "Stages")."""
import itertools
import random
import uuid

import pytest
import wire

# Checksums are held against those of files that come whole.
pytestmark = pytest.mark.usefixtures("attributes")
BODY = random.Random(12).randbytes(300_000)


@pytest.fixture
def stage():
    return str(uuid.uuid4())


class Pieces:
    """One stage, sent piece by piece over one connection."""

    def __init__(self, connection, stage, path):
        self.connection, self.stage, self.path = connection, stage, path

    def put(self, field, body=b"", **headers):
        return self.connection.put(f"/__piece/{self.stage}{self.path}", body,
                                   {"Content-Range": field, **headers})

    def resize(self, size):
        return self.put(f"bytes */{size}")

    def send(self, first, body, whole="*"):
        return self.put(f"bytes {first}-{first + len(body) - 1}/{whole}", body)

    def publish(self):
        return self.connection.put(f"/__publish/{self.stage}{self.path}").status


@pytest.fixture
def pieces(target, folder, stage):
    with target.connect() as connection:
        yield Pieces(connection, stage, f"{folder}/a")


def digest(target, folder, body):
    """As the server takes it of a file that comes whole."""
    name = f"{folder}/{uuid.uuid4()}"
    assert target.put(name, body).status == 200
    return target.get(name).headers["repr-digest"]


def test_pieces_in_order_are_a_file_with_its_checksum(target, folder, pieces):
    expected = digest(target, folder, BODY)
    assert pieces.resize(0).status == 200
    for first in range(0, len(BODY), 100_000):
        reply = pieces.send(first, BODY[first:first + 100_000])
        assert reply.status == 200 and reply.body == b""
    assert reply.headers["repr-digest"] == expected
    assert pieces.resize(len(BODY)).headers["repr-digest"] == expected
    assert target.get(pieces.path).status == 404
    assert pieces.publish() == 200
    got = target.get(pieces.path)
    assert got.body == BODY and got.headers["repr-digest"] == expected


def test_a_piece_sent_again_replaces_its_bytes(target, pieces):
    pieces.resize(0)
    pieces.send(0, BODY)
    reply = pieces.send(1000, b"patch", len(BODY))
    assert reply.status == 200 and "repr-digest" not in reply.headers
    assert pieces.publish() == 200
    got = target.get(pieces.path)
    assert got.body == BODY[:1000] + b"patch" + BODY[1005:]
    assert "repr-digest" not in got.headers


def test_the_whole_length_cuts_and_grows(target, pieces):
    pieces.resize(0)
    pieces.send(0, b"0123456789")
    assert pieces.resize(4).status == 200
    assert pieces.send(6, b"xy", 9).status == 200
    assert pieces.publish() == 200
    assert target.get(pieces.path).body == b"0123\0\0xy\0"


def test_a_checksum_does_not_outlive_the_bytes_it_is_of(target, folder, pieces):
    pieces.resize(0)
    assert "repr-digest" in pieces.send(0, b"abc", 3).headers
    assert "repr-digest" not in pieces.send(1, b"B", 3).headers
    pieces.resize(0)
    assert pieces.send(0, b"new", 3).headers["repr-digest"] == digest(target, folder, b"new")
    assert pieces.connection.put(f"/__stage/{pieces.stage}{pieces.path}", b"whole").status == 200
    assert pieces.publish() == 200
    got = target.get(pieces.path)
    assert got.body == b"whole" and got.headers["repr-digest"] == digest(target, folder, b"whole")


def test_a_piece_cut_short_is_sent_again_by_another_connection(target, folder, pieces):
    pieces.resize(0)
    pieces.send(0, BODY[:1000])
    with target.connect() as connection:
        connection.send(wire.encode_head("PUT", f"/__piece/{pieces.stage}{pieces.path}",
                                         {"Content-Length": 5000,
                                          "Content-Range": "bytes 1000-5999/*"}) + b"x" * 2000)
    reply = pieces.send(1000, BODY[1000:], len(BODY))
    assert reply.status == 200, reply
    assert reply.headers["repr-digest"] == digest(target, folder, BODY)
    assert pieces.publish() == 200
    assert target.get(pieces.path).body == BODY


def test_a_piece_of_no_stage_is_404(pieces):
    assert pieces.send(0, b"x").status == 404
    assert pieces.resize(1).status == 404
    assert pieces.publish() == 404


def test_a_piece_for_an_existing_name_is_405_and_drained(target, folder, pieces):
    target.put(pieces.path, b"old")
    trap = wire.encode_put(f"{folder}/trap", b"x")
    assert pieces.resize(0).status == 405
    assert pieces.send(0, trap).status == 405
    assert target.get(f"{folder}/trap").status == 404


def test_a_piece_that_is_not_what_it_announces_is_400(target, folder, pieces):
    wrong = digest(target, folder, b"other")
    pieces.resize(0)
    field = "bytes 0-2/3"
    assert pieces.put(field, b"abc", **{"Content-Digest": wrong}).status == 400
    assert pieces.put(field, b"abc",
                      **{"Content-Digest": digest(target, folder, b"abc")}).status == 200


@pytest.mark.parametrize("field", ["", "bytes", "bytes 0-2", "bytes 0-1/3", "bytes 2-0/3",
                                   "bytes 0-2/2", "bytes */3", "bytes */*", "bytes -3/3",
                                   "bytes 0-2/x", "bytes 0-2/3x", "chars 0-2/3",
                                   "bytes 18446744073709551614-18446744073709551616/*",
                                   "bytes 9223372036854775806-9223372036854775808/*"])
def test_a_range_that_does_not_fit_the_body_is_400(pieces, field):
    pieces.resize(0)
    headers = {"Content-Range": field} if field else {}
    assert pieces.connection.put(f"/__piece/{pieces.stage}{pieces.path}", b"abc",
                                 headers).status == 400


@pytest.mark.parametrize("sync", ["none", "publish"])
def test_pieces_may_be_pipelined_behind_anything(own, folder, sync):
    """What was sent before a piece is done before it, whether that waits for a flush or a thread."""
    target = own(args=["--sync", sync])
    for before, whole_first in itertools.product((0, 1, 9), (False, True)):
        stage, path = uuid.uuid4(), f"{folder}/{before}-{whole_first}"

        def piece(field, body=b""):
            return wire.encode_put(f"/__piece/{stage}{path}", body, {"Content-Range": field})

        requests = [wire.encode_put(f"{path}-{n}", b"x" * 100) for n in range(before)]
        requests.append(wire.encode_put(f"/__stage/{stage}{path}", b"stale") if whole_first
                        else piece("bytes */0"))
        requests += [piece("bytes 0-2/*", b"abc"), piece("bytes 3-5/6", b"def"),
                     wire.encode_put(f"/__publish/{stage}{path}")]
        with target.connect(timeout=30) as connection:
            connection.send(b"".join(requests))
            assert [connection.reply().status for _ in requests] == [200] * len(requests)
        assert target.get(path).body == b"abcdef"
