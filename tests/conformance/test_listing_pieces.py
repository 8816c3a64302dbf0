"""Listings in pieces (docs/wire.md): entries come while the directory is scanned, to who asks."""
import json
import os
import pathlib
import re
import socket
import tempfile

import harness
import pytest
import wire

MEBI = 1 << 20
ASKS = {"Skein-Listing": "stream"}
# More than the least number of names that is worth it.
NAMES = 6000


def fill(folder, names, length=12):
    """Files put there by hand, so that the server has not listed them yet."""
    folder.mkdir(parents=True)
    directory = os.open(folder, os.O_RDONLY)
    for n in range(names):
        # Not in order, so that sorting them is seen.
        name = f"{n * 7919 % names:08d}".ljust(length, "x")
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o444, dir_fd=directory))
    os.close(directory)


def read_reply(connection):
    """(head, chunks, interim statuses) of a reply that may be chunked; chunks is None if not."""
    head = connection._head()
    interim = []
    while head.status < 200:
        interim.append(head.status)
        head = connection._head()
    if "transfer-encoding" not in head.headers:
        head.body = connection.take(int(head.headers["content-length"]))
        return head, None, interim
    assert head.headers["transfer-encoding"] == "chunked" and "content-length" not in head.headers
    chunks = []
    while True:
        while (end := connection.buffer.find(b"\r\n")) < 0:
            connection._receive()
        size = int(bytes(connection.buffer[:end]), 16)
        del connection.buffer[:end + 2]
        chunks.append(connection.take(size))
        assert connection.take(2) == b"\r\n"
        if size == 0:
            head.body = b"".join(chunks)
            return head, chunks, interim


def ask(connection, target, headers=None):
    connection.send(wire.encode_head("GET", target, ASKS if headers is None else headers))
    return read_reply(connection)


def test_a_first_listing_comes_in_pieces_in_order_and_the_connection_goes_on(target, folder, root):
    fill(root / folder[1:] / "d", NAMES)
    with target.connect() as connection:
        head, chunks, interim = ask(connection, f"{folder}/d/")
        assert head.status == 200 and head.headers["skein-listing"] == "sorted"
        assert head.headers["content-type"].startswith("application/json")
        assert set(interim) <= {102}
        assert len(chunks) > 2
        names = json.loads(head.body)
        assert len(names) == NAMES and list(names) == sorted(names)
        # Now it is known: whole, with its length, and its ETag is that of the pieces.
        again, chunks, _ = ask(connection, f"{folder}/d/")
        assert chunks is None and "skein-listing" not in again.headers
        assert json.loads(again.body) == names
        assert again.headers["etag"] == head.headers["etag"]
        known = {**ASKS, "If-None-Match": head.headers["etag"]}
        assert connection.get(f"{folder}/d/", known).status == 304


@pytest.mark.parametrize("headers", [{}, {"Skein-Listing": "whole"},
                                     {**ASKS, "Accept": "text/html"},
                                     {**ASKS, "Accept-Encoding": "gzip"}],
                         ids=["plain", "another value", "page", "packed"])
def test_nobody_else_sees_pieces(target, folder, root, headers):
    fill(root / folder[1:] / "d", NAMES)
    with target.connect() as connection:
        assert connection.get(f"{folder}/d/", headers).status == 200  # asserts that it has a length


def test_small_missing_and_other_things_are_answered_as_ever(target, folder):
    target.put(f"{folder}/d/a", b"12")
    with target.connect() as connection:
        head, chunks, _ = ask(connection, f"{folder}/d/")
        assert chunks is None and json.loads(head.body) == {"a": [0, 2]}
        assert ask(connection, f"{folder}/none/")[0].status == 404
        assert connection.request("HEAD", f"{folder}/d/", None, ASKS).status == 200
        assert connection.get(f"{folder}/d", ASKS).status == 301
        assert connection.get(f"{folder}/d/a", ASKS).body == b"12"


def test_http_1_0_gets_the_whole_listing(target, folder, root):
    fill(root / folder[1:] / "d", NAMES)
    with target.connect() as connection:
        connection.send(f"GET {folder}/d/ HTTP/1.0\r\nSkein-Listing: stream\r\n\r\n".encode())
        reply = connection.reply()
        assert len(json.loads(reply.body)) == NAMES


def test_close_is_promised_and_kept(target, folder, root):
    fill(root / folder[1:] / "d", NAMES)
    with target.connect() as connection:
        head, chunks, _ = ask(connection, f"{folder}/d/", {**ASKS, "Connection": "close"})
        assert chunks and head.headers["connection"] == "close"
        assert len(json.loads(head.body)) == NAMES
        assert connection.is_closed()


def test_requests_pipelined_behind_it_are_answered_after_it(target, folder, root):
    fill(root / folder[1:] / "d", NAMES)
    target.put(f"{folder}/f", b"123")
    with target.connect() as connection:
        connection.send(wire.encode_head("GET", f"{folder}/d/", ASKS)
                        + wire.encode_put(f"{folder}/g", b"1")
                        + wire.encode_head("GET", f"{folder}/f", {}))
        assert len(json.loads(read_reply(connection)[0].body)) == NAMES
        assert connection.reply("PUT").status == 200
        assert connection.reply().body == b"123"


def test_who_does_not_read_it_is_given_up_and_others_are_served(own):
    """The listing has 45 MiB; for 32 of them the scan does not wait."""
    shared = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as root:
        server = own(root=root, env={"SKEIN_SERVER_STALL_MS": "1000"})
        fill(pathlib.Path(root) / "d", 180_000, length=250)
        with socket.socket() as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lazy.connect(server.address)
            lazy.sendall(wire.encode_head("GET", "/d/", ASKS))

            def open_connections():
                text = server.get("/metrics").body.decode()
                return int(re.search(r"^skein_open_connections (\d+)", text, re.M).group(1))

            # Others are served meanwhile and afterwards, the same directory included.
            assert server.get("/__status").status == 200
            harness.eventually(lambda: open_connections() <= 1, 60, "the lazy reader is given up")
        with server.connect(timeout=60) as connection:
            assert len(json.loads(connection.get("/d/").body)) == 180_000
