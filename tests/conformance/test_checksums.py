"""Checksums of files and the digests that messages announce (docs/wire.md, "Checksums")."""
import base64
import gzip
import hashlib
import json
import os
import random
import struct
import uuid

import harness
import pytest
import wire

# XXH3, 64 bits, of b"abc" and of b"", as xxhsum -H3 prints them.
OF_ABC, OF_NOTHING = 0x78af5f94892f3950, 0x2d06800538d394c2


def xxh3(value):
    return f"xxh3-64=:{base64.b64encode(struct.pack('>Q', value)).decode()}:"


def sha256(body):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


@pytest.mark.parametrize("digest", [xxh3(OF_ABC), sha256(b"abc"),
                                    f"md5=:AAAA:, {sha256(b'abc')}, {xxh3(OF_ABC)};p=1"])
@pytest.mark.parametrize("field", ["Repr-Digest", "Content-Digest"])
def test_a_body_that_is_what_was_announced_is_stored(target, folder, field, digest):
    assert target.put(f"{folder}/a", b"abc", {field: digest}).status == 200
    assert target.get(f"{folder}/a").body == b"abc"


@pytest.mark.parametrize("digest", [xxh3(OF_ABC), sha256(b"abc"),
                                    f"{sha256(b'abd')}, {xxh3(OF_ABC)}"])
def test_other_bytes_than_announced_are_400_nothing_is_stored_and_the_connection_lives(
        target, folder, digest):
    with target.connect() as connection:
        refused = connection.put(f"{folder}/a", b"abd", {"Repr-Digest": digest})
        assert refused.status == 400 and b"announced" in refused.body
        assert connection.get(f"{folder}/a").status == 404
        assert connection.put(f"{folder}/a", b"abd").status == 200
        assert connection.get(f"{folder}/a").body == b"abd"


def test_a_large_body_with_one_bit_flipped_is_refused(target, folder):
    body = bytearray(random.Random(5).randbytes(5_000_001))
    digest = sha256(bytes(body))
    body[2_345_678] ^= 4
    assert target.put(f"{folder}/a", bytes(body), {"Repr-Digest": digest}).status == 400
    body[2_345_678] ^= 4
    assert target.put(f"{folder}/a", bytes(body), {"Repr-Digest": digest}).status == 200


def test_a_chunked_body_is_checked_without_its_chunks(target, folder):
    chunks = b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
    for name, digest, status in (("a", OF_ABC, 200), ("b", OF_NOTHING, 400)):
        with target.connect() as connection:
            connection.send(wire.encode_head("PUT", f"{folder}/{name}", {
                "Transfer-Encoding": "chunked", "Repr-Digest": xxh3(digest)}) + chunks)
            assert connection.reply().status == status


def test_the_digest_of_a_coded_body_is_that_of_the_coded_bytes(target, folder):
    coded = gzip.compress(b"abc")
    fields = {"Content-Encoding": "gzip", "Repr-Digest": sha256(coded)}
    assert target.put(f"{folder}/a", coded, fields).status == 200
    assert target.get(f"{folder}/a").body == b"abc"
    fields["Repr-Digest"] = xxh3(OF_ABC)
    assert target.put(f"{folder}/b", coded, fields).status == 400


@pytest.mark.parametrize("bad", ["xxh3-64", "xxh3-64=:AAAA:", "sha-256=abc", "xxh3-64=:****:",
                                 f"{xxh3(OF_ABC)}, {xxh3(OF_NOTHING)}"])
def test_a_digest_that_cannot_be_read_is_400(target, folder, bad):
    with target.connect() as connection:
        assert connection.put(f"{folder}/a", b"abc", {"Repr-Digest": bad}).status == 400
        assert connection.get(f"{folder}/a").status == 404


def test_unknown_digests_are_passed_over(target, folder):
    assert target.put(f"{folder}/a", b"abc", {"Repr-Digest": "md5=:AAAA:, x=?1"}).status == 200


@pytest.mark.usefixtures("attributes")
def test_the_checksum_comes_with_the_file_in_get_head_and_ranges(target, folder):
    for name, body, value in (("a", b"abc", OF_ABC), ("b", b"", OF_NOTHING)):
        target.put(f"{folder}/{name}", body)
        for method in ("GET", "HEAD"):
            assert target.request(method, f"{folder}/{name}").headers["repr-digest"] == xxh3(value)
    part = target.get(f"{folder}/a", {"Range": "bytes=1-1"})
    assert part.status == 206 and part.headers["repr-digest"] == xxh3(OF_ABC)


@pytest.mark.usefixtures("attributes")
def test_the_checksum_of_a_coded_body_is_that_of_the_file(target, folder):
    target.put(f"{folder}/a", gzip.compress(b"abc"), {"Content-Encoding": "gzip"})
    assert target.get(f"{folder}/a").headers["repr-digest"] == xxh3(OF_ABC)


@pytest.mark.usefixtures("attributes")
def test_a_stage_keeps_its_checksum_until_it_is_published(target, folder):
    stage = uuid.uuid4()
    assert target.put(f"/__stage/{stage}{folder}/a", b"abd",
                      {"Repr-Digest": xxh3(OF_ABC)}).status == 400
    assert target.put(f"/__publish/{stage}{folder}/a", b"").status == 404
    assert target.put(f"/__stage/{stage}{folder}/a", b"abc",
                      {"Repr-Digest": xxh3(OF_ABC)}).status == 200
    assert target.put(f"/__publish/{stage}{folder}/a", b"").status == 200
    assert target.get(f"{folder}/a").headers["repr-digest"] == xxh3(OF_ABC)


@pytest.mark.usefixtures("attributes")
def test_a_file_put_there_or_changed_by_hand_has_no_checksum(target, folder, root):
    target.put(f"{folder}/a", b"abc")
    path = root / folder[1:] / "a"
    path.chmod(0o640)
    path.write_bytes(b"changed by its owner")
    (path.parent / "b").write_bytes(b"abc")
    for name in ("a", "b"):
        reply = target.get(f"{folder}/{name}")
        assert reply.status == 200 and "repr-digest" not in reply.headers


@pytest.mark.allow_errors
@pytest.mark.usefixtures("attributes")
def test_a_file_that_lost_bytes_in_a_power_cut_is_refused_on_every_way(own):
    """Its length is not the acknowledged one, and nobody touched it since: delayed allocation."""
    server = own()
    server.put("/a", b"x" * 10_000)
    path = server.root / "a"
    times = path.stat()
    path.chmod(0o640)
    os.truncate(path, 4096)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    for method in ("GET", "HEAD"):
        reply = server.request(method, "/a")
        assert reply.status == 500 and "repr-digest" not in reply.headers
    assert b"4096 of 10000 bytes" in server.get("/a").body
    assert server.names("/") == {}
    assert b"skein_torn_files_asked_for 3" in server.get("/metrics").body
    assert server.put("/a", b"again").status == 405
    line = [x for x in server.own.log_text().splitlines() if "file damaged" in x]
    assert line and "path=a acknowledged_bytes=10000 found_bytes=4096" in line[0]


@pytest.mark.allow_errors
@pytest.mark.usefixtures("attributes")
def test_files_torn_by_a_power_cut_leave_the_listing(own, tmp_path):
    """ext4 may keep the length and lose the bytes: found by the checksum, on another mount."""
    server = own(root=tmp_path / "root")
    for name in ("whole", "zeros", "short"):
        server.put(f"/d/{name}", b"x" * 10_000)
    assert server.own.stop() == 0
    for name, text in (("zeros", bytes(10_000)), ("short", b"x" * 4096)):
        path = server.root / "d" / name
        times = path.stat()
        path.chmod(0o640)
        path.write_bytes(text)
        path.chmod(0o440)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    session = server.root / ".skein/session"
    times = session.stat()
    session.write_text("another-boot/1\n")
    os.utime(session, ns=(times.st_atime_ns, times.st_mtime_ns))

    again = own(root=tmp_path / "root")
    harness.eventually(lambda: again.names("/d/") == {"whole": [0, 10_000]}, 30, "one is whole")
    assert again.get("/d/whole").body == b"x" * 10_000
    assert json.loads(again.get("/__glob?pattern=d/*").body) == ["d/whole"]
    for name in ("zeros", "short"):
        assert again.get(f"/d/{name}").status == 500
        assert again.put(f"/d/{name}", b"again").status == 405
    # Mended by hand it is a good file.
    mended = again.root / "d/zeros"
    mended.chmod(0o640)
    mended.write_bytes(b"mended")
    harness.eventually(lambda: set(again.names("/d/")) == {"whole", "zeros"}, 30, "mended")
    assert again.get("/d/zeros").body == b"mended"
