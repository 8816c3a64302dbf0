"""Content-Encoding of bodies, Accept-Encoding of listings (docs/wire.md, "HTTP rules")."""
import gzip
import json
import random
import shutil
import subprocess
import zlib

import pytest
import wire

must = pytest.mark.must
GZIP = {"Content-Encoding": "gzip"}
ZSTD = {"Content-Encoding": "zstd"}


def zstd_frame(data):
    """One frame of raw blocks (RFC 8878): the format without a compressor."""
    frame = bytes.fromhex("28b52ffd") + b"\x00\x38"  # no content size, window of 128 KiB
    pieces = [data[n:n + 100_000] for n in range(0, len(data), 100_000)] or [b""]
    for n, piece in enumerate(pieces):
        frame += (len(piece) << 3 | (n == len(pieces) - 1)).to_bytes(3, "little") + piece
    return frame


@must
@pytest.mark.parametrize("size", [0, 1, 100_000, 8 << 20])
def test_a_gzipped_body_is_stored_as_what_it_holds(target, folder, size):
    body = random.Random(size).randbytes(size // 2) + b"\0" * (size - size // 2)
    with target.connect() as connection:
        packed = gzip.compress(body, 1)
        assert connection.put(f"{folder}/a", packed, GZIP).status == 200
        reply = connection.get(f"{folder}/a")
        assert reply.body == body and "content-encoding" not in reply.headers
    assert target.names(f"{folder}/")["a"] == [0, size]


def test_a_gzip_file_of_several_members_is_all_of_them(target, folder):
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    assert target.put(f"{folder}/a", body, GZIP).status == 200
    assert target.get(f"{folder}/a").body == b"one two"


@must
def test_a_refused_gzip_put_is_drained(target, folder):
    with target.connect() as connection:
        assert connection.put(f"{folder}/a", b"plain").status == 200
        assert connection.put(f"{folder}/a", gzip.compress(b"other"), GZIP).status == 405
        assert connection.get(f"{folder}/a").body == b"plain"


@pytest.mark.parametrize("size", [0, 200, 1_000_000])
def test_a_zstd_body_is_stored_as_what_it_holds(target, folder, size):
    body = random.Random(size).randbytes(size)
    with target.connect() as connection:
        assert connection.put(f"{folder}/a", zstd_frame(body), ZSTD).status == 200
        assert connection.get(f"{folder}/a").body == body


def test_a_body_by_the_zstd_program_is_stored_as_what_it_holds(target, folder):
    if not shutil.which("zstd"):
        pytest.skip("zstd is not installed")
    body = b"some text that packs well " * 100_000
    packed = subprocess.run(["zstd", "-19", "-c"], input=body, capture_output=True, check=True)
    assert target.put(f"{folder}/a", packed.stdout, ZSTD).status == 200
    assert target.get(f"{folder}/a").body == body


BAD = {
    "gzip, not at all": (b"this is no gzip", GZIP),
    "gzip, empty": (b"", GZIP),
    "gzip, cut": (gzip.compress(random.Random(1).randbytes(50_000))[:-9], GZIP),
    "gzip, wrong sum": (gzip.compress(b"abc")[:-8] + b"\0" * 8, GZIP),
    "gzip, junk behind": (gzip.compress(b"abc") + b"junk", GZIP),
    "gzip, raw deflate": (zlib.compress(b"abc"), GZIP),
    "zstd, not at all": (b"this is no zstd", ZSTD),
    "zstd, cut": (zstd_frame(b"x" * 50_000)[:-10], ZSTD),
    "zstd, junk behind": (zstd_frame(b"abc") + b"junk", ZSTD),
}


@pytest.mark.parametrize("case", BAD)
def test_a_damaged_body_is_400_and_stores_nothing(target, folder, case):
    body, headers = BAD[case]
    with target.connect() as connection:
        assert connection.put(f"{folder}/a", body, headers).status == 400
    assert target.get(f"{folder}/a").status == 404
    assert target.put(f"{folder}/a", b"good").status == 200


def test_an_unknown_coding_is_415_and_stores_nothing(target, folder):
    for coding in ("br", "x-none", "gzip, gzip, gzip, gzip, gzip, br"):
        with target.connect() as connection:
            assert connection.put(f"{folder}/a", b"x", {"Content-Encoding": coding}).status == 415
            assert connection.get("/__status").status == 200
    assert target.get(f"{folder}/a").status == 404


def test_identity_is_no_coding(target, folder):
    assert target.put(f"{folder}/a", b"x", {"Content-Encoding": "identity"}).status == 200
    assert target.get(f"{folder}/a").body == b"x"


@pytest.fixture
def long_listing(target, folder):
    with target.connect() as connection:
        connection.send(b"".join(wire.raw_put(f"{folder}/frame{n:05d}.pzf", b"", last=n == 499)
                                 for n in range(500)))
        for _ in range(500):
            assert connection.reply().status == 200
    return f"{folder}/"


def unpack(reply):
    coding = reply.headers.get("content-encoding")
    if coding == "gzip":
        return gzip.decompress(reply.body)
    if coding == "zstd":
        return subprocess.run(["zstd", "-d", "-c"], input=reply.body, capture_output=True,
                              check=True).stdout
    assert coding is None, coding
    return reply.body


@pytest.mark.parametrize("accepted,coding", [
    ("gzip", "gzip"), ("GZIP", "gzip"), ("deflate, gzip;q=0.5", "gzip"), ("zstd", "zstd"),
    ("gzip, zstd", "zstd"), ("identity", None), ("", None), ("gzip;q=0", None), ("br", None),
    ("gzip;q=0, *", "zstd"), ("x-gzip", "gzip")])
def test_a_long_listing_comes_in_a_coding_the_client_takes(target, long_listing, accepted, coding):
    if coding == "zstd" and not shutil.which("zstd"):
        pytest.skip("zstd is not installed")
    plain = target.get(long_listing)
    assert "content-encoding" not in plain.headers
    headers = {"Accept-Encoding": accepted} if accepted else {}
    with target.connect() as connection:
        reply = connection.get(long_listing, headers)
        head = connection.request("HEAD", long_listing, None, headers)
    assert reply.headers.get("content-encoding") == coding
    assert "accept-encoding" in reply.headers["vary"].lower()
    assert json.loads(unpack(reply)) == json.loads(plain.body)
    assert head.headers.get("content-length") == reply.headers["content-length"]
    if coding:
        assert len(reply.body) < len(plain.body) / 3
        # A cache must not take the bytes of one coding for those of another (RFC 9110, 8.8.3).
        assert reply.headers["etag"] != plain.headers["etag"] or \
            reply.headers["etag"].startswith("W/")


def test_a_packed_listing_is_304_to_its_own_etag(target, long_listing):
    packed = {"Accept-Encoding": "gzip"}
    etag = target.get(long_listing, packed).headers["etag"]
    assert target.get(long_listing, {**packed, "If-None-Match": etag}).status == 304


def test_files_are_never_packed(target, folder):
    target.put(f"{folder}/a.txt", b"text " * 10_000)
    reply = target.get(f"{folder}/a.txt", {"Accept-Encoding": "gzip, zstd"})
    assert "content-encoding" not in reply.headers and reply.body == b"text " * 10_000
