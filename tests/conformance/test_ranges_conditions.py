"""Ranges and conditional requests of files (RFC 9110, 13 and 14). PYME's server ignores both, its
clients send neither."""
import email.utils
import random
import re

import pytest

BODY = random.Random(7).randbytes(300_000)


@pytest.fixture
def file(target, folder):
    assert target.put(f"{folder}/a.bin", BODY).status == 200
    return f"{folder}/a.bin"


@pytest.mark.parametrize("asked,first,last", [
    ("0-0", 0, 0), ("0-", 0, 299_999), ("5-9", 5, 9), ("-5", 299_995, 299_999),
    ("299999-", 299_999, 299_999), ("0-999999999", 0, 299_999), ("-999999999", 0, 299_999),
    ("100000-250000", 100_000, 250_000), ("299999-18446744073709551615", 299_999, 299_999)])
def test_a_single_range_is_answered_with_206(target, file, asked, first, last):
    with target.connect() as connection:
        reply = connection.get(file, {"Range": f"bytes={asked}"})
        assert reply.status == 206 and reply.body == BODY[first:last + 1]
        assert reply.headers["content-range"] == f"bytes {first}-{last}/300000"
        assert connection.get("/__status").status == 200


@pytest.mark.parametrize("asked", ["300000-", "300000-300001", "-0", "99999999999-"])
def test_a_range_behind_the_end_is_416(target, file, asked):
    with target.connect() as connection:
        reply = connection.get(file, {"Range": f"bytes={asked}"})
        assert reply.status == 416 and reply.headers["content-range"] == "bytes */300000"
        assert connection.get(file).body == BODY


@pytest.mark.parametrize("asked", ["bytes=", "bytes=a-b", "bytes=9-5", "lines=0-5", "bytes", "0-5",
                                   "bytes=-", "bytes=1-2-3", "bytes=0x1-0x2", "bytes= "])
def test_what_is_no_range_is_ignored(target, file, asked):
    reply = target.get(file, {"Range": asked})
    assert reply.status == 200 and reply.body == BODY


def test_files_say_that_ranges_are_taken(target, file):
    assert target.get(file).headers["accept-ranges"] == "bytes"


def test_an_empty_file_has_no_range(target, folder):
    target.put(f"{folder}/empty", b"")
    assert target.get(f"{folder}/empty", {"Range": "bytes=0-"}).status == 416
    assert target.get(f"{folder}/empty").status == 200


def parts_of(reply):
    """(first, last, total, bytes) of each part, read strictly (RFC 2046, 5.1.1)."""
    match = re.fullmatch(r'multipart/byteranges; boundary="?([\w\'()+,./:=?-]{1,70})"?',
                         reply.headers["content-type"])
    assert match, reply.headers
    boundary = match.group(1).encode()
    pieces = (b"\r\n" + reply.body).split(b"\r\n--" + boundary)
    assert pieces[0] == b"" and pieces[-1] in (b"--\r\n", b"--"), reply
    found = []
    for piece in pieces[1:-1]:
        head, _, data = piece.partition(b"\r\n\r\n")
        place = re.search(rb"(?mi)^content-range: bytes (\d+)-(\d+)/(\d+)\r?$", head)
        assert place, head
        found.append((*map(int, place.groups()), data))
    return found


def test_several_ranges_come_as_parts(target, file):
    with target.connect() as connection:
        reply = connection.get(file, {"Range": "bytes=0-9, 200000-299999,-1"})
        assert reply.status == 206
        assert parts_of(reply) == [(0, 9, 300_000, BODY[:10]),
                                   (200_000, 299_999, 300_000, BODY[200_000:]),
                                   (299_999, 299_999, 300_000, BODY[-1:])]
        head = connection.request("HEAD", file, None, {"Range": "bytes=0-9,200000-299999,-1"})
        assert head.status in (200, 206)
        assert connection.get(file).body == BODY


def test_of_several_ranges_those_behind_the_end_are_left_out(target, file):
    reply = target.get(file, {"Range": "bytes=10-19,300000-"})
    assert reply.status == 206
    if reply.headers["content-type"].startswith("multipart/"):
        assert parts_of(reply) == [(10, 19, 300_000, BODY[10:20])]
    else:
        assert reply.body == BODY[10:20]
    assert target.get(file, {"Range": "bytes=300000-,400000-"}).status == 416


def test_many_or_overlapping_ranges_cost_no_more_than_the_file(target, file):
    """RFC 9110, 14.2: a server may ignore or merge what would multiply the work."""
    for asked in (",".join("0-" for _ in range(1000)), ",".join(f"{n}-{n}" for n in range(3000)),
                  ",".join(f"{n}-" for n in range(500))):
        with target.connect() as connection:
            reply = connection.get(file, {"Range": f"bytes={asked}"})
            assert reply.status in (200, 206, 400, 416, 431)
            assert len(reply.body) < 2 * len(BODY)


def test_head_with_a_range_sends_no_body(target, file):
    with target.connect() as connection:
        assert connection.request("HEAD", file, None, {"Range": "bytes=0-9"}).status in (200, 206)
        assert connection.get(file).body == BODY


def test_if_range_takes_the_range_only_of_the_same_file(target, file):
    reply = target.get(file)
    etag, modified = reply.headers["etag"], reply.headers["last-modified"]
    asked = {"Range": "bytes=0-9"}
    assert target.get(file, {**asked, "If-Range": etag}).status == 206
    assert target.get(file, {**asked, "If-Range": '"other"'}).status == 200
    # A date is good only if it is a strong validator; whole is never wrong.
    assert target.get(file, {**asked, "If-Range": modified}).status in (200, 206)
    assert target.get(file, {**asked, "If-Range": "Mon, 01 Jan 2001 00:00:00 GMT"}).status == 200


def test_if_none_match_saves_the_body(target, file):
    with target.connect() as connection:
        etag = connection.get(file).headers["etag"]
        assert re.fullmatch(r'(W/)?"[!#-~]*"', etag)
        for given in (etag, f'"x", {etag}', "*", "W/" + etag.removeprefix("W/")):
            reply = connection.get(file, {"If-None-Match": given})
            assert reply.status == 304 and reply.headers["etag"] == etag, given
        for given in ('"x"', '"x", "y"', etag[:-1], "x"):
            assert connection.get(file, {"If-None-Match": given}).body == BODY, given
        assert connection.request("HEAD", file, None, {"If-None-Match": etag}).status == 304


def test_if_modified_since_saves_the_body(target, file):
    with target.connect() as connection:
        modified = connection.get(file).headers["last-modified"]
        assert connection.get(file, {"If-Modified-Since": modified}).status == 304
        stamp = email.utils.parsedate_to_datetime(modified).timestamp()
        earlier = email.utils.formatdate(stamp - 1, usegmt=True)
        later = email.utils.formatdate(stamp + 3600, usegmt=True)
        assert connection.get(file, {"If-Modified-Since": earlier}).body == BODY
        assert connection.get(file, {"If-Modified-Since": later}).status in (200, 304)
    for nonsense in ("yesterday", "0", "Mon, 99 Foo 2001 00:00:00 GMT", "x" * 500):
        assert target.get(file, {"If-Modified-Since": nonsense}).body == BODY, nonsense


def test_if_none_match_overrules_if_modified_since(target, file):
    modified = target.get(file).headers["last-modified"]
    reply = target.get(file, {"If-None-Match": '"x"', "If-Modified-Since": modified})
    assert reply.status == 200 and reply.body == BODY


def test_a_condition_comes_before_the_range(target, file):
    etag = target.get(file).headers["etag"]
    assert target.get(file, {"If-None-Match": etag, "Range": "bytes=0-9"}).status == 304


def test_two_files_have_two_etags(target, folder):
    target.put(f"{folder}/a", b"one")
    target.put(f"{folder}/b", b"two")
    assert target.get(f"{folder}/a").headers["etag"] != target.get(f"{folder}/b").headers["etag"]


def test_a_file_keeps_its_etag_over_a_restart(own, tmp_path):
    server = own(root=tmp_path / "root")
    server.put("/a", b"x")
    etag = server.get("/a").headers["etag"]
    assert server.own.stop() == 0
    assert own(root=tmp_path / "root").get("/a").headers["etag"] == etag
